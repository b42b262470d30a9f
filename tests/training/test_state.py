"""A run that stops and resumes is the run that never stopped."""

from dataclasses import asdict
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any

import pytest
import torch

from sentence_order.config.schema import FreezeConfig, OptimConfig
from sentence_order.errors import Interrupted, UserError
from sentence_order.model.freezing import freeze_phases
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.files import atomic_folder
from sentence_order.runtime.kernels import DEFAULT
from sentence_order.runtime.manifest import MANIFEST
from sentence_order.runtime.signals import Signals
from sentence_order.training.loop import TrainingLoop
from sentence_order.training.state import FORMER_SHUFFLES, STATE_FILE, STATE_VERSION, read_state
from tests.families import OTHERS
from tests.records import lines_without_clock
from tests.training.loops import CPU, HALF, Stopped, corpus_of, loop_of, stop_after, train

GRADUAL = ["0:all", "0.5:1", "1:none"]


@pytest.mark.parametrize(
    ("make_model", "documents", "stopped", "schedule", "num_pending_phases", "accumulate", "runtime"),
    [
        ("bert", 30, 5, [], 0, 1, CPU),
        pytest.param("bert", 30, 5, GRADUAL, 2, 1, CPU, marks=pytest.mark.slow),
        ("bert", 30, 14, GRADUAL, 1, 1, CPU),
        pytest.param("bert", 30, 31, GRADUAL, 0, 1, CPU, marks=pytest.mark.slow),
        ("bert", 30, 5, [], 0, 3, HALF),
        *((encoder, 10, 5, GRADUAL, 1, 1, CPU) for encoder in OTHERS),
        ("qwen3", 5, 5, GRADUAL, 1, 1, CPU),  # as a whole
    ],
    indirect=["make_model"],
)
def test_resume_equals_uninterrupted_run(
    make_model,
    stories,
    tmp_path: Path,
    documents: int,
    stopped: int,
    schedule: list[str],
    num_pending_phases: int,
    accumulate: int,
    runtime: Runtime,
) -> None:
    """To the last bit: with dropout, an average of the weights, blocks that are unfrozen, in the middle of an epoch,
    and with the scale of half precision."""

    def loop(folder: Path, **settings: object) -> TrainingLoop:
        model = make_model(dropout=0.2)
        freeze = FreezeConfig(schedule=schedule)
        phases = freeze_phases(freeze, 4)
        model.freeze(phases[0].blocks, permanent=phases[-1].blocks)
        return loop_of(
            model,
            corpus_of(model, stories[:documents]),
            folder,
            optim=OptimConfig(lr=1e-3, ema=0.9, layer_decay=0.9),
            freeze=freeze,
            runtime=runtime,
            **{"epochs": 2, "accumulate": accumulate, "eval_every": 20, "save_every": 5, "log_every": 4, **settings},
        )

    torch.manual_seed(0)
    straight = loop(tmp_path / "straight")
    train(straight)
    assert straight.plan.total_steps > stopped

    torch.manual_seed(0)
    with pytest.raises(Stopped):  # past what was saved, and logged too
        train(loop(tmp_path / "broken", on_step=stop_after(stopped + 1)))
    torch.manual_seed(1)
    state = read_state(tmp_path / "broken" / "checkpoints" / "last")
    assert state is not None
    assert 0 < state["trainer"]["step"] <= stopped + 1
    assert state["num_pending_phases"] == num_pending_phases
    resumed = loop(tmp_path / "broken", state=state)
    train(resumed)

    for (name, one), other in zip(straight.model.named_parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other), name
    for one, other in zip(straight.stepper.average.average, resumed.stepper.average.average, strict=True):
        assert torch.equal(one, other)
    assert resumed.stepper.scaler.state_dict() == straight.stepper.scaler.state_dict()
    assert lines_without_clock(tmp_path / "broken") == lines_without_clock(tmp_path / "straight")
    clock = ("seconds", "previous_seconds", "metrics")
    progress = [{k: v for k, v in vars(each.state).items() if k not in clock} for each in (straight, resumed)]
    assert progress[0] == progress[1]


def test_stop_signal_saves_the_step_in_which_it_arrives(make_model, stories, tmp_path: Path) -> None:
    """And a signal to save does so once, and lets the training continue."""
    saved: dict[int, int] = {}

    def on_step(loop: TrainingLoop) -> None:
        step = loop.state.step
        signals.save = step == 1
        signals.stop = SIGTERM if step == 3 else None
        state = read_state(tmp_path / "checkpoints" / "last")
        saved[step] = state["trainer"]["step"] if state else 0

    model, signals = make_model(), Signals()
    corpus = corpus_of(model, stories)
    loop = loop_of(model, corpus, tmp_path, signals=signals, on_step=on_step, max_steps=9, eval_every=9)
    with pytest.raises(Interrupted, match="SIGTERM after step 4"):
        train(loop)
    assert saved == {1: 0, 2: 2, 3: 2, 4: 4}


def test_validation_that_a_signal_interrupts_is_done_on_resume(make_model, stories, tmp_path: Path) -> None:
    """Not a line differs from that of a run that was let alone."""

    def loop(folder: Path, **settings: Any) -> TrainingLoop:
        model = make_model(dropout=0.1)
        settings = {"max_steps": 6, "eval_every": 4, "eval_batch_tokens": 500, "log_every": 2, **settings}
        return loop_of(model, corpus_of(model, stories), folder, **settings)

    torch.manual_seed(0)
    straight = loop(tmp_path / "straight")
    train(straight)

    torch.manual_seed(0)
    signals = Signals()
    stopped = loop(tmp_path / "stopped", signals=signals)
    evaluated = []

    def look(model: torch.nn.Module, *_: object) -> None:
        if not model.training:
            evaluated.append(stopped.state.step)
            signals.stop = SIGINT if len(evaluated) == 3 else signals.stop

    stopped.model.register_forward_pre_hook(look)
    with pytest.raises(Interrupted, match="SIGINT after step 4"):
        train(stopped)
    assert evaluated == [4, 4, 4]
    state = read_state(tmp_path / "stopped" / "checkpoints" / "last")
    assert state is not None
    assert (state["trainer"]["step"], state["trainer"]["validation_pending"]) == (4, True)
    assert "validation" not in (tmp_path / "stopped" / "metrics.jsonl").read_text()
    assert not (tmp_path / "stopped" / "checkpoints" / "best").exists()

    train(loop(tmp_path / "stopped", state=state))
    assert lines_without_clock(tmp_path / "stopped") == lines_without_clock(tmp_path / "straight")
    for name in ("best", "last"):
        weights = Path("checkpoints", name, "model.safetensors")
        assert (tmp_path / "stopped" / weights).read_bytes() == (tmp_path / "straight" / weights).read_bytes()


def test_a_finished_training_has_nothing_to_resume(make_model, stories, tmp_path: Path) -> None:
    model, steps = make_model(), []
    train(loop_of(model, corpus_of(model, stories), tmp_path, max_steps=3, eval_every=3))
    state = read_state(tmp_path / "checkpoints" / "last")
    again = loop_of(
        *(make_model(), corpus_of(model, stories), tmp_path),
        state=state,
        on_step=lambda loop: steps.append(loop.state.step),
        max_steps=3,
        eval_every=3,
    )
    train(again)
    assert steps == []
    assert again.state.best_metrics
    assert (tmp_path / "checkpoints" / "last" / STATE_FILE).is_file()
    assert not (tmp_path / "checkpoints" / "best" / STATE_FILE).exists()


def test_a_damaged_state_is_refused(make_model, stories, tmp_path: Path) -> None:
    model = make_model()
    train(loop_of(model, corpus_of(model, stories), tmp_path, max_steps=1))
    last = tmp_path / "checkpoints" / "last"
    content = (last / STATE_FILE).read_bytes()
    assert read_state(last) is not None
    (last / STATE_FILE).write_bytes(content[:-100])
    with pytest.raises(UserError, match=rf"{STATE_FILE}.*init_from="):
        read_state(last)
    (last / STATE_FILE).write_bytes(content)
    (last / MANIFEST).unlink()
    with pytest.raises(UserError, match=rf"last .*{MANIFEST}"):
        read_state(last)
    assert read_state(tmp_path / "checkpoints" / "nothing") is None


@pytest.mark.parametrize("version", [None, 1, 3, STATE_VERSION + 1])
def test_a_state_of_another_version_is_refused(tmp_path: Path, version: int | None) -> None:
    last = tmp_path / "last"
    with atomic_folder(last) as fresh:
        torch.save({"step": 3} if version is None else {"version": version}, fresh / STATE_FILE)
    with pytest.raises(UserError, match=rf"version.*init_from={tmp_path / 'best'}"):
        read_state(last)


@pytest.mark.parametrize("version", [FORMER_SHUFFLES, STATE_VERSION])
def test_that_shuffles_were_others_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture, version: int) -> None:
    caplog.set_level("INFO")
    with atomic_folder(tmp_path / "last") as fresh:
        torch.save({"version": version}, fresh / STATE_FILE)
    assert read_state(tmp_path / "last") == {"version": version}
    assert [message.partition(": ")[2] for message in caplog.messages] == (
        ["from here on sentences are shuffled in other orders"] if version == FORMER_SHUFFLES else []
    )


def test_patience_is_counted_across_a_resume(make_model, stories, tmp_path: Path) -> None:
    """Rates of zero: the first validation is never surpassed."""
    rates = OptimConfig(lr=0.0, head_lr=0.0)
    settings = {"max_steps": 9, "eval_every": 2, "save_every": 1}
    steps: list[int] = []

    def resumed(patience: int) -> TrainingLoop:
        steps.clear()
        model = make_model()
        return loop_of(
            *(model, corpus_of(model, stories[:20]), tmp_path, rates),
            state=state,
            on_step=lambda loop: steps.append(loop.state.step),
            patience=patience,
            **settings,
        )

    model = make_model()
    loop = loop_of(
        model, corpus_of(model, stories[:20]), tmp_path, rates, on_step=stop_after(5), patience=3, **settings
    )
    with pytest.raises(Stopped):
        train(loop)
    assert (loop.state.best_step, loop.state.num_bad_validations) == (2, 1)
    state = read_state(tmp_path / "checkpoints" / "last")
    train(loop := resumed(patience=3))
    assert steps == [6, 7, 8]
    assert loop.state.done
    train(resumed(patience=1))  # lowered when the run resumes, and passed already
    assert steps == [6]


@pytest.mark.parametrize("changed", ["documents", "order", "weights"])
def test_inputs_must_not_change_across_a_resume(make_model, stories, tmp_path: Path, changed: str) -> None:
    model = make_model()
    model.freeze({0, 1})
    train(loop_of(model, corpus_of(model, stories), tmp_path, max_steps=1))
    state = read_state(tmp_path / "checkpoints" / "last")
    other = make_model(seed=1) if changed == "weights" else make_model()
    other.freeze({0, 1})
    texts = {"documents": stories[:-1], "order": stories[::-1], "weights": stories}[changed]
    named = "frozen weights" if changed == "weights" else "data.train"
    with pytest.raises(UserError, match=named):
        loop_of(other, corpus_of(other, texts), tmp_path, state=state, max_steps=2)


def test_another_number_of_threads_is_logged_on_resume(
    make_model, stories, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model()
    corpus = corpus_of(model, stories)
    train(loop_of(model, corpus, tmp_path, max_steps=1))
    state = read_state(tmp_path / "checkpoints" / "last")
    assert state is not None
    assert state["threads"] == torch.get_num_threads()
    assert state["kernels"] == asdict(DEFAULT)
    for threads, logged in ((torch.get_num_threads(), False), (7, True)):
        caplog.clear()
        with caplog.at_level("INFO", "sentence_order"):
            loop_of(make_model(), corpus, tmp_path, state={**state, "threads": threads}, max_steps=1)
        assert ("and 7 before" in caplog.text) is logged
