"""The prefix cache as users meet it: a second run reads what the first has written; it can be listed and cleared."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Command = Callable[..., CompletedProcess[str]]


def test_later_runs_and_evaluations_read_what_the_first_has_written(
    command: Command, story_files: dict[str, Path], tmp_path: Path
) -> None:
    files = ["data=jsonl", *(f"data.{split}={path}" for split, path in story_files.items())]
    settings = [
        *files,
        "encoder=tiny",
        "freeze=bottom_half",
        "trainer.epochs=2",
        "trainer.eval_every=1000",
        "cache=./kept",
    ]
    losses = []
    for run in ("first", "second"):
        done = command("train", *settings, f"output_dir={run}")
        assert done.returncode == 0, done.stderr
        assert "prefix cache: on; embeddings to layer_1 of " in done.stderr
        assert ("are added now" in done.stderr) == (run == "first")
        lines = [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        losses.append([line["train/loss"] for line in lines if "train/loss" in line])
    assert losses[0] == losses[1]
    weights = [(tmp_path / run / "checkpoints" / "last" / "model.safetensors") for run in ("first", "second")]
    assert weights[0].read_bytes() == weights[1].read_bytes()

    evaluated = command("evaluate", "checkpoint=first", *files, "cache=./kept")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "prefix cache: on; " in evaluated.stderr
    expected = json.loads((tmp_path / "first" / "results.json").read_text())
    assert expected["train"]["cached"]
    assert json.loads(evaluated.stdout)["test"]["tau"] == expected["test"]["tau"]

    for added in (True, False):  # by an evaluation too, in a folder that is named
        evaluated = command("evaluate", "checkpoint=first", *files, "split=validation", "cache=./other")
        assert ("are added now" in evaluated.stderr) == added

    listed = command("cache", "--dir", "kept")
    assert listed.returncode == 0, listed.stderr
    for word in ("bert, 4 layers of 96", "embeddings to layer_1", "sentences", "token states in float32"):
        assert word in listed.stdout
    assert command("cache", "clear", "nothing", "--dir", "kept").returncode == 2
    assert list((tmp_path / "kept").glob("*/*.states"))
    assert command("cache", "clear", "--dir", "kept").returncode == 0
    assert not list((tmp_path / "kept").glob("*/*.states"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["cache=kept"], "cache=kept: there is no such option (there are auto, off; to name a folder: cache=./kept)"),
        (["cache.dtype=int8"], "cache.dtype"),
        (["cache.max_gb=0"], "cache.max_gb: must be above zero, not 0"),
        (["cache.max_gb=nan"], "cache.max_gb: must be above zero, not nan"),
    ],
)
def test_mistakes(command: Command, arguments: list[str], complaint: str) -> None:
    done = command("train", "debug=smoke", *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
