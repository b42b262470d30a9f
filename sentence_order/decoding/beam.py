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
from torch.nn.functional import pad

from sentence_order.decoding.scores import CleanScores


def beam_order(scores: CleanScores, beam_width: int) -> Tensor:
    """The best order that a beam of this width finds.

    Time grows as N * beam_width * (N + beam_width), memory as beam_width * (N + beam_width).
    """
    return beam_orders(scores, beam_width, 1)[:, 0]


def beam_orders(scores: CleanScores, beam_width: int, count: int) -> Tensor:
    """The best orders that lead through the states of a beam of this width, best first: (G, K, N).

    The first is that of `beam_order`. If there are fewer than `count`, the last rows are -1.
    """
    bytes_per_document = 64 * beam_width * (beam_width * count + scores.pairs_GSS.shape[1])
    return scores.without_swaps().map_chunks(partial(_beam_chunk, beam_width, count), 2**26, bytes_per_document)


def _beam_chunk(beam_width: int, count: int, pairs_GSS: Tensor, next_GTT: Tensor) -> Tensor:
    documents, sentences, _ = pairs_GSS.shape
    # Costs are negative, and the best is the greatest. pair_cost[j, i]: what sentence i pays for preceding sentence j.
    pair_cost_GSS = 2 * pairs_GSS.clamp(max=0).transpose(1, 2).contiguous()
    # next_cost[i, j]: what item i pays for being followed by j and not by its best neighbour.
    possible_GTT = next_GTT.masked_fill(torch.eye(1 + sentences, dtype=torch.bool), -torch.inf)
    next_cost_GTT = next_GTT - possible_GTT.amax(2, keepdim=True)
    document_G1 = torch.arange(documents)[:, None]

    # A slot holds a state and the best partial orders, at most `count`, that come to it. The slots of a document always
    # stand in the lexicographic order of their best ones, so a lower slot, or a lower way to extend one, is also the
    # lexicographically earlier. Unused slots have the score -inf.
    order_GWKS = torch.zeros(documents, 1, 1, 0, dtype=torch.long)
    placed_GWS = torch.zeros(documents, 1, sentences, dtype=torch.bool)
    score_GWK = pairs_GSS.new_zeros(documents, 1, 1)
    last_GW = torch.zeros(documents, 1, dtype=torch.long)  # the item placed last: at first, the boundary
    settled_GWS = pair_cost_GSS.sum(1)[:, None, :]  # what placing each sentence next costs in pairs

    def extension_costs() -> Tensor:
        """What placing each sentence next costs, -inf for placed ones: (G, W, S)."""
        cost_GWS = settled_GWS + next_cost_GTT[document_G1, last_GW, 1:]
        return cost_GWS.masked_fill_(placed_GWS, -torch.inf)

    for step in range(sentences - 1):
        cost_GWS = extension_costs()
        # In float64, which autocast leaves alone: these are counts, and must be exact.
        member_GWS = placed_GWS.to(torch.float64)
        same_set_GWW = member_GWS @ member_GWS.transpose(1, 2) == step
        candidate_GX = _best_of_each_state(score_GWK[:, :, :1] + cost_GWS, same_set_GWW).flatten(1)

        kept_GW = _first_best(candidate_GX, min(beam_width, comb(sentences, step + 1) * (step + 1)))
        parent_GW, sentence_GW = kept_GW // sentences, kept_GW % sentences
        if count == 1:
            score_GWK = candidate_GX.gather(1, kept_GW)[:, :, None]
            order_GWKS = order_GWKS[document_G1, parent_GW]
        else:
            cost_GWV = cost_GWS.transpose(1, 2)[document_G1, sentence_GW]
            is_same_GWV = same_set_GWW[document_G1, parent_GW]
            score_GWK, order_GWKS = _best_ways(score_GWK, order_GWKS, cost_GWV.where(is_same_GWV, -torch.inf), count)
        order_GWKS = _append(order_GWKS, sentence_GW)
        placed_GWS = placed_GWS[document_G1, parent_GW].scatter(2, sentence_GW[:, :, None], True)
        last_GW = 1 + sentence_GW
        # Exact, as the costs are: no error gathers over the steps.
        settled_GWS = settled_GWS[document_G1, parent_GW] - pair_cost_GSS[document_G1, sentence_GW]

    # One sentence remains in each slot.
    closing_cost_GW, sentence_GW = (extension_costs() + next_cost_GTT[:, None, 1:, 0]).max(2)
    order_GWKS = _append(order_GWKS, sentence_GW)
    score_G1K, order_G1KS = _best_ways(score_GWK, order_GWKS, closing_cost_GW[:, None], count)
    order_GKS = order_G1KS[:, 0].masked_fill(score_G1K[:, 0, :, None] == -torch.inf, -1)
    return pad(order_GKS, (0, 0, 0, count - order_GKS.shape[1]), value=-1)


def _append(order_GWKS: Tensor, sentence_GW: Tensor) -> Tensor:
    return torch.cat([order_GWKS, sentence_GW[:, :, None, None].expand(*order_GWKS.shape[:3], 1)], dim=3)


def _best_ways(score_GVK: Tensor, order_GVKS: Tensor, cost_GWV: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Of the partial orders of all slots V, the `count` best to continue at each of these costs, best first.

    Returns their scores (G, W, K) and the orders (G, W, K, S).
    """
    ways = score_GVK.shape[2]
    score_GWX = (score_GVK[:, None] + cost_GWV[..., None]).flatten(2)
    score_GWX, way_GWX = score_GWX.sort(dim=2, descending=True, stable=True)
    way_GWK = way_GWX[:, :, :count]
    document_G11 = torch.arange(len(score_GVK))[:, None, None]
    return score_GWX[:, :, :count], order_GVKS[document_G11, way_GWK // ways, way_GWK % ways]


def _best_of_each_state(candidate_GWS: Tensor, same_set_GWW: Tensor) -> Tensor:
    """The candidates, -inf where an equal or better one from another slot comes to the same set and last sentence.

    That is one which adds the same sentence to the same set. Of equal ones the first slot's stays.
    """
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
