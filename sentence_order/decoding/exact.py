"""The maximum-likelihood order, by dynamic programming over subsets of the sentences.

Among all N! orders the one of greatest objective, the sum over its pairs and its neighbours (the linear ordering and
the travelling salesman problem at once), is found in 2**N * N**2 / 4 steps. The best way to arrange a set R of
sentences with i in front goes on with the best way to arrange the others, with one of them, j, in front:

    best(R, i) = sum of pairs[i, k] over k in R  +  max over j in R without i of  next[i, j] + best(R without i, j)

References: Held and Karp (1962), "A dynamic programming approach to sequencing problems", for the recursion;
Keswani and Jhamtani (2021), "Formulating neural sentence ordering as the asymmetric traveling salesman problem",
for sentence ordering.

The states are those of `subsets.py`. Shape suffixes: G documents of one length, N sentences of each of them, M = 1 + N
those and, first, the boundary, R sets (2**N), X rows of a table. Documents stand last here: every step then reads and
writes contiguous rows.
"""

import torch
from torch import Tensor

from sentence_order.decoding.beam import beam_order
from sentence_order.subsets import subset_tables

MAX_EXACT_SENTENCES = 12
_MEMORY_BYTES = 2**24


def exact_order(pairs_GNN: Tensor, next_GMM: Tensor, *, beam_width: int = 64) -> Tensor:
    """The order of greatest objective; of several, the lexicographically first.

    Args:
        pairs_GNN: antisymmetric, exactly summable. Beyond `MAX_EXACT_SENTENCES` sentences a beam search stands in.
        next_GMM: exactly summable.
        beam_width: the width of that beam.

    Returns:
        `order_GN`, long.
    """
    sentences = pairs_GNN.shape[1]
    if sentences > MAX_EXACT_SENTENCES:
        return beam_order(pairs_GNN, next_GMM, beam_width=beam_width)
    chunk = max(1, _MEMORY_BYTES // _bytes_per_document(sentences))
    chunks = zip(torch.split(pairs_GNN, chunk), torch.split(next_GMM, chunk), strict=True)
    return torch.cat([_exact_chunk(*scores) for scores in chunks])


def _bytes_per_document(sentences: int) -> int:
    return 32 * sentences * 2**sentences  # an upper bound: gains, states, and the candidates of one layer


def _exact_chunk(pairs_GNN: Tensor, next_GMM: Tensor) -> Tensor:
    documents, sentences, _ = pairs_GNN.shape
    membership_RN, layers = subset_tables(sentences, pairs_GNN.device)
    links_XG = next_GMM[:, 1:, 1:].permute(1, 2, 0).reshape(-1, documents)
    # What sentence i earns by preceding the set R. The diagonal is zero, so R may hold i itself.
    gains_XG = (membership_RN @ pairs_GNN.permute(1, 2, 0)).reshape(-1, documents)
    # No sentence stands in front of a set that it is not in.
    best_XG = pairs_GNN.new_full((2**sentences * sentences, documents), -torch.inf)
    sentence_N = torch.arange(sentences)
    best_XG[(1 << sentence_N) * sentences + sentence_N] = next_GMM[:, 1:, 0].T
    for layer in layers:
        value_XG = _rows(links_XG, layer.links[0]).add_(_rows(best_XG, layer.rests[0]))
        for links, rests in zip(layer.links[1:], layer.rests[1:], strict=True):
            torch.maximum(value_XG, _rows(links_XG, links).add_(_rows(best_XG, rests)), out=value_XG)
        best_XG.index_copy_(0, layer.states, value_XG.add_(_rows(gains_XG, layer.gains)))

    remaining_G = torch.full((documents,), 2**sentences - 1)
    link_NG = next_GMM[:, 0, 1:].T
    order = []
    for _ in range(sentences):
        value_NG = best_XG.gather(0, remaining_G * sentences + sentence_N[:, None]) + link_NG
        # `argmax` returns the first of equal values: the lowest sentence wins a tie, at every place.
        sentence_G = value_NG.T.contiguous().argmax(1)
        order.append(sentence_G)
        remaining_G = remaining_G - (1 << sentence_G)
        link_NG = links_XG.gather(0, sentence_G * sentences + sentence_N[:, None])
    return torch.stack(order, dim=1)


def _rows(table_XG: Tensor, index: Tensor) -> Tensor:
    """`table_XG[index]`, in half the time."""
    return table_XG.index_select(0, index)
