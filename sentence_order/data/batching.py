"""Batches by token budget from length-sorted pools: little padding, a new order every epoch, no state."""

from collections.abc import Iterator, Sequence

import numpy as np

from sentence_order.arrays import IntArray
from sentence_order.data.examples import Batch, TokenizedDocuments, make_batch
from sentence_order.data.permutations import draw_permutations

# Documents that are sorted together. Large enough that a batch's lengths are nearly equal, small against a corpus.
POOL_DOCUMENTS = 2048


def make_batches(lengths: IntArray, batch_tokens: int, seed: int = 0, epoch: int | None = None) -> list[list[int]]:
    """Batches of row numbers; padded to its longest document, a batch holds at most `batch_tokens` tokens.

    A document longer than the budget makes a batch of its own. The batches of an epoch are a pure function of
    (seed, epoch); without an epoch (evaluation) they come sorted by length, long ones first, so that a batch that
    does not fit in memory fails at once.
    """
    if epoch is None:
        return _cut(np.arange(len(lengths)), lengths, batch_tokens)
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(lengths))
    pools = (order[start : start + POOL_DOCUMENTS] for start in range(0, len(order), POOL_DOCUMENTS))
    batches = [batch for pool in pools for batch in _cut(pool, lengths, batch_tokens)]
    return [batches[i] for i in generator.permutation(len(batches))]


def _cut(rows: IntArray, lengths: IntArray, batch_tokens: int) -> list[list[int]]:
    """Sorts rows, longest first, and cuts them into batches: the first document of a batch is its longest."""
    rows = rows[np.argsort(-lengths[rows], kind="stable")]
    batches, start = [], 0
    while start < len(rows):
        size = max(1, batch_tokens // int(lengths[rows[start]]))
        batches.append(rows[start : start + size].tolist())
        start += size
    return batches


def load_batches(
    documents: TokenizedDocuments, batches: Sequence[Sequence[int]], seed: int, epoch: int | None
) -> Iterator[Batch]:
    """Makes the batches of these rows, each document under its permutation of that epoch; a batch may be empty."""
    for rows in batches:
        row_B = np.asarray(rows, dtype=np.int64)
        counts_B = documents.first_sentence[row_B + 1] - documents.first_sentence[row_B]
        yield make_batch(documents, row_B, draw_permutations(seed, epoch, documents.keys[row_B], counts_B))


def load_shuffles(
    documents: TokenizedDocuments, batches: Sequence[Sequence[int]], seed: int, shuffles: int
) -> Iterator[tuple[Batch, ...]]:
    """The batches of an evaluation, each under several shuffles: first its fixed one.

    Documents stand in the same rows of all; the permutation of a further one is a function of (seed, its number, text).
    """
    return zip(*(load_batches(documents, batches, seed, number or None) for number in range(shuffles)), strict=True)
