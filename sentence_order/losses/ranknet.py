"""Pairwise logistic loss in which each pair weighs what it would cost to swap it."""

import torch
from torch import Tensor

from sentence_order.losses.pairs import gold_pairs, sum_where


def ranknet(logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """`w * log(1 + exp(-logit))` of the true order of every pair, w by the inversions that swapping the two would make.

    Two sentences d positions apart make `2 d - 1` inversions when they are swapped, which is by how much Kendall's tau
    falls. The weights are scaled to a mean of 1 in every document: `w = 3 (2 d - 1) / (2 n - 1)`. In nats.

    Reference: Burges 2010, From RankNet to LambdaRank to LambdaMART, with tau as the measure.

    >>> positions, mask = torch.tensor([[0, 1, 2]]), torch.ones(1, 3, dtype=torch.bool)
    >>> ranknet(torch.zeros(1, 3, 3), positions, mask)  # weights of 3/5, 3/5 and 9/5, times log(2)
    tensor(2.0794)
    """
    apart_BSS = positions_BS[:, None, :] - positions_BS[:, :, None]
    weight_BSS = 3 * (2 * apart_BSS - 1) / (2 * mask_BS.sum(1)[:, None, None] - 1)
    loss_BSS = weight_BSS * torch.nn.functional.softplus(-logits_BSS)
    return sum_where(gold_pairs(positions_BS, mask_BS), loss_BSS)
