"""Metrics of predicted orders, per document, from the counts of `counts.py`.

Every metric is a numerator and a denominator per document, which can be concatenated over batches, and resampled; the
corpus value is the ratio of their sums. With denominators of 1 that is the mean over documents; otherwise it is pooled,
so that long documents weigh more.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sentence_order.arrays import FloatArray, IntArray

PRIMARY_METRIC = "tau"
MAIN_METRICS = ("accuracy", "pmr", "tau")  # what papers report
CORRELATIONS = ("tau", "spearman")  # from -1 to 1; the other metrics are from 0 to 1


class RatioArray(NamedTuple):
    """One metric of B documents; its corpus value is `numerator.sum() / denominator.sum()`."""

    numerator: FloatArray
    denominator: FloatArray


def metrics_of(counts: Mapping[str, IntArray]) -> dict[str, RatioArray]:
    """Every metric of every document, from its counts (see `counts.document_counts`).

    Returns:
        For each document of n sentences, as (numerator, denominator):

        - `tau`: (1 - 2 * inversions / (n choose 2), 1). Kendall's rank correlation, in [-1, 1], chance 0.
          Lapata (2006), "Automatic evaluation of information ordering: Kendall's tau".
        - `pmr`: (1 if every sentence is in its place, else 0; 1). Perfect match ratio, chance 1 / n!.
        - `accuracy`: (sentences in their place, n). Pooled over all sentences of the corpus, chance 1 / n.
        - `accuracy_per_document`: (sentences in their place / n, 1). Averaged over documents. The literature calls
          both of these accuracy; they differ where documents differ in length.
        - `spearman`: (1 - 6 * sum of squared displacements / (n * (n**2 - 1)), 1). Spearman's rank correlation,
          in [-1, 1], chance 0.
        - `pairwise_accuracy`: (pairs in their order, n choose 2). Pooled over all pairs, chance 1 / 2. Also known as
          the skip-bigram score Rouge-S; on documents of one length it is (1 + tau) / 2.
        - `first`, `last`: (1 if the right sentence stands first, last; 1). Chance 1 / n.
        - `lcs`: (longest common subsequence of the two orders / n, 1). The share of sentences that need not be moved.
          Prabhumoye et al. (2020), "Topological sort for sentence ordering", which also has Rouge-S.

        All are shares in [0, 1] but for the two correlations; where documents hold duplicates, chance is higher.
    """
    n_B = counts["sentences"].astype(np.float64)
    pairs_B = n_B * (n_B - 1) / 2
    one_B = np.ones_like(n_B)
    ratios = {
        "tau": (1 - 2 * counts["inversions"] / pairs_B, one_B),
        "pmr": (counts["correct"] == n_B, one_B),
        "accuracy": (counts["correct"], n_B),
        "accuracy_per_document": (counts["correct"] / n_B, one_B),
        "spearman": (1 - 6 * counts["squared_displacement"] / (n_B * (np.square(n_B) - 1)), one_B),
        "pairwise_accuracy": (pairs_B - counts["inversions"], pairs_B),
        "first": (counts["first"], one_B),
        "last": (counts["last"], one_B),
        "lcs": (counts["common"] / n_B, one_B),
    }
    return {name: RatioArray(top_B.astype(np.float64), bottom_B) for name, (top_B, bottom_B) in ratios.items()}


def select(ratios: Mapping[str, RatioArray], rows_R: IntArray) -> dict[str, RatioArray]:
    """The metrics of some of the documents."""
    return {name: RatioArray(*(part_D[rows_R] for part_D in ratio)) for name, ratio in ratios.items()}


def summarise(ratios: Mapping[str, RatioArray]) -> dict[str, float]:
    """The value of each metric over all documents. Raises ValueError if there is none."""
    if any(not len(ratio.denominator) for ratio in ratios.values()):
        raise ValueError("no documents to score")
    return {name: float(ratio.numerator.sum() / ratio.denominator.sum()) for name, ratio in ratios.items()}
