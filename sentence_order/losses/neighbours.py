"""Likelihood of the neighbours in the true order."""

import torch
from torch import Tensor

from sentence_order.losses.pairs import sum_where


def neighbours(log_probs_BTT: Tensor, positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """The negative log-likelihood of what follows what: `-log_probs[i, j]` of every j that directly follows its i.

    The sum over all neighbours, in nats. `log_probs[b, i, j]` is the log-probability that item j follows item i, where
    item 0 is the boundary of the document, before the first sentence and after the last, and 1 + i is sentence i.

    >>> log_probs = torch.tensor([[[0.0, -0.1, -2.4], [-3.0, 0.0, -0.2], [-0.3, -1.6, 0.0]]])
    >>> neighbours(log_probs, torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))
    tensor(0.6000)
    """
    place_BT = torch.nn.functional.pad(positions_BS + 1, (1, 0))
    real_BT = torch.nn.functional.pad(mask_BS, (1, 0), value=True)
    next_place_BT = (place_BT + 1) % real_BT.sum(1, keepdim=True)
    follows_BTT = next_place_BT[:, :, None] == place_BT[:, None, :]
    return -sum_where(follows_BTT & real_BT[:, :, None] & real_BT[:, None, :], log_probs_BTT)
