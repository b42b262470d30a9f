"""Ordering losses: functions of (scores, positions, mask) that return a sum, and weighted sums of these.

`logits[b, i, j]`, antisymmetric, is the log-odds that sentence i comes before j; `positions_BS` are gold, and `mask_BS`
is True for sentences and False for padding. A sum over real sentences or their unordered pairs and not a mean, so that
the gradients of a step that is split, over micro-batches or processes, can be normalised by the pairs in all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from sentence_order.config.components import LOSSES
from sentence_order.decoding.scores import Scores


class OrderingLoss(Protocol):
    def __call__(
        self, scores: Scores, positions_BS: Tensor, mask_BS: Tensor, sizes: Sequence[int] | None = None
    ) -> Tensor:
        """The sum over a batch; `sizes` are the numbers of sentences, by which the loss `order` groups documents.

        Without them they are read from the mask, which on CUDA means to wait for all that it still does.
        """


def weighted_loss(weights: Mapping[str, Any]) -> OrderingLoss:
    """The weighted sum of the losses that have a weight; `margin_width` is the margin of the one of that name."""
    terms = [(float(weights[name]), name, loss.load()) for name, loss in LOSSES.items() if weights.get(name)]
    assert terms, "a loss without terms"

    def total(scores: Scores, positions_BS: Tensor, mask_BS: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        options = {"margin": {"margin": weights.get("margin_width", 1.0)}, "order": {"sizes": sizes}}
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
