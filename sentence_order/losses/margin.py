"""Pairwise margin loss."""

import torch
from torch import Tensor

from sentence_order.losses.pairs import gold_pair_logits


def margin(logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor, *, margin: float = 1.0) -> Tensor:
    """Hinge on every pair: `max(0, margin - logit)` of the true order; pairs beyond the margin cost nothing.

    Args:
        logits_BSS: antisymmetric; `logits[b, i, j]` is the score by which sentence i comes before j.
        positions_BS: gold position of each sentence.
        mask_BS: True for sentences, False for padding.
        margin: the score from which on a pair counts as settled.

    Returns:
        The sum over all unordered pairs of real sentences.

    Reference:
        Herbrich et al. 1999, Support Vector Learning for Ordinal Regression.

    Example:
        >>> logits = torch.tensor([[[0.0, 0.4], [-0.4, 0.0]]])
        >>> total = margin(logits, torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))
        >>> round(total.item(), 4)
        0.6
    """
    gold_E = gold_pair_logits(logits_BSS, positions_BS, mask_BS)
    return torch.nn.functional.relu(margin - gold_E).sum()
