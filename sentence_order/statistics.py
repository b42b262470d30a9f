"""How sure a metric is: confidence intervals over documents.

Test sets are small (the standard error of PMR on the 377 abstracts of NIPS is 2.6 points), so a value is reported
with its interval. Documents are the units that are drawn; the sentences of one document are not independent.

Shape suffixes: M metrics, D documents, R resamples.
"""

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from sentence_order.metrics import FloatArray, RatioArray, summarise

# Resampled copies of all numerators and denominators held at a time.
_MEMORY_BYTES = 2**26


class Interval(TypedDict):
    """A metric's value and the ends of its confidence interval, None where none can be had."""

    value: float
    low: float | None
    high: float | None


def with_intervals(
    parts: Mapping[str, RatioArray], confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Each metric's corpus value with its percentile bootstrap interval (Efron and Tibshirani, 1993, chapter 13).

    Numerators and denominators are drawn together, and all metrics from the same resamples, so that the intervals
    of one call belong together. The result is a function of the arguments alone.

    Args:
        parts: per document, from `document_metrics`; all metrics of the same documents.
        confidence: share of repetitions whose interval should hold the true value, between 0 and 1.
        resamples: how often the documents are drawn anew.
        seed: of the draw.

    Returns:
        For each metric `value`, `low` and `high`, in the metric's own unit. With a single document an interval
        cannot be had, and `low` and `high` are None; where all documents agree it is the value itself.

    Raises:
        ValueError: there is no document, or `confidence` or `resamples` is out of range.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, and must lie between 0 and 1")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}, and must be at least 1")
    values = summarise(parts)
    documents = {len(array) for part in parts.values() for array in part}
    assert len(documents) == 1, "all metrics must be of the same documents"
    count = documents.pop()
    if count == 1:
        return {name: Interval(value=value, low=None, high=None) for name, value in values.items()}

    from scipy.stats import bootstrap  # takes a second to import

    numerator_MD = np.stack([part.numerator for part in parts.values()])
    denominator_MD = np.stack([part.denominator for part in parts.values()])

    def ratio(document_RD: npt.NDArray[np.int64], axis: int) -> FloatArray:
        # `take` leaves the documents contiguous: twice as fast as indexing, and rounded as the sums of `summarise` are,
        # so that documents that all agree give an interval of no width, at the value.
        top_MR, bottom_MR = (
            array_MD.take(document_RD, axis=1).sum(axis) for array_MD in (numerator_MD, denominator_MD)
        )
        ratio_MR: FloatArray = top_MR / bottom_MR
        return ratio_MR

    # The documents' indices are what is drawn, so that each resample serves every metric.
    resampled_MR = bootstrap(
        (np.arange(count),),
        ratio,
        vectorized=True,
        method="percentile",
        n_resamples=resamples,
        batch=max(1, _MEMORY_BYTES // (16 * len(parts) * count)),
        rng=np.random.default_rng(seed),
    ).bootstrap_distribution
    # The percentiles that scipy would return, but for its rounding: numpy's lie exactly between equal values.
    low_M, high_M = np.quantile(resampled_MR, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    return {
        name: Interval(value=values[name], low=float(low), high=float(high))
        for name, low, high in zip(parts, low_M, high_M, strict=True)
    }
