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

    The latter matters only if position ids continue through the document.

    Args:
        key: the config key that named the documents.

    Raises:
        UserError: naming the key.
    """
    ours = key.startswith("data.")
    if len(sentences_D) and sentences_D.max() > MAX_SENTENCES:
        advice = "lower data.max_sentences" if ours else "leave it out"
        raise UserError(
            f"{key}: a document has {sentences_D.max():,} sentences, and at most {MAX_SENTENCES:,} can be ordered; "
            f"{advice}"
        )

    longest = config.longest_sentence
    if config.depends_on_input_order and len(tokens_D) and tokens_D.max() > longest:
        advice = "lower data.max_sentences or data.max_sentence_tokens" if ours else "leave it out"
        raise UserError(
            f"{key}: a document has {tokens_D.max()} tokens, and with encoder.position_ids=per_document the encoder "
            f"can read at most {longest}; {advice}"
        )


class BatchLimit:
    """The largest batch that fits in memory, as far as that is known; larger ones are split.

    Attributes:
        max_padded_size: tokens, padding included; None as long as every batch has fit.
    """

    def __init__(self, device: torch.device, advice: str) -> None:
        """Args:
        advice: what the user can do if a single document does not fit.
        """
        self.device, self.advice = device, advice
        self.max_padded_size: int | None = None

    def split(self, batch: Batch) -> Iterator[Batch]:
        """The batch, or halves of halves of it that are not above the limit."""
        if self.max_padded_size is None or padded_size(batch) <= self.max_padded_size or len(batch["mask"]) == 1:
            yield batch
        else:
            for half in split_batch(batch):
                yield from self.split(half)

    def lower(self, batch: Batch, message: str) -> None:
        """Lowers the limit to half of a batch that did not fit, and releases memory.

        Args:
            message: of the error.

        Raises:
            TrainingError: the batch is a single document.
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
        """Does some work on batches of the same documents, or on their parts if they do not fit.

        Args:
            work: is called again on the parts of what did not fit, so it must not leave anything behind.

        Yields:
            The batches, or the parts of each, with the result of the work.

        Raises:
            TrainingError: a single document does not fit.
        """
        for parts in zip(*map(self.split, batches), strict=True):
            try:
                result = work(parts)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                message = first_line(error)
            else:
                yield parts, result
                continue
            # Outside the handler, whose exception keeps the tensors that filled the memory.
            self.lower(parts[0], message)
            yield from self.run(work, parts)
