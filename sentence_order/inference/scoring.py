"""Scores batches of documents and decodes the scores: what evaluation and prediction share."""

from collections.abc import Iterator, Sequence
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
from sentence_order.runtime.device import Runtime

_limits: WeakKeyDictionary[SentenceOrdererModel, BatchLimit] = WeakKeyDictionary()


def score_with_oom_fallback(
    model: SentenceOrdererModel, batches: Sequence[Batch], runtime: Runtime
) -> Iterator[tuple[Sequence[Batch], list[Scores]]]:
    """Yields batches of the same documents under several shuffles, with the scores of each.

    What does not fit in memory comes in parts. Raises TrainingError if a single document does not fit.
    """
    limit = _limits.setdefault(model, BatchLimit(runtime.device, "leave it out, or split it"))
    yield from limit.run(lambda parts: [score_batch(model, batch, runtime) for batch in parts], batches)


@torch.no_grad()
def score_batch(model: SentenceOrdererModel, batch: Batch, runtime: Runtime) -> Scores:
    """The model's scores of a batch, on the CPU in float32; gold positions are not among its inputs."""
    given = [name for name in ("input_ids", "lengths", "prefix") if name in batch]
    inputs = {name: batch[name].to(runtime.device, non_blocking=True) for name in given}
    with runtime.autocast():
        scores: Scores = model(**inputs)
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


def decode_batch(decoder: str, scores: Scores, batch: Batch, beam_width: int) -> tuple[Tensor, Tensor]:
    """Decodes the scores of a batch by the decoder of that name: see `decoding.decode`."""
    return decode(DECODERS[decoder].load(), scores, batch["mask"], batch["text_rank"], beam_width=beam_width)
