"""Orders that are drawn at random, by which the distribution over those of a long document is estimated.

Reference: Robert and Casella (2004), "Monte Carlo statistical methods", for importance and Gibbs sampling.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from sentence_order.decoding.scores import gather_matrix

# Orders that are drawn for a document: fewer of very long ones, whose every order takes longer.
MAX_DRAWS, MIN_DRAWS, DRAWN_PAIRS = 200, 16, 2**21
# Orders that are changed step by step; how often each sentence is moved before the moves count, and then.
CHAINS, BURN_IN, SWEEPS = 32, 3, 6
BALANCING = 20  # times that rows and columns are normalised


class Draws(NamedTuple):
    """Orders of each document, and the logarithms of their weights, whose mean estimates the sum over all orders."""

    order_GKS: Tensor
    log_weight_GK: Tensor


def draw_orders(pairs_GSS: Tensor, next_GTT: Tensor, text_rank_GS: Tensor) -> Draws:
    """Draws each next sentence by its neighbour before and what it costs in pairs to precede those that remain.

    As in a beam search, costs tell more than gains of what an order can still reach: by gains, a few of the orders have
    most of the weight. The weight of an order is the exponential of its objective over the probability that it is
    drawn. The same orders are drawn whatever the input order is: sentences are numbered by the ranks of their texts.
    """
    documents, sentences, _ = pairs_GSS.shape
    index_GS = text_rank_GS.argsort(dim=1, stable=True)
    item_GT = pad(index_GS + 1, (1, 0))
    pairs_GSS = gather_matrix(pairs_GSS, index_GS, index_GS).float()
    next_GTT = gather_matrix(next_GTT, item_GT, item_GT).float()
    draws = max(MIN_DRAWS, min(MAX_DRAWS, DRAWN_PAIRS // sentences**2))
    generator = torch.Generator().manual_seed(0)
    cost_GSS = 2 * pairs_GSS.clamp(max=0)
    # Rows of all documents one after the other, of which `index_select` is the fastest way to take some.
    cost_XS, next_XS = cost_GSS.transpose(1, 2).flatten(0, 1), next_GTT[:, :, 1:].flatten(0, 1)
    document_G1 = torch.arange(documents)[:, None]

    settled_GKS = cost_GSS.sum(2)[:, None].repeat(1, draws, 1)  # what each costs that precedes those that remain
    item_GK = torch.zeros(documents, draws, dtype=torch.long)  # placed last: at first, the boundary
    # An order gains in its pairs what the best direction of each would gain, less its costs.
    log_weight_GK = (pairs_GSS.abs().sum((1, 2)) / 2)[:, None].repeat(1, draws)
    order = []
    for _ in range(sentences):
        rows_X = (document_G1 * (1 + sentences) + item_GK).flatten()
        value_GKS = settled_GKS + next_XS.index_select(0, rows_X).view_as(settled_GKS)
        log_weight_GK += value_GKS.logsumexp(2)
        # The greatest value with Gumbel noise is a draw by the exponentials of the values.
        noise_KS = torch.empty(draws, sentences).exponential_(generator=generator).log_()
        drawn_GK = value_GKS.sub_(noise_KS).argmax(2)

        order.append(drawn_GK)
        rows_X = (document_G1 * sentences + drawn_GK).flatten()
        settled_GKS -= cost_XS.index_select(0, rows_X).view_as(settled_GKS)
        settled_GKS.scatter_(2, drawn_GK[:, :, None], -torch.inf)
        item_GK = 1 + drawn_GK
    log_weight_GK += next_GTT[document_G1, item_GK, 0]
    order_GKS = index_GS[:, None].expand_as(settled_GKS).gather(2, torch.stack(order, dim=2))
    return Draws(order_GKS, log_weight_GK.double())


def sample_marginals(pairs_SS: Tensor, next_TT: Tensor, text_rank_S: Tensor, order_S: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities of the pairs (S, S) and neighbours (T, T) of one document, by Gibbs sampling.

    Chains start from a good order. Again and again each sentence is taken out and put back, at a place that is drawn by
    the probabilities of all places. What is added up are these probabilities, which vary less than what is drawn.
    """
    sentences = len(pairs_SS)
    # Sentences are numbered by the ranks of their texts, so that the moves are the same whatever the input order is.
    index_S = text_rank_S.argsort(stable=True)
    item_T = pad(index_S + 1, (1, 0))
    pairs_SS, next_TT = pairs_SS[index_S][:, index_S], next_TT[item_T][:, item_T]
    order_KS = index_S.argsort()[order_S].repeat(CHAINS, 1)
    generator = torch.Generator().manual_seed(0)
    before_SS, next_sum_TT = torch.zeros_like(pairs_SS), torch.zeros_like(next_TT)
    slot_S = torch.arange(sentences)

    for sweep in range(BURN_IN + SWEEPS):
        for i in torch.randperm(sentences, generator=generator).tolist():
            others_KX = order_KS[order_KS != i].view(CHAINS, -1)
            path_KY = pad(others_KX + 1, (1, 1))  # from the boundary to the boundary again
            left_KS, right_KS = path_KY[:, :-1], path_KY[:, 1:]
            # Of each slot, up to a constant: what the sentence gains by following those before, and as a neighbour.
            value_KS = 2 * pad(pairs_SS[:, i][others_KX].cumsum(1), (1, 0))
            value_KS += next_TT[left_KS, 1 + i] + next_TT[1 + i, right_KS] - next_TT[left_KS, right_KS]
            chance_KS = value_KS.softmax(1)
            if sweep >= BURN_IN:
                before_SS[i].scatter_add_(0, others_KX.flatten(), chance_KS.cumsum(1)[:, :-1].flatten())
                next_sum_TT[:, 1 + i].scatter_add_(0, left_KS.flatten(), chance_KS.flatten())
                next_sum_TT[1 + i].scatter_add_(0, right_KS.flatten(), chance_KS.flatten())

            slot_K1 = chance_KS.multinomial(1, generator=generator)
            order_KS = pad(others_KX, (0, 1)).where(slot_S < slot_K1, pad(others_KX, (1, 0)))
            order_KS.scatter_(1, slot_K1, i)

    before_SS = ((before_SS - before_SS.T) / (CHAINS * SWEEPS) + 1) / 2  # estimated when i was moved, and when j was
    next_sum_TT[1:, 1:] /= 2  # so were links, unless to the boundary, which is not moved
    for _ in range(BALANCING):  # every item has one before it, and one behind
        next_sum_TT /= next_sum_TT.sum(1, keepdim=True)
        next_sum_TT /= next_sum_TT.sum(0, keepdim=True)
    place_S, place_T = index_S.argsort(), item_T.argsort()
    return before_SS.fill_diagonal_(0)[place_S][:, place_S], next_sum_TT[place_T][:, place_T]
