"""Topological sort of the pairs, the weakest edge of every cycle dropped.

Shape suffixes: G documents of one length, N sentences of each of them, P = N * (N - 1) / 2 pairs.
"""

import torch
from torch import Tensor


def topological_order(pairs_GNN: Tensor) -> Tensor:
    """Sort the graph that has an edge from i to j where i is the likelier to come first.

    Edges are taken from the strongest to the weakest, and one that would close a cycle is dropped: it is the weakest
    of that cycle. Of equally strong edges the one of the lower indices is taken first, and a pair without a preference
    points from the lower index to the higher. Neighbours have no part in it.

    References: Prabhumoye et al. (2020), "Topological sort for sentence ordering", whose code breaks cycles by the gold
    order; Tideman (1987), "Independence of clones as a criterion for voting rules", for this way to break them.

    Args:
        pairs_GNN: antisymmetric, exactly summable.

    Returns:
        `order_GN`, long.
    """
    documents, sentences, _ = pairs_GNN.shape
    first_P, second_P = torch.triu_indices(sentences, sentences, 1)
    strength_GP = pairs_GNN[:, first_P, second_P]
    rank_GP = strength_GP.abs().argsort(dim=1, descending=True, stable=True)
    forward_GP = (strength_GP >= 0).gather(1, rank_GP)
    from_GP = torch.where(forward_GP, first_P[rank_GP], second_P[rank_GP])
    to_GP = torch.where(forward_GP, second_P[rank_GP], first_P[rank_GP])
    document_G = torch.arange(documents)
    # reaches[i, j]: there is a path from i to j, or they are the same.
    reaches_GNN = torch.eye(sentences, dtype=torch.bool).repeat(documents, 1, 1)
    for from_G, to_G in zip(from_GP.T, to_GP.T, strict=True):
        allowed_G = ~reaches_GNN[document_G, to_G, from_G]
        into_GN = reaches_GNN[document_G, :, from_G] & allowed_G[:, None]
        onward_GN = reaches_GNN[document_G, to_G]
        reaches_GNN |= into_GN[:, :, None] & onward_GN[:, None, :]
    # Every pair is connected by now, so each sentence reaches another number of them.
    return reaches_GNN.sum(2).argsort(dim=1, descending=True, stable=True)
