"""Beam search for the maximum-likelihood order of documents of any length.

An order is built from its first sentence on. Placing a sentence settles its pairs with all sentences not yet placed,
and each pair that goes against its score costs the difference; following the sentence before costs what that one's
best follower would have gained beyond. The least total cost is the greatest objective, and the cost so far is a bound
on what an order can still reach, as in A*; ranked by gains, a beam needs four times the width for the same objective.

Two partial orders of the same sentences that end in the same one have the same continuations, so only the better one is
kept, or of equals the lexicographically first. So a beam of k * C(N, k), the states of one size, finds the optimum.
"""

from functools import partial
from math import comb

import torch
from torch import Tensor

from sentence_order.decoding.scores import CleanScores


def beam_order(scores: CleanScores, beam_width: int) -> Tensor:
    """The best order that a beam of this width finds.

    Time grows as N * beam_width * (N + beam_width), memory as beam_width * (N + beam_width).
    """
    bytes_per_document = 64 * beam_width * (beam_width + scores.pairs_GSS.shape[1])
    return scores.map_chunks(partial(_beam_chunk, beam_width), 2**26, bytes_per_document)


def _beam_chunk(beam_width: int, pairs_GSS: Tensor, next_GTT: Tensor) -> Tensor:
    documents, sentences, _ = pairs_GSS.shape
    # Costs are negative, and the best is the greatest. pair_cost[j, i]: what sentence i pays for preceding sentence j.
    pair_cost_GSS = 2 * pairs_GSS.clamp(max=0).transpose(1, 2).contiguous()
    # next_cost[i, j]: what item i pays for being followed by j and not by its best neighbour.
    possible_GTT = next_GTT.masked_fill(torch.eye(1 + sentences, dtype=torch.bool), -torch.inf)
    next_cost_GTT = next_GTT - possible_GTT.amax(2, keepdim=True)
    document_G1 = torch.arange(documents)[:, None]

    # The slots of a document always stand in the lexicographic order of their partial orders, so a lower slot, or a
    # lower way to extend one, is also the lexicographically earlier. Unused slots have the score -inf.
    order_GWS = torch.zeros(documents, 1, 0, dtype=torch.long)
    placed_GWS = torch.zeros(documents, 1, sentences, dtype=torch.bool)
    score_GW = pairs_GSS.new_zeros(documents, 1)
    last_GW = torch.zeros(documents, 1, dtype=torch.long)  # the item placed last: at first, the boundary
    settled_GWS = pair_cost_GSS.sum(1)[:, None, :]  # what placing each sentence next costs in pairs

    for step in range(sentences):
        candidate_GWS = score_GW[:, :, None] + settled_GWS + next_cost_GTT[document_G1, last_GW, 1:]
        width = min(beam_width, comb(sentences, step + 1) * (step + 1))
        if step == sentences - 1:
            candidate_GWS = candidate_GWS + next_cost_GTT[:, None, 1:, 0]
            width = 1
        candidate_GWS = candidate_GWS.masked_fill(placed_GWS, -torch.inf)
        candidate_GX = _best_of_each_state(candidate_GWS, placed_GWS, step).flatten(1)

        kept_GW = _first_best(candidate_GX, width)
        parent_GW, sentence_GW = kept_GW // sentences, kept_GW % sentences
        score_GW = candidate_GX.gather(1, kept_GW)
        order_GWS = torch.cat([order_GWS[document_G1, parent_GW], sentence_GW[:, :, None]], dim=2)
        placed_GWS = placed_GWS[document_G1, parent_GW].scatter(2, sentence_GW[:, :, None], True)
        last_GW = 1 + sentence_GW
        # Exact, as the costs are: no error gathers over the steps.
        settled_GWS = settled_GWS[document_G1, parent_GW] - pair_cost_GSS[document_G1, sentence_GW]
    return order_GWS[:, 0]


def _best_of_each_state(candidate_GWS: Tensor, placed_GWS: Tensor, step: int) -> Tensor:
    """The candidates, -inf where an equal or better one from another slot comes to the same set and last sentence.

    That is one which adds the same sentence to the same set. Of equal ones the first slot's stays.
    """
    # In float64, which autocast leaves alone: these are counts, and must be exact.
    member_GWS = placed_GWS.to(torch.float64)
    same_set_GWW = member_GWS @ member_GWS.transpose(1, 2) == step
    # Slots of the same set are one group, under the number of the first of them.
    group_GWS = same_set_GWW.int().argmax(2)[:, :, None].expand_as(candidate_GWS)
    best_GWS = torch.full_like(candidate_GWS, -torch.inf).scatter_reduce(1, group_GWS, candidate_GWS, "amax")
    is_best_GWS = candidate_GWS == best_GWS.gather(1, group_GWS)
    none = candidate_GWS.shape[1]
    slot_GWS = torch.arange(none)[None, :, None].expand_as(candidate_GWS)
    first_GWS = torch.full_like(slot_GWS, none).scatter_reduce(1, group_GWS, slot_GWS.where(is_best_GWS, none), "amin")
    return candidate_GWS.masked_fill(slot_GWS != first_GWS.gather(1, group_GWS), -torch.inf)


def _first_best(score_GX: Tensor, count: int) -> Tensor:
    """The indices, ascending, of the `count` greatest scores of each row; of equal ones, those that come first.

    `topk` gives the least score to keep, but not a defined choice among equal ones.
    """
    least_G1 = score_GX.topk(count, dim=1).values[:, -1:]
    above_GX = score_GX > least_G1
    level_GX = score_GX == least_G1
    room_G1 = count - above_GX.sum(1, keepdim=True)
    kept_GX = above_GX | (level_GX & (level_GX.cumsum(1) <= room_G1))
    return kept_GX.nonzero()[:, 1].view(-1, count)
