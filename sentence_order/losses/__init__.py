"""Ordering losses: functions of (scores, positions, mask) that return a sum, and weighted sums of these.

A sum and not a mean, so that the gradients of a step that is split, over micro-batches or processes, can be normalised
by the number of pairs in all of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sentence_order.config.components import LOSSES
from sentence_order.decoding.scores import Scores

OrderingLoss = Callable[[Scores, Tensor, Tensor], Tensor]


def weighted_loss(weights: Mapping[str, Any]) -> OrderingLoss:
    """The weighted sum of several losses.

    Args:
        weights: by the names of `LOSSES`; those of weight zero are not computed. `margin_width` is that of the margin.
    """
    terms = [(float(weights[name]), name, loss.load()) for name, loss in LOSSES.items() if weights.get(name)]
    assert terms, "a loss without terms"
    options = {"margin": {"margin": weights.get("margin_width", 1.0)}}

    def total(scores: Scores, positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
        parts = []
        for weight, name, loss in terms:
            read = [getattr(scores, score) for score in LOSSES[name].scores]
            parts.append(weight * loss(*read, positions_BS, mask_BS, **options.get(name, {})))
        return torch.stack(parts).sum()

    return total


def count_pairs(mask_BS: Tensor) -> Tensor:
    """The number of pairs of sentences in all documents, by which losses are normalised."""
    sentences_B = mask_BS.sum(1)
    return (sentences_B * (sentences_B - 1) // 2).sum()
