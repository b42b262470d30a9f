"""Ordering losses: pure functions of (scores, positions, mask) that return (sum, count).

A sum and the number of terms in it, and not a mean, so that gradients of a step that was split, over micro-batches or
processes, can be normalised by the global count.
"""

from collections.abc import Callable

from torch import Tensor

from sentence_order.losses.margin import margin
from sentence_order.losses.neighbours import neighbours
from sentence_order.losses.pairwise_logistic import pairwise_logistic

Loss = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
OrderingLoss = Callable[[Tensor, Tensor | None, Tensor, Tensor], tuple[Tensor, Tensor]]

LOSSES: dict[str, Loss] = {"pairwise_logistic": pairwise_logistic, "margin": margin}

# A neighbour's score is the mean of two log-probabilities, that of what follows and that of what precedes: both count.
NEIGHBOUR_WEIGHT = 2.0

__all__ = ["LOSSES", "Loss", "OrderingLoss", "margin", "mean_loss", "neighbours", "ordering_loss", "pairwise_logistic"]


def ordering_loss(
    logits_BSS: Tensor,
    next_BTT: Tensor | None,
    positions_BS: Tensor,
    mask_BS: Tensor,
    *,
    pairs: Loss = pairwise_logistic,
) -> tuple[Tensor, Tensor]:
    """The loss of all pairs and, where the model tells neighbours, that of these: (sum of both, number of pairs)."""
    total, count = pairs(logits_BSS, positions_BS, mask_BS)
    if next_BTT is not None:
        total = total + NEIGHBOUR_WEIGHT * neighbours(next_BTT, positions_BS, mask_BS)[0]
    return total, count


def mean_loss(total: Tensor, count: Tensor) -> Tensor:
    """The mean over pairs; zero where there are none."""
    return total / count.clamp(min=1)
