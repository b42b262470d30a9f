"""Beam search for the maximum-likelihood order of documents of any length.

An order is built from its first sentence on. Placing a sentence settles its pairs with all sentences not yet placed,
and each pair that goes against its score costs the difference; following the sentence before costs what that one's
best follower would have gained beyond. The least total cost is the greatest objective. Partial orders are ranked by
the cost so far. Counted as costs and not as gains, the rank is a bound on what the order can still reach, as in A*;
ranked by gains, a beam needs about four times the width for the same objective.

Two partial orders that hold the same sentences and end in the same one have the same continuations, so only the better
one is kept. With this, a beam as wide as there are such states of one size, k * C(N, k), finds the optimum. Of equally
good orders the lexicographically first is kept.

Shape suffixes: G documents of one length, N sentences of each of them, M = 1 + N those and, first, the document's
boundary, W partial orders a document (slots of the beam), F = W * N ways to extend them.
"""

from math import comb

import torch
from torch import Tensor

_MEMORY_BYTES = 2**26


def beam_order(pairs_GNN: Tensor, next_GMM: Tensor, *, beam_width: int = 64) -> Tensor:
    """The best order that a beam of this width finds.

    Time grows as N * beam_width * (N + beam_width), memory as beam_width * (N + beam_width).

    Args:
        pairs_GNN: antisymmetric, exactly summable.
        next_GMM: exactly summable.
        beam_width: partial orders kept after each step, at least 1.

    Returns:
        `order_GN`, long.
    """
    bytes_per_document = 64 * beam_width * (beam_width + pairs_GNN.shape[1])
    chunk = max(1, _MEMORY_BYTES // bytes_per_document)
    chunks = zip(torch.split(pairs_GNN, chunk), torch.split(next_GMM, chunk), strict=True)
    return torch.cat([_beam_chunk(*scores, beam_width) for scores in chunks])


def _beam_chunk(pairs_GNN: Tensor, next_GMM: Tensor, beam_width: int) -> Tensor:
    documents, sentences, _ = pairs_GNN.shape
    # Costs are negative, and the best is the greatest. pair_cost[j, i]: what sentence i pays for preceding sentence j.
    pair_cost_GNN = 2 * pairs_GNN.clamp(max=0).transpose(1, 2).contiguous()
    # next_cost[i, j]: what item i pays for being followed by j and not by its best neighbour.
    possible_GMM = next_GMM.masked_fill(torch.eye(1 + sentences, dtype=torch.bool), -torch.inf)
    next_cost_GMM = next_GMM - possible_GMM.amax(2, keepdim=True)
    document_G1 = torch.arange(documents)[:, None]
    # The slots of a document always stand in the lexicographic order of their partial orders, so a lower slot, or a
    # lower way to extend one, is also the lexicographically earlier. Slots of no use have the score -inf.
    order_GWN = torch.zeros(documents, 1, 0, dtype=torch.long)
    placed_GWN = torch.zeros(documents, 1, sentences, dtype=torch.bool)
    score_GW = pairs_GNN.new_zeros(documents, 1)
    last_GW = torch.zeros(documents, 1, dtype=torch.long)  # the item placed last: at first, the boundary
    settled_GWN = pair_cost_GNN.sum(1)[:, None, :]  # what placing each sentence next costs in pairs
    for step in range(sentences):
        candidate_GWN = score_GW[:, :, None] + settled_GWN + next_cost_GMM[document_G1, last_GW, 1:]
        width = min(beam_width, comb(sentences, step + 1) * (step + 1))
        if step == sentences - 1:
            candidate_GWN = candidate_GWN + next_cost_GMM[:, None, 1:, 0]
            width = 1
        candidate_GWN = candidate_GWN.masked_fill(placed_GWN, -torch.inf)
        candidate_GF = _best_of_each_state(candidate_GWN, placed_GWN, step).flatten(1)
        kept_GW = _first_best(candidate_GF, width)
        parent_GW, sentence_GW = kept_GW // sentences, kept_GW % sentences
        score_GW = candidate_GF.gather(1, kept_GW)
        order_GWN = torch.cat([order_GWN[document_G1, parent_GW], sentence_GW[:, :, None]], dim=2)
        placed_GWN = placed_GWN[document_G1, parent_GW].scatter(2, sentence_GW[:, :, None], True)
        last_GW = 1 + sentence_GW
        # Exact, as the costs are: no error gathers over the steps.
        settled_GWN = settled_GWN[document_G1, parent_GW] - pair_cost_GNN[document_G1, sentence_GW]
    return order_GWN[:, 0]


def _best_of_each_state(candidate_GWN: Tensor, placed_GWN: Tensor, step: int) -> Tensor:
    """The candidates, -inf where an equal or better one from another slot comes to the same set and last sentence.

    That is one which adds the same sentence to the same set. Of equal ones the first slot's stays.
    """
    # In float64, which autocast leaves alone: these are counts, and must be exact.
    member_GWN = placed_GWN.to(torch.float64)
    same_set_GWW = member_GWN @ member_GWN.transpose(1, 2) == step
    # Slots of the same set are one group, under the number of the first of them.
    group_GWN = same_set_GWW.int().argmax(2)[:, :, None].expand_as(candidate_GWN)
    best_GWN = torch.full_like(candidate_GWN, -torch.inf).scatter_reduce(1, group_GWN, candidate_GWN, "amax")
    slot_GWN = torch.arange(candidate_GWN.shape[1])[None, :, None].expand_as(candidate_GWN)
    is_best_GWN = candidate_GWN == best_GWN.gather(1, group_GWN)
    none = candidate_GWN.shape[1]
    first_GWN = torch.full_like(slot_GWN, none).scatter_reduce(1, group_GWN, slot_GWN.where(is_best_GWN, none), "amin")
    return candidate_GWN.masked_fill(slot_GWN != first_GWN.gather(1, group_GWN), -torch.inf)


def _first_best(score_GF: Tensor, count: int) -> Tensor:
    """The indices, ascending, of the `count` greatest scores of each row; of equal ones, those that come first.

    `topk` tells the least score to keep, but leaves open which of several equal ones it returns.
    """
    least_G1 = score_GF.topk(count, dim=1).values[:, -1:]
    above_GF = score_GF > least_G1
    level_GF = score_GF == least_G1
    room_G1 = count - above_GF.sum(1, keepdim=True)
    kept_GF = above_GF | (level_GF & (level_GF.cumsum(1) <= room_G1))
    return kept_GF.nonzero()[:, 1].view(-1, count)
