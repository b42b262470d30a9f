"""The prefix cache by its commands: a second run reads what the first has written; it can be listed and cleared."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

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
        (line,) = (line for line in done.stderr.splitlines() if "prefix cache: on; " in line)
        assert "embeddings to layer_1" in line
        assert ("missing" in line) == (run == "first")
        lines = [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        losses.append([line["train/loss"] for line in lines if "train/loss" in line])
    assert losses[0] == losses[1]
    weights = [(tmp_path / run / "checkpoints" / "last" / "model.safetensors") for run in ("first", "second")]
    assert weights[0].read_bytes() == weights[1].read_bytes()

    # By default an evaluation has the cache of the run; one that is named is filled by it too.
    evaluated = command("evaluate", "checkpoint=first")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "prefix cache: on; " in evaluated.stderr
    assert str(Path("kept")) in evaluated.stderr
    expected = json.loads((tmp_path / "first" / "results.json").read_text())
    assert expected["train"]["cached"]
    assert json.loads(evaluated.stdout)["test"]["tau"] == expected["test"]["tau"]

    for filled in (True, False):
        evaluated = command("evaluate", "checkpoint=first", *files, "split=validation", "cache=./other")
        assert ("missing" in evaluated.stderr) == filled

    listed = command("cache", "--dir", "kept")
    assert listed.returncode == 0, listed.stderr
    for word in ("corpora", "bert, 4 layers of 96", "embeddings to layer_1", "sentences", "token states in float32"):
        assert word in listed.stdout
    mistaken = command("cache", "clear", "nothing", "--dir", "kept")
    assert mistaken.returncode == 2
    assert "nothing" in mistaken.stderr.splitlines()[-1]
    assert list((tmp_path / "kept").glob("*/*.states"))
    assert list((tmp_path / "kept" / "corpora").glob("*.arrow"))
    assert command("cache", "clear", "corpora", "--dir", "kept").returncode == 0
    assert not list((tmp_path / "kept" / "corpora").glob("*.arrow"))
    assert list((tmp_path / "kept").glob("*/*.states"))
    assert command("cache", "clear", "--dir", "kept").returncode == 0
    assert not list((tmp_path / "kept").glob("*/*.states"))
