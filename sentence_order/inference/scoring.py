"""Scores batches of documents and decodes the scores: what evaluation and prediction share.

On CUDA the next batch is computed while the CPU decodes the scores of the one before.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from sentence_order.config.components import DECODERS
from sentence_order.data.examples import Batch
from sentence_order.decoding import decode
from sentence_order.decoding.scores import Scores, mean_scores
from sentence_order.losses.pairs import gold_order
from sentence_order.model.limits import BatchLimit
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime, to_device

T = TypeVar("T")

_limits: WeakKeyDictionary[SentenceOrdererModel, BatchLimit] = WeakKeyDictionary()


class Decoded(NamedTuple):
    """Orders and their objectives (see `decoding.decode`), and the seconds that it took to find them."""

    order_BS: Tensor
    objective_B: Tensor
    seconds: float


def score_with_oom_fallback(
    model: SentenceOrdererModel, batches: Iterable[Sequence[Batch]], runtime: Runtime
) -> Iterator[tuple[Sequence[Batch], list[Scores]]]:
    """Yields, one after the other, batches of the same documents under several shuffles, with the scores of each.

    What does not fit in memory comes in parts. Raises TrainingError if a single document does not fit.
    """
    limit = _limits.setdefault(model, BatchLimit(runtime.device, "leave it out, or split it"))
    on_cuda = runtime.device.type == "cuda"

    def start(parts: Sequence[Batch]) -> tuple[list[Scores], torch.cuda.Event | None]:
        scores = [score_batch(model, batch, runtime) for batch in parts]
        return scores, torch.cuda.current_stream(runtime.device).record_event() if on_cuda else None

    started = chain.from_iterable(limit.run(start, several) for several in batches)
    # A pointer is asked on the device while it is decoded; a batch that computes there meanwhile would only delay it.
    for parts, (scores, copied) in one_ahead(started) if on_cuda and not model.config.has_pointer else started:
        if copied is not None:
            copied.synchronize()
        yield parts, scores


def one_ahead(items: Iterable[T]) -> Iterator[T]:
    """Yields every item after the next one has been made."""
    return (item for item, _ in pairwise(chain(items, [None])))  # type: ignore[misc]  # the last one is not yielded


@torch.no_grad()
def score_batch(model: SentenceOrdererModel, batch: Batch, runtime: Runtime) -> Scores:
    """The model's scores of a batch, on the CPU in float32; gold positions are not among its inputs.

    On CUDA they have only been asked for: see `Scores.on_cpu`.
    """
    inputs = {name: to_device(batch[name].numpy(), runtime.device) for name in ("input_ids", "prefix") if name in batch}
    with runtime.autocast():
        scores: Scores = model(**inputs, lengths=batch["lengths"])
    return scores.on_cpu()


def average_over_shuffles(scores_per_shuffle: Sequence[Scores], batches: Sequence[Batch]) -> Scores:
    """The mean of a model's scores of the same documents under several shuffles, with the indices of the first one.

    A batch's positions serve as numbers of its sentences, the same in all shuffles. A pointer cannot be averaged: that
    of the first shuffle is returned.
    """
    if len(batches) == 1 or scores_per_shuffle[0].pointer is not None:
        return scores_per_shuffle[0]
    indices = [gold_order(batch["positions"], batch["mask"]) for batch in batches]  # of the sentence of each number
    number_BS = indices[0].argsort(1)
    labelled = zip(scores_per_shuffle, indices, strict=True)
    return mean_scores([scores.relabelled(index_BS.gather(1, number_BS)) for scores, index_BS in labelled])


def decode_batch(decoder: str, scores: Scores, batch: Batch, beam_width: int) -> Decoded:
    """Decodes the scores of a batch by the decoder of that name: see `decoding.decode`."""
    started = time.perf_counter()
    found = decode(DECODERS[decoder].load(), scores, batch["mask"], batch["text_rank"], beam_width=beam_width)
    return Decoded(*found, time.perf_counter() - started)


def describe_decoding(decoding_seconds: float, seconds: float) -> str:
    """The share of decoding in some seconds, for a line of the log."""
    return f"decoding took {decoding_seconds:.2f} of {seconds:.1f} s ({decoding_seconds / seconds:.1%})"
