"""A look at a validation: results that are more likely a mistake in the data than a success or failure of the model."""

from collections.abc import Mapping

import numpy as np

from sentence_order.arrays import IntArray
from sentence_order.data.tokenization import Corpus
from sentence_order.evaluation.evaluator import Evaluation
from sentence_order.evaluation.metrics import metrics_of

# With fewer documents, that all are in order may be luck.
MIN_PERFECT = 10
# With so few that random orders may reach this tau, that a model does not reach it says nothing.
MAX_BOUND = 0.2


def find_problem(evaluation: Evaluation, corpus: Corpus, is_first: bool, is_late: bool) -> str | None:
    """What is suspicious about a validation: the first one is perfect, or a late one no better than chance."""
    if is_first and len(evaluation.order) >= MIN_PERFECT and evaluation.perfect.all():
        return (
            "the first validation is perfect; can the order be read from the sentences (numbers, times), or is the "
            "model trained on the same documents?"
        )
    if is_late and is_at_chance(evaluation.counts, float(corpus.share_of_equal_pairs.mean())):
        return "validation is no better than chance; are the sentences of each document in their true order?"
    return None


def is_at_chance(counts: Mapping[str, IntArray], chance: float = 0.0) -> bool:
    """True if tau is less than two standard deviations above that of random orders, `chance`, and these are less than
    .2.

    With few documents nothing can be said. The counts are those of `counts.document_counts`; the variance is that of
    Kendall (1938), "A new measure of rank correlation", which equal sentences only make smaller.
    """
    n_D = counts["sentences"].astype(np.float64)
    variance_D = 2 * (2 * n_D + 5) / (9 * n_D * (n_D - 1))
    tau, bound = metrics_of(counts)["tau"].numerator.mean(), 2 * np.sqrt(variance_D.sum()) / len(n_D)
    return bool(tau - chance < bound < MAX_BOUND)
