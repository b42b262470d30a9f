"""ListMLE: the likelihood of the true order, sentence by sentence from the first on."""

import torch
from torch import Tensor

from sentence_order.losses.pairs import gold_order, sentence_scores, sum_where


def list_mle(logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """The negative log-likelihood of the true order under the model of Plackett and Luce, in nats.

    The first sentence is drawn from a softmax over all scores, the next from one over those that remain, and so on;
    padding is in none of these. A sentence's score is its mean log-odds (see `sentence_scores`).

    Reference: Xia et al. 2008, Listwise approach to learning to rank: theory and algorithm.

    >>> logits = torch.tensor([[[0.0, 2.0], [-2.0, 0.0]]])  # the scores are 1 and -1
    >>> list_mle(logits, torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))
    tensor(0.1269)
    """
    order_BS = gold_order(positions_BS, mask_BS)
    score_BS = sentence_scores(logits_BSS, mask_BS).gather(1, order_BS)
    # Finite, so that no gradient is a NaN where only padding remains.
    in_race_BS = score_BS.masked_fill(~mask_BS, torch.finfo(score_BS.dtype).min)
    remaining_BS = in_race_BS.flip(1).logcumsumexp(1).flip(1)
    return sum_where(mask_BS, remaining_BS - score_BS)
