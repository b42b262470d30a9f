"""Which runs are those of a search, and which of them it chooses."""

import json
from pathlib import Path

import pytest

from sentence_order.experiments.runs import find_runs, group_runs
from sentence_order.experiments.search import Choice, choose_by_validation
from tests.experiments.runs import make_run


def choose(folder: Path) -> Choice | None:
    """The choice among the runs in a folder."""
    return choose_by_validation(group_runs(find_runs([folder])[0])[0])


@pytest.mark.parametrize(
    ("settings", "is_search"),
    [
        (["optim.lr=1e-5", "optim.lr=2e-5", "optim.lr=3e-5"], True),
        (["loss.order=1 loss.neighbours=1", "loss.order=1 loss.neighbours=2", "loss.order=3 loss.neighbours=2"], True),
        (["trainer.epochs=1 optim.lr=2e-5", "trainer.epochs=2 optim.lr=1e-5", "trainer.epochs=3"], True),
        (["model.set_layers=0", "model.set_layers=1", "model.set_layers=2"], False),
        (["optim.ema=0", "optim.ema=0.9", "optim.ema=0.99"], False),
        (["loss=order", "loss=list_mle", "loss=ranknet"], False),
        (["optim.lr=1e-5 encoder.joint_from=0", "optim.lr=2e-5", "optim.lr=3e-5"], False),
        (["optim.lr=1e-5 seed=0", "optim.lr=1e-5 seed=1", "optim.lr=2e-5 seed=0"], False),
        (["optim.lr=1e-5", "optim.lr=2e-5 trainer.metric=pmr", "optim.lr=3e-5"], False),
    ],
)
def test_a_grid_of_numbers_without_repeated_seeds_is_a_search(
    settings: list[str], is_search: bool, tmp_path: Path
) -> None:
    """And what a plugin of Hydra has searched."""
    for number, (own, tau) in enumerate(zip(settings, (0.3, 0.5, 0.4), strict=True)):
        make_run(tmp_path / f"{number}", own.split(), [0, 1], started=number, curve=[0.1, tau])
    choice = choose(tmp_path)
    assert (choice is not None) == is_search
    assert choice is None or [run.folder.name for run in choice.arm.runs] == ["1"]
    (tmp_path / "optimization_results.yaml").touch()
    choice = choose(tmp_path)
    assert (choice is None) == ("metric" in settings[1])
    assert choice is None or "1" in [run.folder.name for run in choice.arm.runs]


def test_a_search_by_the_loss_chooses_the_least(tmp_path: Path) -> None:
    for number, loss in enumerate((0.7, 0.5, 0.6)):
        run = make_run(tmp_path / f"{number}", [f"optim.lr={number + 1}e-5", "trainer.metric=loss"], [number, 1, 2])
        results = json.loads((run / "results.json").read_text())
        (run / "results.json").write_text(json.dumps({**results, "validation": {"loss": loss}}))
    assert str(choose(tmp_path)) == f"Best of 3 by validation loss: optim.lr=2e-05, 0.500 -> {tmp_path}/1"
