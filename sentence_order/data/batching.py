"""Batches by token budget from length-sorted pools: little padding, a new order every epoch, no state."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader

from sentence_order.arrays import IntArray
from sentence_order.data.examples import Batch, collate, load_example

if TYPE_CHECKING:
    from sentence_order.data.tokenization import Corpus

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
    corpus: "Corpus", batches: list[list[int]], seed: int, epoch: int | None, workers: int = 0, pin_memory: bool = False
) -> "DataLoader[Batch]":
    """Loads the batches of one epoch, given by the rows of their documents; a batch may be empty."""
    return DataLoader(
        batches,  # type: ignore[arg-type]  # a list serves as a data set
        batch_size=None,
        collate_fn=partial(_load_batch, corpus, seed, epoch),
        num_workers=workers,
        worker_init_fn=_ignore_signals,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # or it would draw from the one that dropout draws from
    )


@contextmanager
def running_workers(loader: "DataLoader[Batch]") -> Iterator[Iterator[Batch]]:
    """Within the block, an iterator over the batches of a loader, whose workers end with the block.

    PyTorch ends them with the last reference to the iterator. If one is left when the program ends, Python sends them
    SIGTERM, which they ignore, and waits for them without an end.
    """
    batches = iter(loader)
    try:
        yield batches
    finally:
        if loader.num_workers:
            batches._shutdown_workers()  # type: ignore[attr-defined]


def _load_batch(corpus: "Corpus", seed: int, epoch: int | None, rows: list[int]) -> Batch:
    return collate([load_example(corpus, row, seed, epoch) for row in rows])


def _ignore_signals(worker: int) -> None:
    """A cluster signals all processes to stop, and workers must live until the run has finished its step."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def load_shuffles(corpus: "Corpus", batches: list[list[int]], seed: int, shuffles: int) -> Iterator[tuple[Batch, ...]]:
    """The batches of an evaluation, each under several shuffles: first its fixed one.

    Documents stand in the same rows of all; the permutation of a further one is a function of (seed, its number, text).
    """
    return zip(*(load_batches(corpus, batches, seed, number or None) for number in range(shuffles)), strict=True)
