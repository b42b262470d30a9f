"""Confidence intervals of metrics and tests of differences, over documents.

Test sets are small (the standard error of PMR on the 377 abstracts of NIPS is 2.6 points), so a value is reported
with its interval. Documents are the units that are drawn; the sentences of one document are not independent.
"""

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np

from sentence_order.arrays import FloatArray, IntArray
from sentence_order.evaluation.metrics import RatioArray, metrics_of, summarise

# Resampled copies of all numerators and denominators held at a time.
_MEMORY_BYTES = 2**26


class Interval(TypedDict):
    """A metric's value and the bounds of its confidence interval, None if it cannot be computed."""

    value: float
    low: float | None
    high: float | None


def format_interval(interval: Interval, digits: int = 3) -> str:
    """A value with its interval, if it has one: `0.716 (0.707 to 0.726)`."""
    low, high = interval["low"], interval["high"]
    bounds = "" if low is None or high is None else f" ({low:,.{digits}f} to {high:,.{digits}f})"
    return f"{interval['value']:,.{digits}f}{bounds}"


def with_intervals(
    ratios: Mapping[str, RatioArray], confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Each metric's corpus value with its percentile bootstrap interval (Efron and Tibshirani, 1993, chapter 13).

    Numerators and denominators are drawn together, and all metrics from the same resamples, so that the intervals
    of one call belong together. The result is a function of the arguments alone. With a single document there is no
    interval; if all documents agree it is the value itself. `confidence`, between 0 and 1, is the share of repetitions
    whose interval should contain the true value. Raises ValueError if that or `resamples` is out of range, or there is
    no document.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, and must lie between 0 and 1")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}, and must be at least 1")
    values = summarise(ratios)
    bounds = _resampled_bounds(ratios, ((1 - confidence) / 2, (1 + confidence) / 2), resamples, seed)
    return {name: Interval(value=values[name], low=low, high=high) for name, (low, high) in bounds.items()}


def compare_results(
    counts_a: Mapping[str, IntArray], counts_b: Mapping[str, IntArray], *, resamples: int = 10_000, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Each metric's difference between two results of the same documents.

    The interval is a paired percentile bootstrap: documents are drawn with both of their results (Koehn 2004,
    "Statistical significance tests for machine translation evaluation"). `p` is two-sided, from a paired permutation
    test in which the two results of every document are swapped by chance; with n documents that differ, it is at least
    about 2**(1 - n), or one over the resamples. The counts are those of `counts.document_counts`.

    Returns:
        By metric: the values `a` and `b`; the `difference`, b less a, as an `Interval`; and `p`. With a single document
        there is no interval and no test, and `p` is None.
    """
    ratios_a, ratios_b = metrics_of(counts_a), metrics_of(counts_b)
    values_a, values_b = summarise(ratios_a), summarise(ratios_b)
    assert all(np.array_equal(ratios_a[name].denominator, ratios_b[name].denominator) for name in ratios_a)
    gains = {name: RatioArray(ratios_b[name].numerator - a.numerator, a.denominator) for name, a in ratios_a.items()}
    bounds = _resampled_bounds(gains, (0.025, 0.975), resamples, seed)
    return {
        name: {
            "a": values_a[name],
            "b": values_b[name],
            "difference": Interval(value=values_b[name] - values_a[name], low=low, high=high),
            "p": None if low is None else _permutation_test(gains[name].numerator, resamples, seed),
        }
        for name, (low, high) in bounds.items()
    }


def _resampled_bounds(
    ratios: Mapping[str, RatioArray], shares: tuple[float, float], resamples: int, seed: int
) -> dict[str, tuple[float | None, float | None]]:
    """Two percentiles of each metric over resampled documents; None of a single document."""
    count, *others = {len(part) for ratio in ratios.values() for part in ratio}
    assert not others, "all metrics must be of the same documents"
    if count == 1:
        return dict.fromkeys(ratios, (None, None))
    numerator_MD = np.stack([ratio.numerator for ratio in ratios.values()])
    denominator_MD = np.stack([ratio.denominator for ratio in ratios.values()])
    rng, ratios_MR = np.random.default_rng(seed), []
    batch = max(1, _MEMORY_BYTES // (16 * len(ratios) * count))
    for start in range(0, resamples, batch):
        document_RD = rng.integers(count, size=(min(batch, resamples - start), count))  # the same for all metrics
        # `take` leaves the documents contiguous: twice as fast as indexing, and rounded as the sums of `summarise` are,
        # so that documents that all agree give an interval of no width, at the value.
        sums_MR = (part_MD.take(document_RD, axis=1).sum(-1) for part_MD in (numerator_MD, denominator_MD))
        ratios_MR.append(np.divide(*sums_MR))
    low_M, high_M = np.quantile(np.concatenate(ratios_MR, axis=1), shares, axis=1).tolist()
    return {name: (low, high) for name, low, high in zip(ratios, low_M, high_M, strict=True)}


def _permutation_test(gain_D: FloatArray, resamples: int, seed: int) -> float:
    """Two-sided p of a metric: both results have the same denominators, so that sums of gains suffice."""
    from scipy.stats import permutation_test  # takes a second to import

    changed_D = gain_D[gain_D != 0]
    if len(changed_D) < 2:  # one document that differs is as likely to differ the other way
        return 1.0
    found = permutation_test(
        (changed_D,),
        lambda sample_D, axis: sample_D.sum(axis),
        permutation_type="samples",
        n_resamples=resamples,
        batch=max(1, _MEMORY_BYTES // (32 * len(changed_D))),
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)
