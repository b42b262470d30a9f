"""Means, intervals and tests, by hand and against scipy."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sentence_order.errors import UserError
from sentence_order.evaluation.metrics import MAIN_METRICS
from sentence_order.experiments.estimates import compare_arms, holm
from sentence_order.experiments.report import write_report
from sentence_order.experiments.runs import Arm, find_runs, group_runs
from tests.experiments.runs import make_run


def arms_of(folder: Path) -> list[Arm]:
    return group_runs(find_runs([folder])[0])[0]


def test_one_seed_is_a_paired_t_test_over_documents(tmp_path: Path) -> None:
    base, frozen = [0, 2, 3, 1, 0, 4, 2, 2], [1, 2, 5, 3, 0, 4, 4, 3]
    make_run(tmp_path / "a", [], base)
    make_run(tmp_path / "b", ["freeze.depth=embeddings"], frozen, frozen=1, started=1)
    found = compare_arms(arms_of(tmp_path))
    assert found.baseline.arm.name == "none"
    tau = [1 - 2 * np.array(wrong) / 10 for wrong in (base, frozen)]
    assert [row.tau["value"] for row in found.rows] == pytest.approx([tau[0].mean(), tau[1].mean()])
    change = found.others[0].difference["tau"]
    expected = stats.ttest_rel(tau[1], tau[0])
    low, high = expected.confidence_interval(0.95)
    assert (change.value, change.low, change.high) == pytest.approx((tau[1].mean() - tau[0].mean(), low, high))
    assert change.p == pytest.approx(expected.pvalue)
    assert found.rows[0].values["seconds_in_steps"] == {"value": 100.0, "low": None, "high": None}


def test_variance_between_seeds_is_pooled_over_the_arms(tmp_path: Path) -> None:
    """Documents that all agree leave only the seeds: two arms of two runs, each .1 from its arm's mean of tau."""
    for name, overrides, wrong in (("a", [], (1, 2)), ("b", ["optim.lr=1e-4"], (3, 4))):
        for seed in (0, 1):
            make_run(tmp_path / f"{name}{seed}", [*overrides, f"seed={seed}"], [wrong[seed]] * 50, seconds=100 + seed)
    found = compare_arms(arms_of(tmp_path))
    assert [len(row.arm.runs) for row in found.rows] == [2, 2]
    # Squared deviations are .1 ** 2 each, four of them over two degrees of freedom.
    deviation = np.sqrt(4 * 0.1**2 / 2)
    assert found.rows[0].tau["value"] == pytest.approx(0.7)
    half = stats.t.ppf(0.975, 2) * deviation / np.sqrt(2)
    assert found.rows[0].tau["low"] == pytest.approx(0.7 - half)
    change = found.others[0].difference["tau"]
    assert change.value == pytest.approx(-0.4)
    assert change.high == pytest.approx(-0.4 + half * np.sqrt(2))
    assert change.p == pytest.approx(2 * stats.t.sf(0.4 / deviation, 2))
    low, value, high = (found.rows[0].values["seconds_in_steps"][end] for end in ("low", "value", "high"))
    assert 0 < low < value < high


def test_documents_that_not_all_runs_have_are_counted(tmp_path: Path) -> None:
    make_run(tmp_path / "a", [], [0, 1, 2])
    make_run(tmp_path / "b", ["optim.lr=1e-4"], [0, 1, 2, 3, 4], started=1)
    found = compare_arms(arms_of(tmp_path))
    assert (found.documents, found.documents_left_out) == (3, 2)
    sentence = write_report([tmp_path], tmp_path / "report")[-1]
    assert "the numbers are of the 3 that all have, and up to 2 of a run are left out" in sentence
    assert sentence in (tmp_path / "report" / "report.md").read_text()


def test_equal_results_do_not_differ(tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        make_run(tmp_path / name, [f"optim.lr={1 + number}e-4"], [0, 1, 2], started=number)
    change = compare_arms(arms_of(tmp_path)).others[0].difference["tau"]
    assert (change.value, change.low, change.high, change.p) == (0, 0, 0, 1)
    assert not change.is_significant


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_baseline_can_be_chosen(tmp_path: Path) -> None:
    make_run(tmp_path / "a", [], [0, 1])
    make_run(tmp_path / "b", ["freeze=embeddings"], [1, 1], frozen=1, started=1)
    assert compare_arms(arms_of(tmp_path), "embeddings").baseline.arm.name == "embeddings"
    with pytest.raises(UserError, match=r"--baseline: .*half.*none; embeddings"):
        compare_arms(arms_of(tmp_path), "half")


def test_intervals_end_where_a_metric_does(tmp_path: Path) -> None:
    """Of few documents, most of them in order, half a symmetric interval would lie beyond 1."""
    make_run(tmp_path / "a", [], [0, 0, 0, 0, 0, 4])
    make_run(tmp_path / "b", ["optim.lr=1e-3"], [10, 10, 10, 10, 10, 0])
    found = compare_arms(arms_of(tmp_path))
    for row in found.rows:
        for metric in MAIN_METRICS:
            lowest = -1 if metric == "tau" else 0
            assert lowest <= row.values[metric]["low"] <= row.values[metric]["value"] <= row.values[metric]["high"] <= 1
    assert found.rows[0].tau["high"] == 1
    assert found.rows[1].tau["low"] == -1
    assert found.others[0].difference["pmr"].low == -1
