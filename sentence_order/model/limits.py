"""What fits: the documents that a model can order, and the batches that memory can hold."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from sentence_order.arrays import IntArray
from sentence_order.data.examples import Batch, padded_size, split_batch
from sentence_order.decoding import MAX_SENTENCES
from sentence_order.errors import TrainingError, UserError, first_line
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.runtime.device import out_of_memory, release_memory

log = logging.getLogger(__name__)

T = TypeVar("T")


def check_fits(config: SentenceOrdererConfig, tokens_D: IntArray, sentences_D: IntArray, key: str) -> None:
    """Checks that no document has more sentences than decoders can order, or more tokens than the encoder can read.

    The latter matters only if position ids continue through the document. Raises UserError naming `key`, by which the
    documents were given.
    """
    if excess := find_excess(config, int(sentences_D.max(initial=0)), int(tokens_D.max(initial=0))):
        ours = key.startswith("data.")
        advice = "lower data.max_sentences or data.max_sentence_tokens" if ours else "leave it out"
        raise UserError(f"{key}: a document has {excess}; {advice}")


def find_excess(config: SentenceOrdererConfig, sentences: int, tokens: int) -> str | None:
    """What a document has too much of for the model, or None."""
    if sentences > MAX_SENTENCES:
        return f"{sentences:,} sentences, and at most {MAX_SENTENCES:,} can be ordered"
    if config.depends_on_input_order and tokens > (longest := config.longest_sentence):
        return f"{tokens:,} tokens, and with encoder.position_ids=per_document the encoder can read at most {longest:,}"
    return None


class BatchLimit:
    """The largest batch that is known to fit in memory, and `advice` for the user if a single document does not."""

    def __init__(self, device: torch.device, advice: str) -> None:
        self.device, self.advice = device, advice
        self.max_padded_size: int | None = None  # in tokens, padding included; None as long as every batch has fit

    def split(self, batch: Batch) -> Iterator[Batch]:
        """The batch, or halves of halves of it that are not above the limit."""
        if self.max_padded_size is None or padded_size(batch) <= self.max_padded_size or len(batch["mask"]) == 1:
            yield batch
        else:
            for half in split_batch(batch):
                yield from self.split(half)

    def lower(self, batch: Batch, message: str) -> None:
        """Lowers the limit to half of a batch that did not fit, and releases memory.

        Raises TrainingError, with the message of the error, if the batch is a single document.
        """
        size = padded_size(batch)
        if len(batch["mask"]) == 1:
            raise TrainingError(
                f"out of memory with a single document, of {int(batch['mask'].sum())} sentences and {size:,} tokens; "
                f"{self.advice} ({message})"
            )
        log.info("out of memory with a batch of %d tokens; from here on batches are split to half of that", size)
        self.max_padded_size = size // 2
        release_memory(self.device)

    def run(
        self, work: Callable[[Sequence[Batch]], T], batches: Sequence[Batch]
    ) -> Iterator[tuple[Sequence[Batch], T]]:
        """Yields batches of the same documents, or the parts of each if they do not fit, with the result of some work.

        The work is done again on the parts of what did not fit, so it must not leave anything behind. Raises
        TrainingError if a single document does not fit.
        """
        for parts in zip(*map(self.split, batches), strict=True):
            try:
                yield parts, work(parts)
                continue
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                message = first_line(error)
            # Outside the handler, whose exception keeps the tensors that filled the memory.
            self.lower(parts[0], message)
            yield from self.run(work, parts)
