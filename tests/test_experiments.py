"""Every experiment trains in seconds at a small size, and its evaluation does not depend on the shuffle."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from sentence_order.config.parsing import CONFIG_DIR

Command = Callable[..., CompletedProcess[str]]
EXPERIMENTS = sorted(path.stem for path in (CONFIG_DIR / "experiment").glob("*.yaml"))
# Its position ids continue through the document; the scores of all others do not depend on the input order.
DEPEND_ON_INPUT_ORDER = {"bert4so"}
# One of each kind of head; the others are trained in the slow run.
IN_THE_SUITE = {"bert4so", "naon", "position_regression", "sentence_pointer"}
METRICS = ("tau", "pmr", "accuracy", "accuracy_per_document", "spearman", "pairwise_accuracy", "first", "last", "lcs")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in IN_THE_SUITE else [pytest.mark.slow]) for name in EXPERIMENTS]
)
def test_every_experiment_trains_and_evaluates(
    name: str, command: Command, story_files: dict[str, Path], tmp_path: Path
) -> None:
    text = (CONFIG_DIR / "experiment" / f"{name}.yaml").read_text()
    assert text.startswith(f"# @package _global_\n# python -m sentence_order.train experiment={name}")
    files = ["data=jsonl", *(f"data.{split}={path}" for split, path in story_files.items())]
    tiny = ["encoder.name=tiny", "trainer.max_steps=10", "trainer.eval_every=5", "optim.ema=0.9", "model.dropout=0"]
    done = command("train", f"experiment={name}", *tiny, *files, "output_dir=run")
    assert done.returncode == 0, done.stderr
    own = json.loads((tmp_path / "run" / "results.json").read_text())["test"]
    assert 0 <= own["calibration_error"] <= 1
    kept = json.loads((tmp_path / "run" / "checkpoints" / "best" / "config.json").read_text())
    assert kept["calibration"]
    has_pairs = kept["decoder"] != "pointer"
    assert (kept["pair_calibration"] is not None, "pair_calibration_error" in own) == (has_pairs, has_pairs)
    assert kept["beam_width"] == (16 if kept["decoder"] == "pointer" else 64)

    done = command("evaluate", "checkpoint=run", "seed=5", "shuffles=3")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["test"]
    if name in DEPEND_ON_INPUT_ORDER:
        assert found["changed_by_reshuffling"] > 0
        assert "does not depend" not in done.stderr
        # Twenty stories, whose taus have a standard deviation of about .3: four standard errors of a difference.
        assert abs(found["tau"]["value"] - own["tau"]["value"]) < 0.4
    else:
        assert found["changed_by_reshuffling"] == 0
        assert "does not depend" in done.stderr
        for metric in METRICS:
            assert found[metric]["value"] == own[metric]["value"]
