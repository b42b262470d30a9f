"""Topological sort of the pairs, the weakest edge of every cycle dropped.

Shape suffixes: G documents of one length, N sentences of each of them, P = N * (N - 1) / 2 pairs.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


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
    sentences = pairs_GNN.shape[1]
    first_P, second_P = torch.triu_indices(sentences, sentences, 1)
    strength_GP = pairs_GNN[:, first_P, second_P]
    rank_GP = strength_GP.abs().argsort(dim=1, descending=True, stable=True)
    forward_GP = (strength_GP >= 0).gather(1, rank_GP)
    from_GP = torch.where(forward_GP, first_P[rank_GP], second_P[rank_GP])
    to_GP = torch.where(forward_GP, second_P[rank_GP], first_P[rank_GP])
    edges = zip(from_GP.numpy(), to_GP.numpy(), strict=True)
    # Every pair is connected in the end, so each sentence reaches another number of them.
    reached_GN = np.array([_reached(from_P, to_P, sentences).sum(1) for from_P, to_P in edges])
    return torch.from_numpy(reached_GN.reshape(-1, sentences)).argsort(dim=1, descending=True, stable=True)


def _reached(from_P: IntArray, to_P: IntArray, sentences: int) -> BoolArray:
    """Which sentences each one reaches by these edges, itself included (N, N); one that would close a cycle is dropped.

    An edge between sentences of which one reaches the other changes nothing. Most are of this kind, and are passed over
    many at a time.
    """
    reaches_NN = np.eye(sentences, dtype=bool)
    for start in range(0, len(from_P), 4 * sentences):
        starts, ends = from_P[start : start + 4 * sentences], to_P[start : start + 4 * sentences]
        undecided = ~(reaches_NN[starts, ends] | reaches_NN[ends, starts])
        for i, j in zip(starts[undecided].tolist(), ends[undecided].tolist(), strict=True):
            if not (reaches_NN[i, j] or reaches_NN[j, i]):
                reaches_NN[reaches_NN[:, i]] |= reaches_NN[j]
    return reaches_NN
