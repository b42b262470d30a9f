"""One run from its command to results.json, and what it leaves for the next commands."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from sentence_order.config.cli import compose
from sentence_order.training import run as module
from tests.forks import Server
from tests.records import lines_without_clock

TYPED = (
    *("debug=smoke", "data.limit_train=60", "data.limit_validation=30", "data.limit_test=30", "encoder.tiny_width=48"),
    *("trainer.max_steps=6", "trainer.eval_every=2", "trainer.save_every=1", "freeze.schedule=[0:1,0.2:embeddings]"),
    *("trainer.keep=2", "trainer.metric=loss", "model.dropout=0.1"),
)
# With which it is resumed; the results are the same.
CHANGED = ("trainer.log_every=3", "trainer.gradient_checkpointing=true")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def unbroken(forks: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was let alone."""
    folder = tmp_path_factory.mktemp("unbroken")
    done = forks.run("sentence_order.train", [*TYPED, "output_dir=run"], folder, None, {})
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def resumed(forks: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that broke off in its fourth step, and was resumed with other settings."""
    folder = tmp_path_factory.mktemp("resumed")
    done = forks.run("tests.faults", ["full:update:4", "train", *TYPED, "output_dir=run"], folder, None, {})
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "run" / "results.json").exists()
    done = forks.run("sentence_order.train", ["resume=run", *CHANGED], folder, None, {})
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_results_are_those_of_the_best_checkpoint(unbroken: Path, command, tmp_path: Path) -> None:
    """As it is evaluated by the command that the run prints, which takes data and settings from the run."""
    results = read(unbroken / "results.json")
    assert results["validation"] == read(unbroken / "checkpoints" / "best" / "validation.json")
    for split in ("validation", "test"):
        done = command("evaluate", f"checkpoint={unbroken}", f"split={split}", "output=evaluated.json")
        assert done.returncode == 0, done.stderr
        evaluated = read(tmp_path / "evaluated.json")[split]
        assert evaluated.pop("loss") == pytest.approx(results[split].pop("loss"), rel=1e-6)
        results[split].pop("baselines", None)  # which are learnt from the training documents
        assert evaluated == results[split]


def test_best_validation_is_the_best_of_all(unbroken: Path) -> None:
    lines = lines_without_clock(unbroken)
    losses = {line["step"]: line["validation/loss"] for line in lines if "validation/loss" in line}
    results = read(unbroken / "results.json")
    assert list(losses) == [2, 4, 6]
    assert results["validation"]["loss"] == pytest.approx(min(losses.values()))
    assert losses[results["train"]["best_step"]] == min(losses.values())


def test_record_of_the_training_adds_up(unbroken: Path) -> None:
    training = read(unbroken / "results.json")["train"]
    assert (training["documents"], training["steps"], training["cached"]) == (60, 6, False)
    assert training["frozen"] == ["embeddings"]
    assert 0 < training["parameters_trained"] < training["parameters"]
    expected = training["documents_seen"] / training["seconds_in_steps"]
    assert training["documents_per_second"] == pytest.approx(expected, rel=0.1)


def test_resumed_run_has_the_results_of_the_unbroken_one(unbroken: Path, resumed: Path) -> None:
    one, other = read(resumed / "results.json"), read(unbroken / "results.json")
    for split in ("validation", "test"):
        assert one[split] == other[split]
    for name in ("steps", "best_step", "documents_seen", "parameters_trained", "frozen"):
        assert one["train"][name] == other["train"][name]
    assert {path.name for path in (resumed / "checkpoints").iterdir()} == {"best", "last", "step_5", "step_6"}
    for name in ("best", "last", "step_5", "step_6"):
        weights = [run / "checkpoints" / name / "model.safetensors" for run in (resumed, unbroken)]
        assert weights[0].read_bytes() == weights[1].read_bytes()


def test_typed_words_are_kept_and_are_the_command_of_the_cards(unbroken: Path, resumed: Path) -> None:
    for run, words in ((unbroken, [*TYPED]), (resumed, [*TYPED, *CHANGED])):
        assert yaml.safe_load((run / "overrides.yaml").read_text(encoding="utf-8")) == words
        for name in ("best", "last"):
            card = (run / "checkpoints" / name / "README.md").read_text(encoding="utf-8")
            (line,) = [line for line in card.splitlines() if "-m sentence_order.train " in line]
            assert shlex.split(line)[-len(words) :] == words


def test_kept_checkpoint_is_evaluated_and_not_resumed(unbroken: Path, command) -> None:
    folder = unbroken / "checkpoints" / "step_5"
    assert command("evaluate", f"checkpoint={folder}").returncode == 0
    done = command("train", f"resume={folder}")
    assert done.returncode == 2
    assert f"to start from this one: init_from={folder}" in done.stderr


def test_finished_run_is_left_alone(unbroken: Path, command) -> None:
    before = {path: path.stat().st_mtime_ns for path in unbroken.rglob("*") if path.is_file() and path.suffix != ".log"}
    for words in ([f"resume={unbroken}"], [*TYPED, f"output_dir={unbroken}", "resume=auto"]):
        done = command("train", *words)
        assert done.returncode == 0, done.stderr
        assert "results.json" in done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in before}
    done = command("train", *TYPED, f"output_dir={unbroken}")
    assert done.returncode == 2
    assert "output_dir" in done.stderr


@pytest.mark.usefixtures("console_log")
def test_run_that_another_process_finishes_meanwhile_is_left_alone(
    unbroken: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is finished while this process loads and tokenises, or waits for the lock."""
    folder = shutil.copytree(unbroken, tmp_path / "run")
    results = (folder / "results.json").rename(tmp_path / "results.json")

    def set_up(*_: Any) -> None:
        shutil.copy2(results, folder)

    monkeypatch.setattr(module, "set_up", set_up)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix not in (".log", ".json")}
    config = compose("train", [*TYPED, f"output_dir={folder}", "resume=auto", "trainer.log_every=3"])
    module.Trainer(config, command=module.CommandLine(TYPED)).train()
    assert "has been finished by another process" in (folder / "train.log").read_text()
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_the_checkpoint_of_an_unfinished_run_is_told_apart(unbroken: Path, command, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("She woke up.\nShe had coffee.\n")
    started = tmp_path / "started"
    shutil.copytree(unbroken, started)
    (started / "results.json").unlink()
    for checkpoint, is_best_so_far in ((started, True), (started / "checkpoints" / "last", False), (unbroken, False)):
        done = command("predict", f"checkpoint={checkpoint}", "input=in.txt")
        assert done.returncode == 0, done.stderr
        assert (f"warning: the run in {started} is not finished; this is its best" in done.stderr) == is_best_so_far


@pytest.mark.usefixtures("unbroken")  # which has written the corpora's cache: no file of this run
def test_config_is_the_first_file_of_a_run(forks: Server, tmp_path: Path) -> None:
    """A run that is killed while it writes it starts again by its command, and one that has not saved yet begins anew.

    Files of other programs stay.
    """
    words = [*TYPED, "output_dir=run", "resume=auto"]
    run, foreign = tmp_path / "run", "events.out.tfevents.1.other.1.0"
    done = forks.run("tests.faults", ["kill:replace:1", "train", *words], tmp_path, None, {})
    assert done.returncode not in (0, 1, 2), done.stderr
    left = {path.name for path in run.iterdir()}
    assert ".lock" in left
    assert all(name == ".lock" or name.startswith(".config.yaml.") for name in left)

    (run / "notes.txt").write_text("mine")
    done = forks.run("tests.faults", ["kill:line:1", "train", *words], tmp_path, None, {})
    assert {"config.yaml", "train.log", "metrics.jsonl"} <= {path.name for path in run.iterdir()}
    (events,) = run.glob("events.*")
    (run / foreign).write_text("mine")

    done = forks.run("sentence_order.train", words, tmp_path, None, {})
    assert done.returncode == 0, done.stderr
    assert "starting from the beginning" in done.stderr
    assert not events.exists()
    assert (run / foreign).read_text() == (run / "notes.txt").read_text() == "mine"
    assert len(list(run.glob("events.*"))) == 2
    assert not list(run.glob(".config.yaml.*"))


def test_a_value_from_the_environment_is_announced(forks: Server, tmp_path: Path) -> None:
    """It stands in the config and in the model cards, which may be published."""
    words = [
        *TYPED,
        "trainer.max_steps=1",
        "freeze.schedule=[]",
        "encoder.tiny_width=${oc.env:WIDTH}",
        "output_dir=run",
    ]
    done = forks.run("sentence_order.train", words, tmp_path, None, {"WIDTH": "48"})
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "model cards" in line]
    typed = "encoder.tiny_width=${oc.env:WIDTH}"
    assert f"{typed}: the value is stored in config.yaml" in line
    assert typed in yaml.safe_load((tmp_path / "run" / "overrides.yaml").read_text())
