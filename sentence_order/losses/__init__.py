"""Ordering losses: functions of (scores, positions, mask) that return (sum, count), and weighted sums of these.

A sum and the number of terms in it, and not a mean, so that gradients of a step that was split, over micro-batches or
processes, can be normalised by the global count.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sentence_order.losses.list_mle import list_mle
from sentence_order.losses.margin import margin
from sentence_order.losses.neighbours import neighbours
from sentence_order.losses.order import order
from sentence_order.losses.pairwise_logistic import pairwise_logistic
from sentence_order.losses.pointer import pointer
from sentence_order.losses.positions import position, slot
from sentence_order.losses.ranknet import ranknet
from sentence_order.losses.regression import regression
from sentence_order.scores import Scores

OrderingLoss = Callable[[Scores, Tensor, Tensor], tuple[Tensor, Tensor]]


class Loss(NamedTuple):
    """A loss, and which of a model's scores it reads, in the order of its first arguments."""

    function: Callable[..., tuple[Tensor, Tensor]]
    reads: tuple[str, ...]

    def __call__(self, scores: Scores, positions_BS: Tensor, mask_BS: Tensor) -> tuple[Tensor, Tensor]:
        read = [getattr(scores, name) for name in self.reads]
        return self.function(*read, positions_BS, mask_BS)


LOSSES = {
    "pairwise_logistic": Loss(pairwise_logistic, ("logits",)),
    "margin": Loss(margin, ("logits",)),
    "ranknet": Loss(ranknet, ("logits",)),
    "list_mle": Loss(list_mle, ("logits",)),
    "regression": Loss(regression, ("logits",)),
    "neighbours": Loss(neighbours, ("next_log_probs",)),
    "order": Loss(order, ("logits", "next_log_probs")),
    "position": Loss(position, ("position_logits",)),
    "slot": Loss(slot, ("position_logits",)),
    "pointer": Loss(pointer, ("pointer",)),
}


def weighted_loss(weights: Mapping[str, Any]) -> OrderingLoss:
    """The sum of several losses, each a sum over its own terms times its weight; the count is that of all pairs.

    Args:
        weights: by the names of `LOSSES`; those of weight zero are not computed. `margin_width` sets the margin's.
    """
    own_margin = partial(margin, margin=weights.get("margin_width", 1.0))
    losses = {**LOSSES, "margin": LOSSES["margin"]._replace(function=own_margin)}
    terms = [(float(weights[name]), loss) for name, loss in losses.items() if weights.get(name)]
    assert terms, "a loss without terms"

    def total(scores: Scores, positions_BS: Tensor, mask_BS: Tensor) -> tuple[Tensor, Tensor]:
        parts = [weight * loss(scores, positions_BS, mask_BS)[0] for weight, loss in terms]
        size_B = mask_BS.sum(1)
        return torch.stack(parts).sum(), (size_B * (size_B - 1) // 2).sum()

    return total


def mean_loss(total: Tensor, count: Tensor) -> Tensor:
    """The mean over pairs; zero where there are none."""
    return total / count.clamp(min=1)
