"""Beam search over a pointer, which predicts the next sentence from all that were placed before it.

Unlike the scores that other decoders read, its probabilities depend on the whole order so far: no two partial orders
have the same continuations, and the network is asked at every step.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from sentence_order.decoding.scores import Pointer, quantise, step_log_probs


def pointer_order(pointer: Pointer, mask_BS: Tensor, tie_break_BS: Tensor, beam_width: int) -> Tensor:
    """The most probable order that a beam of this width finds: `order_BS`, long, padding in its own places.

    Of equally probable partial orders those are kept that are first by `tie_break_BS`, integer ranks of the sentences'
    content. The pointer may compute on another device. Raises ValueError if a probability is NaN.
    """
    return _search(pointer, mask_BS, tie_break_BS, beam_width)[0][:, 0]


def pointer_orders(pointer: Pointer, mask_BS: Tensor, tie_break_BS: Tensor, beam_width: int, count: int) -> Tensor:
    """The most probable orders that a beam finds, best first: `order_BKS`, long, padding in its own places.

    If there are fewer than `count`, the last rows are -1.
    """
    order_BWS, score_BW = _search(pointer, mask_BS, tie_break_BS, max(beam_width, count))
    order_BKS = order_BWS[:, :count].masked_fill((score_BW[:, :count] == -torch.inf)[:, :, None], -1)
    return pad(order_BKS, (0, 0, 0, count - order_BKS.shape[1]), value=-1)


@torch.no_grad()
def _search(pointer: Pointer, mask_BS: Tensor, tie_break_BS: Tensor, beam_width: int) -> tuple[Tensor, Tensor]:
    """Orders and their log-probabilities, best first; minus infinity for what is no order."""
    documents, sentences = mask_BS.shape
    state_BWH = pointer.start()
    device = state_BWH.device
    size_B = mask_BS.sum(1)
    row_B1 = torch.arange(documents)[:, None]
    last = torch.iinfo(torch.long).max
    rank_BS = tie_break_BS.long().masked_fill(~mask_BS, last).argsort(dim=1, stable=True).argsort(1)

    # An identical sentence that comes first by its index is placed first: other orders are the same texts.
    same_BSS = (tie_break_BS[:, :, None] == tie_break_BS[:, None]) & mask_BS[:, :, None] & mask_BS[:, None]
    earlier_BSS = same_BSS.triu(1).double() if same_BSS.triu(1).any() else None

    order_BWS = torch.zeros(documents, 1, 0, dtype=torch.long)
    placed_BWS = torch.zeros(documents, 1, sentences, dtype=torch.bool)
    score_BW = torch.zeros(documents, 1, dtype=torch.float64)

    for step in range(sentences):
        gain_BWS = quantise(pointer.next_log_probs(state_BWH, placed_BWS.to(device)).double().cpu())
        if gain_BWS[step < size_B].isnan().any():
            raise ValueError("NaN among the probabilities of the next sentence")

        if earlier_BSS is not None:
            gain_BWS[(~placed_BWS).double() @ earlier_BSS > 0] = -torch.inf
        done_B = step >= size_B  # only padding remains, in its own places
        gain_BWS[done_B] = -torch.inf
        gain_BWS[done_B, :, step] = 0.0
        candidate_BX = (score_BW[:, :, None] + gain_BWS).flatten(1)
        # Candidates are sorted by slot, and within a slot by rank, so that a stable sort breaks ties in this order.
        by_rank_BX = (rank_BS[:, None] + sentences * torch.arange(len(score_BW[0]))[:, None]).flatten(1).argsort(1)
        best_BX = candidate_BX.gather(1, by_rank_BX).argsort(dim=1, descending=True, stable=True)[:, :beam_width]

        kept_BW = by_rank_BX.gather(1, best_BX)
        parent_BW, sentence_BW = kept_BW // sentences, kept_BW % sentences
        score_BW = candidate_BX.gather(1, kept_BW)
        order_BWS = torch.cat([order_BWS[row_B1, parent_BW], sentence_BW[:, :, None]], dim=2)
        placed_BWS = placed_BWS[row_B1, parent_BW].scatter(2, sentence_BW[:, :, None], True)
        parents_BWH = state_BWH[row_B1.to(device), parent_BW.to(device)]
        state_BWH = pointer.advance(parents_BWH, sentence_BW.to(device))
    return order_BWS, score_BW


@torch.no_grad()
def pointer_log_prob(pointer: Pointer, order_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """The log-probability of an order of each document: (B), on the device of the order."""
    return step_log_probs(pointer, order_BS).masked_fill(~mask_BS, 0.0).sum(1)
