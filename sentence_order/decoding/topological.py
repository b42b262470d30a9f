"""Topological sort of the pairs, the weakest edge of every cycle dropped.

Shape suffixes: G documents of one length, N sentences of each of them, P = N * (N - 1) / 2 pairs.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

IntArray = npt.NDArray[np.int64]


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
    reached_GN = torch.tensor([_reached(from_P, to_P, sentences) for from_P, to_P in edges]).view(-1, sentences)
    return reached_GN.argsort(dim=1, descending=True, stable=True)


def _reached(from_P: IntArray, to_P: IntArray, sentences: int) -> list[int]:
    """How many sentences each one reaches by these edges, itself included; one that would close a cycle is dropped."""
    # Sets of sentences as integers, a bit a sentence: whom each one reaches, and who reaches it.
    after = [1 << i for i in range(sentences)]
    before = list(after)
    for i, j in zip(from_P.data, to_P.data, strict=True):
        if (after[i] | before[i]) >> j & 1:  # it is implied already, or closes a cycle
            continue
        late, early = after[j], before[i]
        newly_late, newly_early = late & ~after[i], early & ~before[j]
        for k in _members(newly_early):
            after[k] |= late
        for k in _members(newly_late):
            before[k] |= early
    return [reached.bit_count() for reached in after]


def _members(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
