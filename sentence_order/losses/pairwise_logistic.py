"""Pairwise logistic loss."""

import torch
from torch import Tensor

from sentence_order.losses.pairs import gold_pairs, sum_where


def pairwise_logistic(logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """The negative log-likelihood of the true order of every pair, in nats: `log(1 + exp(-logit))`.

    Reference: Burges et al. 2005, Learning to Rank using Gradient Descent (RankNet), with hard targets.

    >>> logits = torch.tensor([[[0.0, 2.0], [-2.0, 0.0]]])
    >>> pairwise_logistic(logits, torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))
    tensor(0.1269)
    """
    return sum_where(gold_pairs(positions_BS, mask_BS), torch.nn.functional.softplus(-logits_BSS))
