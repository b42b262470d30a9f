"""A run whose process is killed, whose disk is full, or whose files are taken away."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from benchmarks import faults, survival
from sentence_order.cli import compose
from sentence_order.errors import TrainingError, UserError
from sentence_order.files import damage
from sentence_order.processes import ALONE
from sentence_order.training import folder
from sentence_order.training.folder import CONFIG_FILE, held
from sentence_order.training.loop import Trainer
from sentence_order.training.run import _take_up
from sentence_order.training.state import read_state
from tests.training.trainers import corpus_of, trainer_of


@pytest.mark.parametrize("name", survival.RUNS)
def test_killed_runs_end_as_the_unbroken_one(tmp_path: Path, name: str) -> None:
    """The short form of `scripts/bench_survival`: in the middle of a state, of a line, at a random moment."""
    overrides = survival.RUNS[name]
    passed, seconds = survival.unbroken(tmp_path / "unbroken", overrides)
    assert min(passed[point] for point in ("weights", "state", "sync", "replace", "rename", "line", "event")) > 5
    tally, dice = survival.Tally(), random.Random(len(name))
    survival.torment(tmp_path / "killed", overrides, 2, passed, seconds, dice, tally)
    survival.compare(tmp_path / "killed", tmp_path / "unbroken")
    assert tally.kills.total() >= 1


@pytest.fixture
def make_trainer(make_model, stories, tmp_path: Path) -> Callable[..., Trainer]:
    """Makes the trainer of a run in `tmp_path/run` that saves after every step; with `resumed`, where it was saved."""

    def make(folder: str = "run", resumed: bool = False) -> Trainer:
        model = make_model()
        state = read_state(tmp_path / folder / "checkpoints" / "last") if resumed else None
        return trainer_of(
            model, corpus_of(model, stories), tmp_path / folder, state=state, max_steps=6, eval_every=3, save_every=1
        )

    return make


@pytest.mark.parametrize(
    ("point", "number", "complaint"),
    [
        ("weights", 3, "checkpoints/best cannot be written: I/O error: No space left on device"),
        ("state", 3, "training_state.pt cannot be written: .* failed writing file"),
        ("sync", 40, "cannot be written: No space left on device"),
        ("rename", 7, "cannot be written: No space left on device"),
        ("line", 2, "metrics.jsonl cannot be written: No space left on device"),
        ("event", 14, "cannot be written: No space left on device"),
    ],
)
def test_a_full_disk_is_told_and_costs_nothing(
    make_trainer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, point: str, number: int, complaint: str
) -> None:
    straight = make_trainer("straight")
    straight.fit()
    faults.seen.clear()
    with monkeypatch.context() as patches:
        for owner, name, function in list(faults.replacements("full", point, number)):
            patches.setattr(owner, name, function)
        patches.setattr("threading.excepthook", lambda arguments: None)  # pytest's own
        with pytest.raises(
            TrainingError, match=rf"step [1-6]: .*{complaint}.*; last good checkpoint: \S+last, and to go"
        ):
            make_trainer().fit()
    last = tmp_path / "run" / "checkpoints" / "last"
    assert damage(last) is None
    assert sorted(path.name for path in last.parent.iterdir() if path.name not in ("best", "last")) == []
    again = make_trainer(resumed=True)
    assert 0 < again.step < 6
    again.fit()
    for weight, expected in zip(again.stepper.trained, straight.stepper.trained, strict=True):
        assert torch.equal(weight, expected)
    assert survival.lines_of(tmp_path, "run") == survival.lines_of(tmp_path, "straight")


@pytest.mark.parametrize("gone", ["", "metrics.jsonl", "events.out.tfevents.*"])
def test_files_that_are_removed_stop_the_run(make_trainer, tmp_path: Path, gone: str) -> None:
    trainer = make_trainer()
    steps = trainer.steps()
    next(steps)
    (path,) = (tmp_path / "run").glob(gone) if gone else [tmp_path / "run"]
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(TrainingError, match=r"step 2: .* cannot be written: .*; last good checkpoint: ") as caught:
        next(steps)
    last = tmp_path / "run" / "checkpoints" / "last"
    assert str(caught.value).split("last good checkpoint: ")[1].startswith(str(last) if last.exists() else "none yet")


def test_the_best_checkpoint_is_needed_and_never_removed(make_trainer, tmp_path: Path) -> None:
    make_trainer().fit()
    config = compose("train", [f"output_dir={tmp_path / 'run'}"])
    (tmp_path / "run" / CONFIG_FILE).write_text(OmegaConf.to_yaml(OmegaConf.structured(config)))
    best = tmp_path / "run" / "checkpoints" / "best"
    assert _take_up(config, ALONE) is not None
    aside = best.rename(tmp_path / "aside")
    with pytest.raises(UserError, match="best: there is none; without it the run cannot be judged"):
        _take_up(config, ALONE)
    aside.rename(best)
    content = (best / "config.json").read_text()
    (best / "config.json").write_text(content + " ")
    with pytest.raises(UserError, match=r"best: config.json is not as it was written"):
        _take_up(config, ALONE)
    (best / "config.json").write_text(content)
    shutil.rmtree(best.with_name("last"))
    assert _take_up(config, ALONE) is None  # it begins anew
    assert damage(best) is None
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


SMALL_DISK = """
mount -t tmpfs -o size={megabytes}m tmpfs "{place}" && cd "{place}"
"{python}" -m sentence_order.train debug=smoke encoder.tiny_width=48 trainer.save_every=2 output_dir=run {more}
echo "code $?"
cp -r run "{copy}"
"""


@pytest.mark.parametrize(("megabytes", "more", "code"), [(9, "", 1), (1, "data.limit_train=300", 1)])
def test_a_real_disk_that_is_too_small(tmp_path: Path, megabytes: int, more: str, code: int) -> None:
    (place := tmp_path / "small").mkdir()
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*namespace, "mount -t tmpfs none /mnt"], check=False).returncode
    ):
        pytest.skip("this system does not let users mount a file system of their own")
    script = SMALL_DISK.format(
        megabytes=megabytes, place=place, python=sys.executable, copy=tmp_path / "copy", more=more
    )
    done = subprocess.run([*namespace, script], capture_output=True, text=True, timeout=250, check=False)
    assert done.stdout.splitlines()[-1] == f"code {code}", done.stderr
    assert "Traceback" not in done.stderr
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "cannot be written: " in told or "No space left" in told
    last = tmp_path / "copy" / "checkpoints" / "last"
    assert last.exists() == ("last good checkpoint: run/checkpoints/last, and to go on" in told)
    if megabytes == 9:
        assert damage(last) is None
        assert read_state(last) is not None
        for line in (tmp_path / "copy" / "metrics.jsonl").read_text().splitlines():
            json.loads(line)


def test_two_runs_do_not_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(folder, "SECONDS_TO_LET_GO", 0.1)
    with (
        held(tmp_path),
        pytest.raises(UserError, match="output_dir: another process is training in"),
        held(tmp_path),
    ):
        pass
    with held(tmp_path):  # and lets go
        pass
