"""Intervals against theory, by hand where nothing varies, and by how often they hold the true value."""

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import norm

from sentence_order.evaluation.counts import document_counts
from sentence_order.evaluation.metrics import RatioArray, summarise
from sentence_order.evaluation.statistics import compare_results, with_intervals


def mean_of(values: np.ndarray) -> RatioArray:
    return RatioArray(values.astype(np.float64), np.ones(len(values)))


def test_the_interval_of_a_mean_is_near_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    interval = with_intervals({"mean": mean_of(values)}, resamples=4000)["mean"]
    low, high = norm.interval(0.95, values.mean(), values.std() / 20)
    assert interval["value"] == pytest.approx(values.mean())
    assert (interval["low"], interval["high"]) == pytest.approx((low, high), abs=0.02)


def test_the_interval_of_a_pooled_ratio_takes_both_parts_from_the_same_documents() -> None:
    # A ratio that is 1/2 but for noise, however much the lengths vary: drawn apart, it would vary as they do.
    rng = np.random.default_rng(1)
    length = rng.integers(2, 60, size=500).astype(np.float64)
    correct = length / 2 + rng.normal(0, 0.5, size=500)
    interval = with_intervals({"accuracy": RatioArray(correct, length)}, resamples=2000)["accuracy"]
    error = np.std(correct - length * correct.sum() / length.sum()) * 500**0.5 / length.sum()  # the delta method
    low, high = norm.interval(0.95, correct.sum() / length.sum(), error)
    assert (interval["low"], interval["high"]) == pytest.approx((low, high), abs=0.1 * (high - low))


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_as_many_intervals_hold_the_true_value_as_promised(confidence: float) -> None:
    rng = np.random.default_rng(2)
    held = []
    for seed in range(200):
        interval = with_intervals(
            {"pmr": mean_of(rng.random(150) < 0.4)}, confidence=confidence, resamples=300, seed=seed
        )["pmr"]
        assert interval["low"] is not None
        assert interval["high"] is not None
        held.append(interval["low"] <= 0.4 <= interval["high"])
    assert np.mean(held) == pytest.approx(confidence, abs=0.07)


def test_few_documents_by_hand() -> None:
    # Two documents, 0 and 1: a quarter of the resamples are 0, a half 1/2, a quarter 1.
    parts = {"pmr": mean_of(np.array([0, 1]))}
    assert with_intervals(parts) == {"pmr": {"value": 0.5, "low": 0.0, "high": 1.0}}
    assert with_intervals(parts, confidence=0.4) == {"pmr": {"value": 0.5, "low": 0.5, "high": 0.5}}


def test_one_document_has_a_value_and_no_interval() -> None:
    parts = {"accuracy": RatioArray(np.array([3.0]), np.array([4.0]))}
    assert with_intervals(parts) == {"accuracy": {"value": 0.75, "low": None, "high": None}}


@pytest.mark.parametrize("documents", [2, 9, 1000])
@pytest.mark.parametrize("value", [0.0, 1 / 3, 1.0])
def test_documents_that_agree_give_an_interval_of_no_width(documents: int, value: float) -> None:
    parts = {"tau": mean_of(np.full(documents, value))}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interval = with_intervals(parts, resamples=50)["tau"]
    assert interval["low"] == interval["high"] == interval["value"] == pytest.approx(value)


def test_the_same_resamples_serve_all_metrics() -> None:
    rng = np.random.default_rng(3)
    values = mean_of(rng.random(50))
    shifted = mean_of(values.numerator + 1)
    interval = with_intervals({"a": values, "other": mean_of(rng.random(50)), "b": shifted})
    assert interval["a"] == with_intervals({"a": values})["a"]
    for key in ("value", "low", "high"):
        assert interval["b"][key] == pytest.approx(interval["a"][key] + 1)


def test_intervals_depend_on_their_arguments_alone() -> None:
    parts = {"tau": mean_of(np.random.default_rng(4).random(60)), "pmr": mean_of(np.arange(60) % 2)}
    expected = with_intervals(parts, seed=5)
    np.random.seed(0)
    assert with_intervals(parts, seed=5) == expected
    assert with_intervals(parts, seed=6) != expected
    assert {name: interval["value"] for name, interval in expected.items()} == summarise(parts)


def test_intervals_do_not_depend_on_how_much_is_held_in_memory_at_a_time() -> None:
    """Three metrics of so many documents are resampled in three times as many portions as one."""
    rng = np.random.default_rng(6)
    parts = {name: mean_of(rng.random(5000)) for name in ("tau", "pmr", "lcs")}
    assert with_intervals(parts)["tau"] == with_intervals({"tau": parts["tau"]})["tau"]


def test_mistakes_are_named() -> None:
    parts = {"tau": mean_of(np.ones(3))}
    with pytest.raises(ValueError, match="confidence is 95"):
        with_intervals(parts, confidence=95)
    with pytest.raises(ValueError, match="resamples is 0"):
        with_intervals(parts, resamples=0)
    with pytest.raises(ValueError, match="no documents"):
        with_intervals({"tau": mean_of(np.zeros(0))})
    with pytest.raises(AssertionError, match="the same documents"):
        with_intervals({**parts, "pmr": mean_of(np.ones(4))})


def counts_of(orders: list[list[int]]) -> dict[str, np.ndarray]:
    """Counts of documents whose sentences are numbered by gold position."""
    order = torch.tensor(orders)
    position = torch.arange(order.shape[1]).expand_as(order)
    return document_counts(order, position, torch.ones_like(order, dtype=torch.bool), position)


def test_differences_by_hand() -> None:
    right, swapped = [0, 1, 2], [1, 0, 2]
    a, b = counts_of([right, swapped, swapped, swapped]), counts_of([right, right, swapped, right])
    found = compare_results(a, b, resamples=2000)
    assert found["pmr"]["a"] == 0.25
    assert found["pmr"]["difference"]["value"] == 0.5
    # Two documents changed: of the four ways to hand out the names, two make so large a difference.
    assert found["pmr"]["p"] == pytest.approx(0.5)
    assert found["last"] == {"a": 1.0, "b": 1.0, "difference": {"value": 0.0, "low": 0.0, "high": 0.0}, "p": 1.0}
    turned = compare_results(b, a, resamples=2000)
    for name in found:
        assert turned[name]["difference"]["value"] == -found[name]["difference"]["value"]
        assert turned[name]["p"] == pytest.approx(found[name]["p"])


def test_a_difference_is_found_where_there_is_one_and_not_where_there_is_none() -> None:
    generator = np.random.default_rng(1)

    def guesses(share_right: float) -> dict[str, np.ndarray]:
        right = generator.random(400) < share_right
        return counts_of([[0, 1, 2, 3] if found else generator.permutation(4).tolist() for found in right])

    same, other = (
        compare_results(guesses(0.3), guesses(0.3), resamples=1000),
        compare_results(guesses(0.3), guesses(0.6), resamples=1000),
    )
    assert same["tau"]["p"] > 0.05
    assert same["tau"]["difference"]["low"] < 0 < same["tau"]["difference"]["high"]
    assert other["tau"]["p"] < 0.01
    assert other["tau"]["difference"]["low"] > 0


def test_one_document_has_no_interval() -> None:
    found = compare_results(counts_of([[0, 1]]), counts_of([[1, 0]]))["tau"]
    assert found == {"a": 1.0, "b": -1.0, "difference": {"value": -2.0, "low": None, "high": None}, "p": None}
