"""Which runs a report finds, and how it groups and names them."""

import json
from pathlib import Path

import pytest

from sentence_order.errors import UserError
from sentence_order.experiments.runs import find_runs, group_runs
from tests.experiments.runs import make_run


def names_of(folder: Path) -> list[str]:
    return [arm.name for arm in group_runs(find_runs([folder])[0])[0]]


def test_arms_are_named_by_what_differs(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(tmp_path / f"a{seed}", [f"seed={seed}", f"cache=./c{seed}"], [0, 1], started=seed)
    make_run(tmp_path / "b", ["freeze.depth=1"], [0, 1], frozen=2, started=2)
    make_run(tmp_path / "c", ["freeze.embeddings=true", "freeze.layers=1", "seed=1"], [0, 1], frozen=2, started=3)
    make_run(tmp_path / "d", ["freeze=gradual"], [0, 1], started=4)
    arms, left_out = group_runs(find_runs([tmp_path])[0])
    assert [arm.name for arm in arms] == ["none", "embeddings + 1 layer", "gradual 0:all 0.1:half 0.3:none"]
    assert [len(arm.runs) for arm in arms] == [2, 2, 1], "two ways to freeze the same are one arm"
    assert left_out == []


def test_settings_that_change_no_number_make_no_arm(tmp_path: Path) -> None:
    for seed, setting in enumerate(("log_every=1", "keep=2")):
        make_run(tmp_path / str(seed), [f"seed={seed}", f"trainer.{setting}"], [0, 1], started=seed)
    assert names_of(tmp_path) == ["all runs"]
    make_run(tmp_path / "gc", ["trainer.gradient_checkpointing=true"], [0, 1], started=4)  # takes less memory
    assert names_of(tmp_path) == ["gradient_checkpointing: False", "gradient_checkpointing: True"]


def test_names_of_arms_show_every_differing_key(tmp_path: Path) -> None:
    make_run(tmp_path / "a", [], [0, 1])
    make_run(tmp_path / "b", ["optim.lr=1e-4", "loss=pairwise_logistic"], [0, 1], started=1)
    assert names_of(tmp_path) == ["loss: 3 order, lr: 8e-05", "loss: pairwise_logistic+2 neighbours, lr: 0.0001"]


def test_repetitions_and_unfinished_runs_are_left_out(tmp_path: Path) -> None:
    make_run(tmp_path / "a", [], [0, 1])
    make_run(tmp_path / "again", [], [0, 1], started=1)
    (make_run(tmp_path / "broken", ["seed=1"], [0, 1]) / "results.json").unlink()
    runs, unfinished = find_runs([tmp_path])
    assert unfinished == [tmp_path / "broken"]
    _, left_out = group_runs(runs)
    assert [run.folder.name for run in left_out] == ["again"]


def test_runs_of_other_programs_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = make_run(tmp_path / "a", [], [0, 1])
    (tmp_path / "[red]other").mkdir()
    (tmp_path / "[red]other" / "config.yaml").write_text("lr: 0.1\n")
    (tmp_path / "[red]other" / "results.json").write_text("{}")
    runs, unfinished = find_runs([tmp_path, own])
    assert ([run.folder for run in runs], unfinished) == ([own], [])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"left out: {tmp_path}/[red]other/config.yaml: not the config of a run")


def test_folders_without_finished_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        find_runs([tmp_path / "nowhere"])
    with pytest.raises(UserError, match=r"results\.json"):
        find_runs([tmp_path])


@pytest.mark.parametrize(
    "damage", [{"train": None}, {"train": []}, {"train": {}}, {"frozen": 3}, {"parameters": "x"}, {"cached": None}]
)
def test_damaged_records_of_a_training_are_refused(tmp_path: Path, damage: dict[str, object]) -> None:
    file = make_run(tmp_path / "a", [], [0, 1]) / "results.json"
    results = json.loads(file.read_text())
    record = results if "train" in damage else results["train"]
    record.update(damage)
    file.write_text(json.dumps(results))
    with pytest.raises(UserError, match=r"a/results\.json: not the results of a run: "):
        find_runs([tmp_path])
