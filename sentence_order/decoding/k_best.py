"""The k orders of greatest objective, by the recursion of `decoding/exact.py` with lists of the best in place of one.

    bests(R, i) = sum of pairs[i, k] over k in R  +  the k greatest of  next[i, j] + bests(R without i, j) over j

A state keeps the best ways to arrange its set; the k best of larger sets continue with some of these.

Reference: Huang and Chiang (2005), "Better k-best parsing", for lists in place of maxima.
"""

from functools import partial
from math import factorial

import torch
from torch import Tensor
from torch.nn.functional import pad

from sentence_order.decoding.beam import beam_orders
from sentence_order.decoding.exact import MAX_EXACT_SENTENCES
from sentence_order.decoding.orders import MAX_LISTED_SENTENCES, list_orders
from sentence_order.decoding.scores import CleanScores
from sentence_order.decoding.subsets import subset_tables


def k_best_orders(scores: CleanScores, beam_width: int, count: int) -> Tensor:
    """The best orders, best first, of equal ones the lexicographically first: (G, count, N).

    The first is that of `exact_order`. Beyond `MAX_EXACT_SENTENCES` sentences they are those of `beam_orders`. If there
    are fewer than `count`, the last rows are -1.
    """
    sentences = scores.pairs_GSS.shape[1]
    if sentences > MAX_EXACT_SENTENCES:
        return beam_orders(scores, beam_width, count)
    scores = scores.without_swaps()
    found = min(count, factorial(sentences))
    if sentences <= MAX_LISTED_SENTENCES:
        order_GKS = scores.map_chunks(partial(_best_of_all, found), 2**20, 8 * factorial(sentences))
    else:
        bytes_per_document = 48 * found * sentences * 2**sentences
        order_GKS = scores.map_chunks(partial(_best_by_subsets, found), 2**26, bytes_per_document)
    return pad(order_GKS, (0, 0, 0, count - found), value=-1)


def _best_of_all(count: int, pairs_GSS: Tensor, next_GTT: Tensor) -> Tensor:
    orders = list_orders(pairs_GSS.shape[1], pairs_GSS.device, pairs_GSS.dtype)
    objective_GK = orders.objectives(pairs_GSS, next_GTT)
    return orders.order_KS[objective_GK.argsort(dim=1, descending=True, stable=True)[:, :count]]


def _best_by_subsets(count: int, pairs_GSS: Tensor, next_GTT: Tensor) -> Tensor:
    documents, sentences, _ = pairs_GSS.shape
    membership_ZS, layers = subset_tables(sentences, pairs_GSS.device)
    links_XG = next_GTT[:, 1:, 1:].permute(1, 2, 0).reshape(-1, documents)
    gains_XG = (membership_ZS @ pairs_GSS.permute(1, 2, 0)).reshape(-1, documents)
    # Of each state the K best ways, and the way that each continues with: the row of its state times K and its rank.
    best_XGK = pairs_GSS.new_full((2**sentences * sentences, documents, count), -torch.inf)
    rest_XGK = torch.zeros(best_XGK.shape, dtype=torch.long)
    sentence_S = torch.arange(sentences)
    best_XGK[(1 << sentence_S) * sentences + sentence_S, :, 0] = next_GTT[:, 1:, 0].T
    rank_K = torch.arange(count)
    for layer in layers:
        # Sentences that may come next are ascending, so that a stable sort leaves equal ways lexicographic.
        ways_JXGK = links_XG[layer.links][..., None] + best_XGK[layer.rests]
        rests_XJK = layer.rests.T[:, :, None] * count + rank_K
        value_XGY, way_XGY = ways_JXGK.permute(1, 2, 0, 3).flatten(2).sort(dim=2, descending=True, stable=True)
        best_XGK[layer.states] = value_XGY[:, :, :count] + gains_XG[layer.gains][..., None]
        rests_XGY = rests_XJK.flatten(1)[:, None].expand(-1, documents, -1)
        rest_XGK[layer.states] = rests_XGY.gather(2, way_XGY[:, :, :count])

    first_GSK = (best_XGK[-sentences:] + next_GTT[:, 0, 1:].T[..., None]).transpose(0, 1)
    start_K = first_GSK.flatten(1).argsort(dim=1, descending=True, stable=True)[:, :count]
    way_GK = (2**sentences - 1) * sentences * count + start_K
    rest_GX = rest_XGK.transpose(0, 1).flatten(1)
    order = []
    for _ in range(sentences):
        order.append(way_GK // count % sentences)
        way_GK = rest_GX.gather(1, way_GK)
    return torch.stack(order, dim=2)
