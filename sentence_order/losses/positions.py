"""Cross-entropy of which sentence stands at which position, from both sides."""

import torch
from torch import Tensor

from sentence_order.losses.pairs import sum_where


def position(position_logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """Cross-entropy of each sentence's position among the positions of its document, in nats: a row of the matrix each.

    `position_logits[b, i, k]` scores that sentence i stands at position k.

    Reference: Bin et al. 2023, Non-autoregressive sentence ordering (NAON).

    >>> logits = torch.tensor([[[2.0, 0.0], [0.0, 0.0]]])
    >>> position(logits, torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))  # log(1 + exp(-2)) + log(2)
    tensor(0.8201)
    """
    return _cross_entropy(position_logits_BSS, positions_BS, mask_BS, axis=2)


def slot(position_logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """Cross-entropy of the sentence at each position, among the sentences of its document, in nats: a column each.

    With `position` it makes the exclusive loss of NAON (see there): no two sentences may take one position.
    """
    return _cross_entropy(position_logits_BSS, positions_BS, mask_BS, axis=1)


def _cross_entropy(logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor, axis: int) -> Tensor:
    # Positions are as many as sentences, so one mask serves both. Finite, or the softmax of padding would be a NaN.
    real_BSS = mask_BS[:, :, None] & mask_BS[:, None, :]
    log_probs_BSS = logits_BSS.masked_fill(~real_BSS, torch.finfo(logits_BSS.dtype).min).log_softmax(axis)
    gold_BS = log_probs_BSS.gather(2, positions_BS[:, :, None])[:, :, 0]
    return -sum_where(mask_BS, gold_BS)
