"""The maximum-likelihood order, by dynamic programming over subsets of the sentences.

The linear ordering and the travelling salesman problem at once, in 2**N * N**2 / 4 steps: the best way to arrange a set
R of sentences with i in front continues with the best way to arrange the others, with one of them, j, in front,

    best(R, i) = sum of pairs[i, k] over k in R  +  max over j in R without i of  next[i, j] + best(R without i, j)

Of few sentences, all orders are evaluated at once: one product of matrices takes less time than many small steps.

References: Held and Karp (1962), "A dynamic programming approach to sequencing problems", for the recursion; Keswani
and Jhamtani (2021), "Formulating neural sentence ordering as the asymmetric traveling salesman problem".
"""

from math import factorial

import torch
from torch import Tensor

from sentence_order.decoding.beam import beam_order
from sentence_order.decoding.orders import MAX_LISTED_SENTENCES, list_orders
from sentence_order.decoding.scores import CleanScores
from sentence_order.decoding.subsets import subset_tables

MAX_EXACT_SENTENCES = 12


def exact_order(scores: CleanScores, beam_width: int) -> Tensor:
    """The order of greatest objective; of several, the lexicographically first.

    Beyond `MAX_EXACT_SENTENCES` sentences, that of `beam_order`.
    """
    sentences = scores.pairs_GSS.shape[1]
    if sentences > MAX_EXACT_SENTENCES:
        return beam_order(scores, beam_width)
    if sentences <= MAX_LISTED_SENTENCES:  # the objectives of a document
        return scores.map_chunks(_best_of_all, 2**20, 8 * factorial(sentences))
    # At most this for a document: gains, states, and the candidates of one layer. In chunks of 16 MiB twelve sentences
    # take 1.3 times as long.
    return scores.map_chunks(_best_by_subsets, 2**26, 32 * sentences * 2**sentences)


def _best_of_all(pairs_GSS: Tensor, next_GTT: Tensor) -> Tensor:
    orders = list_orders(pairs_GSS.shape[1], pairs_GSS.device, pairs_GSS.dtype)
    best_G = orders.objectives(pairs_GSS, next_GTT).argmax(1)  # of equal values, the first
    return orders.order_KS.index_select(0, best_G)


def _best_by_subsets(pairs_GSS: Tensor, next_GTT: Tensor) -> Tensor:
    documents, sentences, _ = pairs_GSS.shape
    membership_ZS, layers = subset_tables(sentences, pairs_GSS.device)
    links_XG = next_GTT[:, 1:, 1:].permute(1, 2, 0).reshape(-1, documents)
    # What sentence i earns by preceding the set R. The diagonal is zero, so R may hold i itself.
    gains_XG = (membership_ZS @ pairs_GSS.permute(1, 2, 0)).reshape(-1, documents)
    # A sentence cannot be in front of a set that it is not in.
    best_XG = pairs_GSS.new_full((2**sentences * sentences, documents), -torch.inf)
    sentence_S = torch.arange(sentences)
    best_XG[(1 << sentence_S) * sentences + sentence_S] = next_GTT[:, 1:, 0].T
    for layer in layers:
        value_XG = pairs_GSS.new_full((len(layer.states), documents), -torch.inf)
        for links, rests in zip(layer.links, layer.rests, strict=True):
            # `index_select` takes half the time of indexing.
            ways_XG = links_XG.index_select(0, links).add_(best_XG.index_select(0, rests))
            torch.maximum(value_XG, ways_XG, out=value_XG)
        best_XG.index_copy_(0, layer.states, value_XG.add_(gains_XG.index_select(0, layer.gains)))

    remaining_G = torch.full((documents,), 2**sentences - 1)
    link_SG = next_GTT[:, 0, 1:].T
    order = []
    for _ in range(sentences):
        value_SG = best_XG.gather(0, remaining_G * sentences + sentence_S[:, None]) + link_SG
        # `argmax` returns the first of equal values: the lowest sentence wins a tie, at every place.
        sentence_G = value_SG.T.contiguous().argmax(1)
        order.append(sentence_G)
        remaining_G = remaining_G - (1 << sentence_G)
        link_SG = links_XG.gather(0, sentence_G * sentences + sentence_S[:, None])
    return torch.stack(order, dim=1)
