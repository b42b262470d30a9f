"""How many steps a run has, which documents each of them reads, and after which of them it validates."""

import itertools
import logging
import math
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from sentence_order.config.schema import TrainerConfig
from sentence_order.data.batching import load_batches, make_batches
from sentence_order.data.examples import Batch
from sentence_order.data.prefetch import CopyStream, prefetch
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import counted
from sentence_order.runtime.device import Runtime, choose_steps_ahead

log = logging.getLogger(__name__)

# The share of the training time that validations and the saves after them may take; a document costs a validation about
# a third of a training step's.
VALIDATION_SHARE = 0.2
VALIDATION_COST = 1 / 3
# What is saved after a validation takes as long as training on about this many tokens, whatever the size of the model,
# since both grow with it. Measured on two CPU cores: MiniLM 2,240 (479 MB in 3.0 s, 744 tokens per second), its lower
# half frozen 1,250, all of it frozen 1,330; the tiny encoder 600. A constant, so that a resumed run validates after the
# same steps; GPUs, which train faster and save no faster, were not measured.
SAVE_COST = 2000
MAX_VALIDATIONS = 10
# A run of fewer steps hears how many epochs would make it as long as is usual at least.
FEW_STEPS, USUAL_STEPS = 50, 250


@dataclass(frozen=True)
class StepInput:
    """What one step reads, in all processes together unless said otherwise."""

    epoch: int  # that its documents are shuffled for
    epoch_before: float  # epochs done before it
    epoch_after: float
    num_documents: int
    num_pairs: int  # of sentences of one document
    num_tokens: int
    padded_size: int  # tokens, padding included
    largest_share: int  # likewise, of the largest batch that a single process reads
    shards: list[list[int]]  # the rows of this process's documents of each micro-batch
    is_idle: bool  # it has none: its batch is a document of another process, and has no weight
    batches: list[Batch]  # of the shards; those without documents are left out


class TrainingPlan:
    """The steps of a run, and those after which it validates: a pure function of its config and corpora."""

    def __init__(self, train: Corpus, validation: Corpus, config: TrainerConfig, seed: int, runtime: Runtime) -> None:
        self.train, self.config, self.seed, self.runtime = train, config, seed, runtime
        self.steps_ahead = choose_steps_ahead(runtime.device)
        self.total_steps = config.max_steps or self._count_steps()
        if config.max_steps is None and self.total_steps < FEW_STEPS:
            epochs = math.ceil(USUAL_STEPS * config.epochs / self.total_steps)
            message = "steps in all: %d, which is few; trainer.epochs=%d would be about %d"
            log.info(message, self.total_steps, epochs, self.total_steps * epochs / config.epochs)
        self.eval_every = config.eval_every or self._choose_eval_every(validation)

    def describe(self) -> str:
        """The choices for a line of the console."""
        return f"{counted(self.total_steps, 'step')}, validation every {self.eval_every}"

    def batches(self, start: int) -> Generator[StepInput, None, None]:
        """The inputs of every step from the one after `start` steps on, without an end; close it to end its thread."""
        if not self.steps_ahead:
            yield from self._inputs(start)
            return
        stream = CopyStream(self.runtime.device)
        sent = ((inputs, stream.send(inputs.batches)) for inputs in self._inputs(start))
        with closing(prefetch(sent, self.steps_ahead, stream.use_device)) as ahead:
            for inputs, copies in ahead:
                yield replace(inputs, batches=stream.receive(*copies))

    def load(self, epoch: int, shards: list[list[int]]) -> list[Batch]:
        """Makes the batches of a step, on the CPU; empty ones are left out."""
        return [batch for batch in load_batches(self.train, shards, self.seed, epoch) if batch]

    def _inputs(self, start: int) -> Iterator[StepInput]:
        """The inputs of every step, on the CPU."""
        skip = start
        for epoch in itertools.count():
            micro_batches = self._micro_batches(epoch)
            steps = math.ceil(len(micro_batches) / self.config.accumulate)
            if skip >= steps:
                skip -= steps
                continue
            yield from self._epoch(epoch, micro_batches, skip * self.config.accumulate)
            skip = 0

    def _epoch(self, epoch: int, micro_batches: list[list[int]], done: int) -> Iterator[StepInput]:
        """The inputs of the steps of an epoch after the first `done` micro-batches."""
        sizes, tokens, total = self.train.sizes, self.train.tokens, len(micro_batches)
        for first in range(done, total, self.config.accumulate):
            parts = micro_batches[first : first + self.config.accumulate]
            rows, shards = np.concatenate(parts), [self.runtime.processes.shard(part) for part in parts]
            longest = [int(tokens[part].max()) for part in parts]
            world_size, is_idle = self.runtime.processes.world_size, not any(shards)
            if is_idle:
                shards = [parts[0][:1]]
            yield StepInput(
                epoch=epoch,
                epoch_before=epoch + first / total,
                epoch_after=epoch + (first + len(parts)) / total,
                num_documents=len(rows),
                num_pairs=int((sizes[rows] * (sizes[rows] - 1) // 2).sum()),
                num_tokens=int(tokens[rows].sum()),
                padded_size=sum(len(part) * length for part, length in zip(parts, longest, strict=True)),
                # The first process has the longest document, and no fewer than any other.
                largest_share=max(-(-len(part) // world_size) * n for part, n in zip(parts, longest, strict=True)),
                shards=shards,
                is_idle=is_idle,
                batches=self.load(epoch, shards),
            )

    def _micro_batches(self, epoch: int) -> list[list[int]]:
        return make_batches(self.train.tokens, self.config.batch_tokens, self.seed, epoch)

    def _count_steps(self) -> int:
        epochs = (self._micro_batches(epoch) for epoch in range(self.config.epochs))
        return sum(math.ceil(len(batches) / self.config.accumulate) for batches in epochs)

    def _choose_eval_every(self, validation: Corpus) -> int:
        tokens = self.config.batch_tokens * self.config.accumulate * self.total_steps
        cost = VALIDATION_COST * int(validation.tokens.sum()) + SAVE_COST
        affordable = int(VALIDATION_SHARE * tokens / cost)
        every = math.ceil(self.total_steps / max(1, min(MAX_VALIDATIONS, affordable)))
        log.debug(
            "%d steps, validation every %d (auto: at most %d times; beyond one, at most %.0f %% of the time, saving "
            "included)",
            *(self.total_steps, every, MAX_VALIDATIONS, 100 * VALIDATION_SHARE),
        )
        return every
