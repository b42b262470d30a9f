"""A run that stops and goes on is the run that never stopped."""

from pathlib import Path

import pytest
import torch

from benchmarks.survival import lines_of
from sentence_order.config import FreezeConfig, OptimConfig
from sentence_order.errors import UserError
from sentence_order.files import MANIFEST
from sentence_order.model.freezing import freeze_phases
from sentence_order.runtime import Runtime
from sentence_order.training.loop import Trainer
from sentence_order.training.state import STATE_FILE, read_state
from tests.training.trainers import CPU, HALF, corpus_of, trainer_of

GRADUAL = ["0:all", "0.5:1", "1:none"]


@pytest.mark.parametrize(
    ("stopped", "schedule", "phases_to_come", "accumulate", "runtime"),
    [
        (5, [], 0, 1, CPU),
        (5, GRADUAL, 2, 1, CPU),
        (14, GRADUAL, 1, 1, CPU),
        (31, GRADUAL, 0, 1, CPU),
        (5, [], 0, 3, HALF),
    ],
)
def test_resumed_equals_straight_through(
    make_model,
    stories,
    tmp_path: Path,
    stopped: int,
    schedule: list[str],
    phases_to_come: int,
    accumulate: int,
    runtime: Runtime,
) -> None:
    """To the last bit: with dropout, an average of the weights, blocks that are unfrozen, in the middle of an epoch,
    and with the scale of half precision."""

    def trainer(folder: Path, **settings: object) -> Trainer:
        model = make_model(dropout=0.2)
        freeze = FreezeConfig(schedule=schedule)
        phases = freeze_phases(freeze, 4)
        model.freeze(phases[0].blocks, to_the_end=phases[-1].blocks)
        return trainer_of(
            model,
            corpus_of(model, stories[:30]),
            folder,
            optim=OptimConfig(lr=1e-3, ema=0.9, layer_decay=0.9),
            freeze=freeze,
            runtime=runtime,
            **{"epochs": 2, "accumulate": accumulate, "eval_every": 6, "save_every": 5, "log_every": 4, **settings},
        )

    torch.manual_seed(0)
    straight = trainer(tmp_path / "straight")
    straight.fit()
    assert straight.total_steps > stopped

    torch.manual_seed(0)
    broken = trainer(tmp_path / "broken")
    for step in broken.steps():
        if step == stopped + 1:  # past what was saved, and recorded too
            break
    torch.manual_seed(1)
    state = read_state(tmp_path / "broken" / "checkpoints" / "last")
    assert state is not None
    assert state["step"] <= stopped + 1
    assert state["phases_to_come"] == phases_to_come
    resumed = trainer(tmp_path / "broken", state=state)
    resumed.fit()

    for (name, one), other in zip(straight.model.named_parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other), name
    for one, other in zip(straight.stepper.average.average, resumed.stepper.average.average, strict=True):
        assert torch.equal(one, other)
    assert resumed.stepper.scaler.state_dict() == straight.stepper.scaler.state_dict()
    assert lines_of(tmp_path, "broken") == lines_of(tmp_path, "straight")
    assert (resumed.best, resumed.best_step, resumed.documents) == (
        straight.best,
        straight.best_step,
        straight.documents,
    )


def test_a_run_saved_at_its_end_has_nothing_to_do(make_model, stories, tmp_path: Path) -> None:
    model = make_model()
    trainer_of(model, corpus_of(model, stories), tmp_path, max_steps=3, eval_every=3).fit()
    state = read_state(tmp_path / "checkpoints" / "last")
    again = trainer_of(make_model(), corpus_of(model, stories), tmp_path, max_steps=3, eval_every=3, state=state)
    assert list(again.steps()) == []
    assert again.best
    assert (tmp_path / "checkpoints" / "last" / STATE_FILE).is_file()
    assert not (tmp_path / "checkpoints" / "best" / STATE_FILE).exists()


def test_a_damaged_state_is_told(make_model, stories, tmp_path: Path) -> None:
    model = make_model()
    trainer_of(model, corpus_of(model, stories), tmp_path, max_steps=1).fit()
    last = tmp_path / "checkpoints" / "last"
    content = (last / STATE_FILE).read_bytes()
    assert read_state(last) is not None
    (last / STATE_FILE).write_bytes(content[:-100])
    with pytest.raises(UserError, match=r"training_state.pt is not as it was written, by SHA256SUMS; a run in another"):
        read_state(last)
    (last / STATE_FILE).write_bytes(content)
    (last / MANIFEST).unlink()
    with pytest.raises(UserError, match="last is damaged: it has no SHA256SUMS"):
        read_state(last)
    assert read_state(tmp_path / "checkpoints" / "nothing") is None


def test_no_better_validation_for_long_ends_a_run_and_is_counted_over_a_stop(
    make_model, stories, tmp_path: Path
) -> None:
    """Rates of zero: the first validation is never surpassed."""
    model, settings = make_model(), {"max_steps": 20, "eval_every": 2, "save_every": 1, "patience": 3}
    rates = OptimConfig(lr=0.0, head_lr=0.0)
    trainer = trainer_of(model, corpus_of(model, stories), tmp_path, rates, **settings)
    for step in trainer.steps():
        if step == 5:
            break
    assert (trainer.best_step, trainer.worse) == (2, 1)
    state = read_state(tmp_path / "checkpoints" / "last")
    trainer = trainer_of(make_model(), corpus_of(model, stories), tmp_path, rates, state=state, **settings)
    assert list(trainer.steps()) == [6, 7, 8]
    assert trainer.ended
    trainer = trainer_of(
        make_model(), corpus_of(model, stories), tmp_path, rates, state=state, **{**settings, "patience": 1}
    )
    assert list(trainer.steps()) == [6]  # one that was lowered when the run went on, and is passed already


@pytest.mark.parametrize("changed", ["documents", "order", "weights"])
def test_what_a_run_reads_must_be_what_it_was(make_model, stories, tmp_path: Path, changed: str) -> None:
    model = make_model()
    model.freeze({0, 1})
    trainer_of(model, corpus_of(model, stories), tmp_path, max_steps=1).fit()
    state = read_state(tmp_path / "checkpoints" / "last")
    other = make_model(seed=1) if changed == "weights" else make_model()
    other.freeze({0, 1})
    texts = {"documents": stories[:-1], "order": stories[::-1], "weights": stories}[changed]
    named = "frozen weights" if changed == "weights" else "data.train"
    with pytest.raises(UserError, match=f"{named}: not what the run has read so far"):
        trainer_of(other, corpus_of(other, texts), tmp_path, state=state, max_steps=2)
