"""A run whose process is killed, whose disk is full, or whose files are taken away."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sentence_order.errors import TrainingError
from sentence_order.runtime.manifest import find_corruption
from sentence_order.training.loop import TrainingLoop
from sentence_order.training.state import read_state
from tests import faults
from tests.records import lines_without_clock
from tests.training.loops import corpus_of, loop_of, train

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def make_loop(make_model, stories) -> Callable[..., TrainingLoop]:
    """Makes the loop of a run that saves after every step; with `resumed`, from where it was."""

    def make(folder: Path, resumed: bool = False, **options: object) -> TrainingLoop:
        model = make_model()
        state = read_state(folder / "checkpoints" / "last") if resumed else None
        settings = {"max_steps": 6, "eval_every": 3, "save_every": 1, **options}
        return loop_of(model, corpus_of(model, stories[:20]), folder, state=state, **settings)

    return make


@pytest.fixture(scope="module")
def unbroken(make_loop, tmp_path_factory: pytest.TempPathFactory) -> TrainingLoop:
    """The loop of such a run at its end."""
    loop = make_loop(tmp_path_factory.mktemp("unbroken"))
    train(loop)
    return loop


@pytest.mark.parametrize(
    ("point", "number", "named"),
    [
        ("weights", 3, "checkpoints/best"),
        ("state", 3, "training_state.pt"),
        ("sync", 40, ""),
        ("rename", 7, ""),
        ("line", 2, "metrics.jsonl"),
        ("event", 14, ""),
    ],
)
def test_full_disk_costs_nothing_but_the_run(
    make_loop,
    unbroken: TrainingLoop,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    point: str,
    number: int,
    named: str,
) -> None:
    """It ends in one line, and resumes from its last checkpoint as if the disk had never been full."""
    faults.seen.clear()
    with monkeypatch.context() as patches:
        for owner, name, function in list(faults.replacements("full", point, number)):
            patches.setattr(owner, name, function)
        patches.setattr("threading.excepthook", lambda arguments: None)  # pytest's own
        last = tmp_path / "checkpoints" / "last"
        with pytest.raises(TrainingError, match=rf"step [1-6]: .*{named}.* written: .*; last checkpoint: {last};"):
            train(make_loop(tmp_path))
    assert find_corruption(last) is None
    assert {path.name for path in last.parent.iterdir()} <= {"best", "last"}
    again = make_loop(tmp_path, resumed=True)
    assert 0 < again.state.step < 6
    train(again)
    for weight, expected in zip(again.stepper.trainable, unbroken.stepper.trainable, strict=True):
        assert torch.equal(weight, expected)
    assert lines_without_clock(tmp_path) == lines_without_clock(unbroken.folder)


@pytest.mark.parametrize("gone", ["", "metrics.jsonl", "events.out.tfevents.*"])
def test_files_that_are_removed_stop_the_run(make_loop, tmp_path: Path, gone: str) -> None:
    run = tmp_path / "run"

    def remove(loop: TrainingLoop) -> None:
        (path,) = run.glob(gone) if gone else [run]
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    with pytest.raises(TrainingError, match=r"step 2: .* written: ") as caught:
        train(make_loop(run, on_step=remove))
    last = run / "checkpoints" / "last"
    end = f"; last checkpoint: {last}; " if last.exists() else "; no checkpoint saved yet"
    assert end in str(caught.value)


def test_best_checkpoint_is_needed_to_resume(command: Command, tmp_path: Path) -> None:
    """Without the last one the run starts from the beginning."""
    settings = ("debug=smoke", "data.limit_train=50", "encoder.tiny_width=48", "trainer.max_steps=4")
    done = command("train", *settings, "trainer.eval_every=2", "output_dir=run")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    lines, best = lines_without_clock(run), run / "checkpoints" / "best"
    (run / "results.json").unlink()

    def refuses() -> bool:
        done = command("train", "resume=run")
        assert done.stderr.splitlines()[-1].startswith("error: run/checkpoints/best: "), done.stderr
        return done.returncode == 2

    aside = best.rename(tmp_path / "aside")
    assert refuses()
    aside.rename(best)
    content = (best / "config.json").read_text()
    (best / "config.json").write_text(content + " ")
    assert refuses()
    (best / "config.json").write_text(content)
    shutil.rmtree(best.with_name("last"))
    done = command("train", "resume=run")
    assert done.returncode == 0, done.stderr
    assert lines_without_clock(run) == lines
