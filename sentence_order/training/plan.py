"""How many steps a run has, which documents each of them reads, and after which of them it validates."""

import itertools
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sentence_order.config import TrainConfig
from sentence_order.data.batching import TokenBudgetBatches, load_batches
from sentence_order.data.examples import Batch
from sentence_order.data.tokenization import Corpus
from sentence_order.runtime import Runtime

log = logging.getLogger(__name__)

# Validation may take this share of the time that training takes, and a document costs it about a third of a step's.
VALIDATION_SHARE = 0.2
VALIDATION_COST = 1 / 3
MOST_VALIDATIONS = 10


@dataclass(frozen=True)
class Work:
    """What a step is to do.

    Attributes:
        before, after: how many epochs are done before and after it.
        documents, pairs, tokens, cells: what it reads in all processes together: documents, pairs of their sentences,
            tokens, and these with what pads them.
        batches: this process's share of each micro-batch.
    """

    before: float
    after: float
    documents: int
    pairs: int
    tokens: int
    cells: int
    batches: list[Batch]


def count_steps(config: TrainConfig, train: Corpus) -> int:
    """How many steps a run has: `trainer.max_steps`, or what the epochs come to."""
    settings = config.trainer
    if settings.max_steps is not None:
        return settings.max_steps
    every = (TokenBudgetBatches(train.tokens, settings.batch_tokens, config.seed, n) for n in range(settings.epochs))
    return sum(math.ceil(len(batches) / settings.accumulate) for batches in every)


def choose_eval_every(config: TrainConfig, validation: Corpus, total: int) -> int:
    """After how many steps a run of `total` steps validates, where `trainer.eval_every` is not set."""
    tokens = config.trainer.batch_tokens * config.trainer.accumulate * total
    affordable = int(VALIDATION_SHARE * tokens / (VALIDATION_COST * int(validation.tokens.sum())))
    every = math.ceil(total / max(1, min(MOST_VALIDATIONS, affordable)))
    log.info(
        "validation: every %d of %d steps (auto: at most %d times; beyond one, at most %.0f %% of the time)",
        *(every, total, MOST_VALIDATIONS, 100 * VALIDATION_SHARE),
    )
    return every


def steps_from(step: int, config: TrainConfig, train: Corpus, runtime: Runtime, workers: int) -> Iterator[Work]:
    """What every step is to do once `step` of them are done, without an end.

    Args:
        workers: how many processes make examples.
    """
    settings, skip = config.trainer, step
    sizes, tokens = train.sizes, train.tokens
    for epoch in itertools.count():
        every = TokenBudgetBatches(tokens, settings.batch_tokens, config.seed, epoch).batches
        total, steps = len(every), math.ceil(len(every) / settings.accumulate)
        if skip >= steps:
            skip -= steps
            continue
        done, skip = skip * settings.accumulate, 0
        shares = [runtime.processes.share(rows) for rows in every[done:]]
        pinned = runtime.device.type == "cuda"
        loaded = iter(load_batches(train, shares, config.seed, epoch, workers, pinned))
        for first in range(done, total, settings.accumulate):
            parts = every[first : first + settings.accumulate]
            rows = np.concatenate(parts)
            yield Work(
                before=epoch + first / total,
                after=epoch + (first + len(parts)) / total,
                documents=len(rows),
                pairs=int((sizes[rows] * (sizes[rows] - 1) // 2).sum()),
                tokens=int(tokens[rows].sum()),
                cells=sum(len(part) * int(tokens[part].max()) for part in parts),
                batches=[batch for batch in itertools.islice(loaded, len(parts)) if batch],
            )
