"""Ordering losses: pure functions of (logits, positions, mask) that return (sum, count).

A sum and the number of terms in it, and not a mean, so that gradients of a step that was split, over micro-batches or
processes, can be normalised by the global count.
"""

from collections.abc import Callable

from torch import Tensor

from sentence_order.losses.margin import margin
from sentence_order.losses.pairwise_logistic import pairwise_logistic

Loss = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

LOSSES: dict[str, Loss] = {"pairwise_logistic": pairwise_logistic, "margin": margin}

__all__ = ["LOSSES", "Loss", "margin", "mean_loss", "pairwise_logistic"]


def mean_loss(total: Tensor, count: Tensor) -> Tensor:
    """The mean over pairs; zero where there are none."""
    return total / count.clamp(min=1)
