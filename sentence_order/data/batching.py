"""Batches by token budget from length-sorted pools: little padding, a new order every epoch, no state."""

import signal
from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from sentence_order.data.examples import Batch, Example, Examples, collate
from sentence_order.data.tokenization import Corpus

# Documents that are sorted together. Large enough that a batch's lengths are nearly equal, small against a corpus.
POOL_DOCUMENTS = 2048


class TokenBudgetBatches(Sampler[list[int]]):
    """Batches of row numbers; padded to its longest document, a batch holds at most `batch_tokens` tokens.

    A document longer than the budget makes a batch of its own. The batches of an epoch are a pure function of
    (seed, epoch); without an epoch (evaluation) they come sorted by length, long ones first, so that a batch that
    does not fit in memory fails at once.
    """

    def __init__(self, lengths: np.ndarray, batch_tokens: int, seed: int = 0, epoch: int | None = None) -> None:
        if epoch is None:
            order = np.argsort(-lengths, kind="stable")
            self.batches = _cut(order, lengths, batch_tokens)
        else:
            generator = np.random.default_rng((seed, epoch))
            order = generator.permutation(len(lengths))
            batches = []
            for start in range(0, len(order), POOL_DOCUMENTS):
                pool = order[start : start + POOL_DOCUMENTS]
                batches += _cut(pool[np.argsort(-lengths[pool], kind="stable")], lengths, batch_tokens)
            self.batches = [batches[i] for i in generator.permutation(len(batches))]

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _cut(rows: np.ndarray, lengths: np.ndarray, batch_tokens: int) -> list[list[int]]:
    """Cuts rows, longest first, into batches: the first document of a batch is its longest."""
    batches, start = [], 0
    while start < len(rows):
        size = max(1, batch_tokens // int(lengths[rows[start]]))
        batches.append(rows[start : start + size].tolist())
        start += size
    return batches


def load_batches(
    corpus: Corpus, batches: list[list[int]], seed: int, epoch: int, workers: int = 0, pin_memory: bool = False
) -> "DataLoader[Batch]":
    """Loads the batches of one epoch of training, given by the rows of their documents; a batch may be empty."""
    return DataLoader(
        Examples(corpus, seed, epoch),
        batch_sampler=batches,
        collate_fn=_collate_any,
        num_workers=workers,
        worker_init_fn=_ignore_signals,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # or it would draw from the one that dropout draws from
    )


def _ignore_signals(worker: int) -> None:
    """A cluster signals all processes to stop, and workers must live until the run has finished its step."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def _collate_any(examples: list[Example]) -> Batch:
    return collate(examples) if examples else {}


def load_shuffles(corpus: Corpus, batches: list[list[int]], seed: int, shuffles: int) -> Iterator[tuple[Batch, ...]]:
    """The batches of an evaluation, each under several shuffles: first its fixed one.

    Documents stand in the same rows of all; the permutation of a further one is a function of (seed, its number, id).
    """
    loaders = [
        DataLoader(
            Examples(corpus, seed, number or None),
            batch_sampler=batches,
            collate_fn=collate,
            generator=torch.Generator(),  # see above
        )
        for number in range(shuffles)
    ]
    yield from zip(*loaders, strict=True)
