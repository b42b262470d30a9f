"""What a run logs: lines of metrics.jsonl, TensorBoard's curves and table, and the means between two lines."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sentence_order.config.schema import DecoderConfig, DecoderName
from sentence_order.errors import UserError
from sentence_order.evaluation.evaluator import evaluate_corpus
from sentence_order.training.plan import StepInput
from sentence_order.training.tracker import METRICS_FILE, Meter, Tracker, remove_logs
from tests.training.loops import CPU, corpus_of


def lines_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / METRICS_FILE).read_text().splitlines()]


def curve_of(folder: Path, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in EventAccumulator(str(folder)).Reload().Scalars(tag)}


def log_steps(tracker: Tracker, *steps: int, offset: float = 0.0) -> None:
    for step in steps:
        tracker.log_scalars(step, step / 10, {"train/loss": step + offset})


def test_scalars_have_the_same_values_in_both_places(tmp_path: Path) -> None:
    with Tracker(tmp_path) as tracker:
        tracker.log_scalars(1, 0.123456, {"train/loss": 0.5, "validation/tau": 0.25})
        tracker.log_scalars(2, 0.2, {"train/loss": 1.5})
    assert lines_of(tmp_path) == [
        {"step": 1, "epoch": 0.1235, "train/loss": 0.5, "validation/tau": 0.25},
        {"step": 2, "epoch": 0.2, "train/loss": 1.5},
    ]
    assert curve_of(tmp_path, "loss/train") == {1: 0.5, 2: 1.5}
    assert curve_of(tmp_path, "metrics/tau") == {1: 0.25}


def test_the_largest_groups_have_curves_of_their_own(tmp_path: Path, tiny_model, stories) -> None:
    groups = [f"g{k}" for k in range(10) for _ in range(2)] + ["C+"] * 4 + ["C#"] * 3 + ["a/b c"] * 5
    corpus = corpus_of(tiny_model, stories[: len(groups)], groups)
    decoder = DecoderConfig(DecoderName["exact"], 64)
    evaluation = evaluate_corpus(tiny_model, corpus, decoder, CPU, seed=0, batch_tokens=4096)
    assert evaluation is not None
    with Tracker(tmp_path) as tracker:
        tracker.log_evaluation(7, 1.0, "validation", evaluation, corpus, tiny_model.config)
    (line,) = lines_of(tmp_path)
    tags = {tag.removeprefix("validation/tau/") for tag in line if tag.startswith("validation/tau/")}
    assert tags == {"a_b_c", "C_", "C__", "g0", "g1", "g2", "g3", "g4"}
    by_group = evaluation.summary_by_group(corpus)
    for tag, group in (("a_b_c", "a/b c"), ("C_", "C+"), ("C__", "C#"), ("g4", "g4")):
        assert line[f"validation/pmr/{tag}"] == by_group[group]["pmr"]
        assert curve_of(tmp_path, f"metrics/tau/{tag}") == {7: pytest.approx(by_group[group]["tau"])}


def test_what_was_logged_after_the_checkpoint_is_replaced_on_resume(tmp_path: Path) -> None:
    """In metrics.jsonl to the byte, a half line included; on TensorBoard's page the later points are shown."""
    with Tracker(tmp_path) as tracker:
        log_steps(tracker, 1, 2)
        logged_bytes = tracker.sync()
        before = (tmp_path / METRICS_FILE).read_bytes()
        log_steps(tracker, 3, 4)
    assert logged_bytes == len(before)
    with (tmp_path / METRICS_FILE).open("a") as lines:
        lines.write('{"step": 5, "ep')

    with Tracker(tmp_path, logged_bytes, step=2) as tracker:
        assert (tmp_path / METRICS_FILE).read_bytes() == before
        log_steps(tracker, 3, offset=0.5)
    assert [line["train/loss"] for line in lines_of(tmp_path)] == [1.0, 2.0, 3.5]
    assert curve_of(tmp_path, "loss/train") == {1: 1.0, 2: 2.0, 3: 3.5}


@pytest.mark.parametrize("content", [None, ""])
def test_lost_lines_do_not_keep_a_run_from_resuming(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    caplog.set_level("INFO")
    if content is not None:
        (tmp_path / METRICS_FILE).write_text(content)
    with Tracker(tmp_path, 100, step=2) as tracker:
        log_steps(tracker, 3)
    assert [line["step"] for line in lines_of(tmp_path)] == [3]
    assert METRICS_FILE in caplog.text


@pytest.mark.parametrize("pattern", [METRICS_FILE, "events.out.tfevents.*"])
def test_files_that_are_removed_are_an_error(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(FileNotFoundError), Tracker(tmp_path) as tracker:  # noqa: PT012
        log_steps(tracker, 1)
        tracker.sync()
        for file in tmp_path.glob(pattern):
            file.unlink()
        tracker.sync()


def test_logs_of_a_run_that_starts_again_are_removed(tmp_path: Path) -> None:
    with Tracker(tmp_path) as tracker:
        log_steps(tracker, 1)
    others = {"config.yaml", "events.out.tfevents.1.host.2.0"}
    for name in others:
        (tmp_path / name).touch()
    remove_logs(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == others
    remove_logs(tmp_path)


@pytest.mark.parametrize("line", ["", '{"st', '{"step": 1, "ep', '{"step": 1, "epoch": 0.1, "train/loss": 1.0}\n'])
def test_only_the_metrics_of_a_run_are_removed(tmp_path: Path, line: str) -> None:
    """Its first line may not be complete."""
    (tmp_path / METRICS_FILE).write_text(line)
    remove_logs(tmp_path)
    assert not (tmp_path / METRICS_FILE).exists()
    for other in ('{"loss": 1.0}\n', '{"step": 1, "loss": 1.0}\n', "step 1\n"):
        (tmp_path / METRICS_FILE).write_text(other + line)
        with pytest.raises(UserError, match=f"output_dir: .*{METRICS_FILE} was not written by this run"):
            remove_logs(tmp_path)
        assert (tmp_path / METRICS_FILE).read_text() == other + line


def step_input(num_documents: int, num_pairs: int, num_tokens: int, padded_size: int) -> StepInput:
    return StepInput(0, 0.0, 0.1, num_documents, num_pairs, num_tokens, padded_size, padded_size, [], False, [])


def test_means_between_two_lines_by_hand() -> None:
    """The loss is a mean over pairs, and not over steps; skipped steps count in all but the loss."""
    meter = Meter(seconds=4.0)
    meter.update(step_input(2, 10, 80, 100), loss=1.0)
    meter.update(step_input(4, 30, 70, 100), loss=2.0)
    meter.update(step_input(3, 50, 60, 100), loss=None)
    resumed = Meter(**asdict(meter))
    for each in (meter, resumed):
        assert each.means() == {
            "train/loss": (10 * 1.0 + 30 * 2.0) / 40,
            "train/documents_per_second": 9 / 4,
            "train/tokens_per_second": 210 / 4,
            "train/padding_share": pytest.approx(1 - 210 / 300),
        }


def test_without_a_finite_step_there_is_no_mean_loss() -> None:
    meter = Meter(seconds=1.0)
    meter.update(step_input(1, 3, 10, 10), loss=None)
    assert "train/loss" not in meter.means()
