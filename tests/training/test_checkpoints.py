"""The last checkpoints that a run keeps beside the best and the last one."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from sentence_order.errors import UserError
from sentence_order.model.checkpoint import load_checkpoint
from sentence_order.runtime.manifest import find_corruption
from sentence_order.training.loop import TrainingLoop
from sentence_order.training.outputs import check_overwrites
from sentence_order.training.state import STATE_FILE, read_state
from tests.training.loops import Stopped, corpus_of, loop_of, stop_after, train


def kept(folder: Path) -> dict[str, bytes]:
    """The weights of the checkpoints that are kept, by name."""
    paths = folder.glob("checkpoints/*step_*")
    return {path.name: (path / "model.safetensors").read_bytes() for path in paths}


def test_resumed_run_keeps_the_checkpoints_of_an_unbroken_one(make_model, stories, tmp_path: Path) -> None:
    """Each loads; what was saved after the step that it resumes from, and what a killed writer left, is gone."""

    def loop(folder: Path, **settings: Any) -> TrainingLoop:
        settings = {"max_steps": 5, "eval_every": 5, "save_every": 1, "keep": 2, **settings}
        return loop_of(model := make_model(), corpus_of(model, stories), folder, **settings)

    train(loop(straight := tmp_path / "straight"))
    assert kept(straight).keys() == {"step_4", "step_5"}

    with pytest.raises(Stopped):
        train(loop(broken := tmp_path / "broken", on_step=stop_after(3)))
    places = broken / "checkpoints"
    for name in ("step_9", ".step_1.abcd1234.unfinished", ".step_3.old.abcd1234"):
        shutil.copytree(places / "step_3", places / name)
    shutil.rmtree(places / "step_3")
    train(loop(broken, state=read_state(places / "last")))
    assert kept(broken) == kept(straight)

    for folder in (places / "step_4", places / "step_5"):
        load_checkpoint(str(folder))
        assert find_corruption(folder) is None
        assert not (folder / STATE_FILE).exists(), "it would be three times as large"
        with pytest.raises(UserError, match="is part of the checkpoint"):
            check_overwrites("output", folder / "mine.json")


def test_files_of_others_are_left_alone(make_model, stories, tmp_path: Path) -> None:
    """Beside the checkpoints that are kept and within one, which then stays; and with `keep=0` all that were kept."""
    places = tmp_path / "checkpoints"

    def on_step(loop: TrainingLoop) -> None:
        if loop.state.step == 1:
            (places / "step_1" / "mine.txt").touch()
            (places / "step_0").mkdir()
            (places / "step_notes").touch()

    settings = {"max_steps": 4, "eval_every": 4, "save_every": 1}
    model = make_model()
    train(loop_of(model, corpus_of(model, stories), tmp_path, keep=1, on_step=on_step, **settings))
    names = {"best", "last", "step_0", "step_1", "step_4", "step_notes"}
    assert {path.name for path in places.iterdir()} == names
    assert (places / "step_1" / "model.safetensors").exists()

    state = read_state(places / "last")
    assert state is not None
    loop = loop_of(model, corpus_of(model, stories), tmp_path, keep=0, state=state, **settings)
    loop.save_checkpoint()
    assert {path.name for path in places.iterdir()} == names
