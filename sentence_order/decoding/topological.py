"""Topological sort of the pairs, the weakest edge of every cycle dropped."""

from collections.abc import Iterator

import torch
from torch import Tensor

from sentence_order.arrays import IntArray
from sentence_order.decoding.scores import CleanScores


def topological_order(scores: CleanScores, beam_width: int) -> Tensor:
    """Sorts the graph that has an edge from i to j where i is the likelier to come first.

    Edges are taken from the strongest to the weakest, and one that would close a cycle is dropped: it is the weakest
    of that cycle. Of equally strong edges the one of the lower indices is taken first, and a pair without a preference
    points from the lower index to the higher. Does not use neighbours or the beam.

    References: Prabhumoye et al. (2020), "Topological sort for sentence ordering", whose code breaks cycles by the gold
    order; Tideman (1987), "Independence of clones as a criterion for voting rules", for this way to break them.
    """
    sentences = scores.pairs_GSS.shape[1]
    first_E, second_E = torch.triu_indices(sentences, sentences, 1)
    strength_GE = scores.pairs_GSS[:, first_E, second_E]
    rank_GE = strength_GE.abs().argsort(dim=1, descending=True, stable=True)
    forward_GE = (strength_GE >= 0).gather(1, rank_GE)
    from_GE = torch.where(forward_GE, first_E[rank_GE], second_E[rank_GE])
    to_GE = torch.where(forward_GE, second_E[rank_GE], first_E[rank_GE])
    edges = zip(from_GE.numpy(), to_GE.numpy(), strict=True)
    # Every pair is connected in the end, so each sentence reaches another number of them.
    reached_GS = torch.tensor([_reached(from_E, to_E, sentences) for from_E, to_E in edges])
    return reached_GS.argsort(dim=1, descending=True, stable=True)


def _reached(from_E: IntArray, to_E: IntArray, sentences: int) -> list[int]:
    """How many sentences each one reaches by these edges, itself included; one that would close a cycle is dropped."""
    # Sets of sentences as integers, a bit a sentence: whom each one reaches, and who reaches it.
    after = [1 << i for i in range(sentences)]
    before = list(after)
    for i, j in zip(from_E.data, to_E.data, strict=True):
        if (after[i] | before[i]) >> j & 1:  # it is implied already, or closes a cycle
            continue
        newly_early, newly_late = before[i] & ~before[j], after[j] & ~after[i]
        for k in _members(newly_early):
            after[k] |= after[j]
        for k in _members(newly_late):
            before[k] |= before[i]
    return [reached.bit_count() for reached in after]


def _members(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
