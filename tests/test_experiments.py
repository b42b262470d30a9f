"""Every experiment as users run it, at a size of seconds, and what its evaluation must not depend on."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from sentence_order.config import config_dir

Command = Callable[..., CompletedProcess[str]]
EXPERIMENTS = sorted(path.stem for path in (config_dir() / "experiment").glob("*.yaml"))
# Its position ids run on through the document; all others say the same of a document however it is shuffled.
KNOW_THE_SHUFFLE = {"bert4so"}
METRICS = ("tau", "pmr", "accuracy", "accuracy_per_document", "spearman", "pairwise_accuracy", "first", "last", "lcs")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_method(name: str, command: Command, story_files: dict[str, Path], tmp_path: Path) -> None:
    text = (config_dir() / "experiment" / f"{name}.yaml").read_text()
    assert text.startswith(f"# @package _global_\n# python -m sentence_order.train experiment={name}")
    files = ["data=jsonl", *(f"data.{split}={path}" for split, path in story_files.items())]
    tiny = ["encoder.name=tiny", "trainer.max_steps=10", "trainer.eval_every=5", "optim.ema=0.9", "model.dropout=0"]
    done = command("train", f"experiment={name}", *tiny, *files, "output_dir=run")
    assert done.returncode == 0, done.stderr
    own = json.loads((tmp_path / "run" / "results.json").read_text())["test"]
    assert 0 <= own["calibration_error"] <= 1
    kept = json.loads((tmp_path / "run" / "checkpoints" / "best" / "config.json").read_text())
    assert kept["calibration"]
    assert kept["beam_width"] == (16 if kept["decoder"] == "pointer" else 64)

    done = command("evaluate", "checkpoint=run", *files, "seed=5", "shuffles=3")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["test"]
    if name in KNOW_THE_SHUFFLE:
        assert found["changed_by_reshuffling"] > 0
        assert "does not depend" not in done.stderr
        # Twenty stories, whose taus have a standard deviation of about .3: four standard errors of a difference.
        assert abs(found["tau"]["value"] - own["tau"]["value"]) < 0.4
    else:
        assert found["changed_by_reshuffling"] == 0
        assert "does not depend" in done.stderr
        for metric in METRICS:
            assert found[metric]["value"] == own[metric]["value"]
