"""Regression of each sentence's position."""

from torch import Tensor

from sentence_order.losses.pairs import sentence_scores, sum_where


def regression(logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """Squared error of every sentence's score against its relative position, 1 for the first and -1 for the last.

    Both are taken from the middle of their document, since a decoder reads differences only.

    Reference: Kumar et al. 2020, Deep attentive ranking networks for learning to order sentences, for regression as
    the pointwise one of its ranking losses.

    >>> logits = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]])  # the scores are 1/2 and -1/2
    >>> regression(logits, torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))
    tensor(0.5000)
    """
    last_B1 = (mask_BS.sum(1, keepdim=True) - 1).clamp(min=1)
    target_BS = 1 - 2 * positions_BS / last_B1
    error_BS = sentence_scores(logits_BSS, mask_BS) - target_BS
    return sum_where(mask_BS, error_BS.square())
