"""Beam search for the maximum-likelihood order of documents of any length.

An order is built from its first sentence on. Placing a sentence settles its pairs with all sentences not yet placed,
and each pair that goes against its logit costs that logit; the least total cost is the greatest objective. Partial
orders are ranked by the cost so far. Counted as costs and not as gains, the rank is a bound on what the order can
still reach, as in A*; ranked by gains, a beam needs about four times the width for the same objective.

Two partial orders that hold the same sentences have the same continuations, so only the better one is kept. With
this, a beam as wide as there are sets of one size, C(N, N / 2), finds the optimum. Of equally good orders the
lexicographically first is kept.

Shape suffixes: G documents of one length, N sentences of each of them, W partial orders a document (slots of the
beam), W' slots after the step, F = W * N ways to extend them.
"""

from math import comb

import torch
from torch import Tensor

_MEMORY_BYTES = 2**26


def beam_order(logits_GNN: Tensor, *, beam_width: int = 64) -> Tensor:
    """The best order that a beam of this width finds.

    Time grows as N * beam_width * (N + beam_width), memory as beam_width * (N + beam_width).

    Args:
        logits_GNN: antisymmetric, exactly summable.
        beam_width: partial orders kept after each step, at least 1.

    Returns:
        `order_GN`, long.
    """
    bytes_per_document = 64 * beam_width * (beam_width + logits_GNN.shape[1])
    chunk = max(1, _MEMORY_BYTES // bytes_per_document)
    return torch.cat([_beam_chunk(chunk_GNN, beam_width) for chunk_GNN in torch.split(logits_GNN, chunk)])


def _beam_chunk(logits_GNN: Tensor, beam_width: int) -> Tensor:
    documents, sentences, _ = logits_GNN.shape
    # Costs are negative, and the best is the greatest. cost[j, i]: what sentence i pays for preceding sentence j.
    cost_GNN = logits_GNN.clamp(max=0).transpose(1, 2).contiguous()
    document_G1 = torch.arange(documents)[:, None]
    # The slots of a document always stand in the lexicographic order of their partial orders, so a lower slot, or a
    # lower way to extend one, is also the lexicographically earlier. Slots of no use have the score -inf.
    order_GWN = torch.zeros(documents, 1, 0, dtype=torch.long)
    placed_GWN = torch.zeros(documents, 1, sentences, dtype=torch.bool)
    score_GW = logits_GNN.new_zeros(documents, 1)
    next_cost_GWN = cost_GNN.sum(1)[:, None, :]  # what placing each sentence next would cost
    for step in range(sentences):
        candidate_GWN = (score_GW[:, :, None] + next_cost_GWN).masked_fill(placed_GWN, -torch.inf)
        _merge_(candidate_GWN, placed_GWN, step)
        candidate_GF = candidate_GWN.flatten(1)
        kept_GW = _first_best(candidate_GF, min(beam_width, comb(sentences, step + 1)))
        parent_GW, sentence_GW = kept_GW // sentences, kept_GW % sentences
        score_GW = candidate_GF.gather(1, kept_GW)
        order_GWN = torch.cat([order_GWN[document_G1, parent_GW], sentence_GW[:, :, None]], dim=2)
        placed_GWN = placed_GWN[document_G1, parent_GW].scatter(2, sentence_GW[:, :, None], True)
        # Exact, as the costs are: no error gathers over the steps.
        next_cost_GWN = next_cost_GWN[document_G1, parent_GW] - cost_GNN[document_G1, sentence_GW]
    return order_GWN[:, 0]


def _merge_(candidate_GWN: Tensor, placed_GWN: Tensor, step: int) -> None:
    """Set to -inf every candidate that another one equals in its set of sentences and beats, or ties as the earlier.

    Slots a and b can come to hold the same set only if they share all but one of their `step` sentences, by adding
    to each the one that only the other holds. All pairs of slots are compared; within a slot no two candidates agree.
    """
    # In float64, which autocast leaves alone: these are counts and sums of indices, and must be exact.
    member_GWN = placed_GWN.to(torch.float64)
    index_N = torch.arange(placed_GWN.shape[2], dtype=torch.float64)
    shared_count_GWW = member_GWN @ member_GWN.transpose(1, 2)
    shared_sum_GWW = (member_GWN * index_N) @ member_GWN.transpose(1, 2)
    meet_GWW = shared_count_GWW == step - 1
    # missing[a, b]: the sentence that b holds and a lacks, where there is exactly one such.
    missing_GWW = ((member_GWN @ index_N)[:, None, :] - shared_sum_GWW).long() * meet_GWW
    mine_GWW = candidate_GWN.gather(2, missing_GWW)
    other_GWW = mine_GWW.transpose(1, 2)
    other_is_earlier_WW = torch.ones(meet_GWW.shape[1:], dtype=torch.bool).tril(-1)
    beaten_GWW = meet_GWW & ((other_GWW > mine_GWW) | ((other_GWW == mine_GWW) & other_is_earlier_WW))
    document, slot, other = beaten_GWW.nonzero(as_tuple=True)
    candidate_GWN[document, slot, missing_GWW[document, slot, other]] = -torch.inf


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
