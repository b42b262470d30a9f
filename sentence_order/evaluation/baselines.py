"""What orders without any understanding of the text reach on the documents that a model is tested on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sentence_order.arrays import FloatArray, IntArray
from sentence_order.data.groups import rows_by_group
from sentence_order.data.tokenization import Corpus
from sentence_order.evaluation.counts import document_counts
from sentence_order.evaluation.metrics import metrics_of, select, summarise

# So many sentences in the middle of a document are added to those with a token, of which there may be few.
SMOOTHING = 30
# So many are enough for the weights, and with millions of them time and memory would grow.
MAX_TRAINING_DOCUMENTS = 20_000


def evaluate_baselines(train: Corpus, test: Corpus, given: Sequence[Sequence[int]]) -> dict[str, dict[str, Any]]:
    """Every metric of each baseline (see `baseline_counts`), and of each group of documents, as `by_group`."""
    groups, found = rows_by_group(test.groups), {}
    for name, counts in baseline_counts(train, test, given).items():
        ratios = metrics_of(counts)
        by_group = [{"group": group, **summarise(select(ratios, rows_R))} for group, rows_R in groups.items()]
        found[name] = {**summarise(ratios), "by_group": by_group}
    return found


def baseline_counts(train: Corpus, test: Corpus, given: Sequence[Sequence[int]]) -> dict[str, dict[str, IntArray]]:
    """The counts of two orders of every test document (see `document_counts`), by the name of the baseline.

    - `bag_of_words`: sentences sorted by the mean positions, in the first `MAX_TRAINING_DOCUMENTS` training documents,
      of their tokens.
    - `random_order`: the order in which the model is given the sentences, which a seed has drawn.

    Args:
        given: `given[d][i]` is the gold position of the i-th sentence that the model is given of document d.
    """
    scores = score_sentences(train, test)
    found: dict[str, dict[str, IntArray]] = {"bag_of_words": {}, "random_order": {}}
    for size in np.unique(test.sizes):
        row_G = np.flatnonzero(test.sizes == size)
        position_GS = np.array([given[row] for row in row_G.tolist()])
        sentence_GS = test.first_sentence[row_G, None] + position_GS
        orders = {
            "bag_of_words": scores[sentence_GS].argsort(axis=1, kind="stable"),  # equal ones stay as they are given
            "random_order": np.tile(np.arange(size), (len(position_GS), 1)),
        }
        gold = position_GS, np.ones(position_GS.shape, dtype=bool), test.text_rank[sentence_GS]
        for name, order in orders.items():
            for count, number_G in document_counts(*map(torch.from_numpy, (order, *gold))).items():
                found[name].setdefault(count, np.zeros(len(test), dtype=int))[row_G] = number_G
    return found


def score_sentences(train: Corpus, test: Corpus) -> FloatArray:
    """A number for each test sentence, which is the greater the later its tokens stand in training documents.

    It is the sum of a weight for each token: the mean position of the training sentences with it, from -1/2 (first) to
    1/2 (last), drawn towards 0 by `SMOOTHING`. Of the training documents, the first `MAX_TRAINING_DOCUMENTS` are read.
    """
    places = np.concatenate([np.linspace(-0.5, 0.5, size) for size in train.sizes[:MAX_TRAINING_DOCUMENTS]])
    ids = train.input_ids[: train.first_token[len(places)]]
    vocabulary = max(ids.max(), test.input_ids.max()) + 1
    total = np.bincount(ids, np.repeat(places, train.lengths[: len(places)]), vocabulary)
    weights = total / (np.bincount(ids, minlength=vocabulary) + SMOOTHING)
    scores: FloatArray = np.add.reduceat(weights[test.input_ids], test.first_token[:-1])
    return scores
