"""Pairwise margin loss."""

import torch
from torch import Tensor

from sentence_order.losses.pairs import gold_pairs, sum_where


def margin(logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor, *, margin: float = 1.0) -> Tensor:
    """Hinge on every pair: `max(0, margin - logit)` of the true order; pairs beyond the margin cost nothing.

    Reference: Herbrich et al. 1999, Support Vector Learning for Ordinal Regression.

    >>> logits = torch.tensor([[[0.0, 0.4], [-0.4, 0.0]]])
    >>> margin(logits, torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))
    tensor(0.6000)
    """
    return sum_where(gold_pairs(positions_BS, mask_BS), torch.nn.functional.relu(margin - logits_BSS))
