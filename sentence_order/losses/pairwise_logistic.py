"""Pairwise logistic loss."""

import torch
from torch import Tensor

from sentence_order.losses.pairs import gold_pair_logits


def pairwise_logistic(logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """Negative log-likelihood of the true order of every pair: `log(1 + exp(-logit))`.

    Args:
        logits_BSS: antisymmetric; `logits[b, i, j]` is the log-odds that sentence i comes before j.
        positions_BS: gold position of each sentence.
        mask_BS: True for sentences, False for padding.

    Returns:
        The sum over all unordered pairs of real sentences, in nats.

    Reference:
        Burges et al. 2005, Learning to Rank using Gradient Descent (RankNet), with hard targets.

    Example:
        >>> logits = torch.tensor([[[0.0, 2.0], [-2.0, 0.0]]])
        >>> total = pairwise_logistic(logits, torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))
        >>> round(total.item(), 4)
        0.1269
    """
    gold_E = gold_pair_logits(logits_BSS, positions_BS, mask_BS)
    return torch.nn.functional.softplus(-gold_E).sum()
