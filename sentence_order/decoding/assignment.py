"""Assignment of sentences to positions, one to each, by the Hungarian method.

Shape suffixes: G documents of one length, N sentences of each of them, and as many positions, X sentences of all
documents, C some of these, K positions.
"""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sentence_order.decoding.resolution import RESOLUTION, quantise

# No sentence is further from a position than this; far below what a float32 softmax can tell from zero.
_LEAST_PROBABILITY = 1e-60
# Of the distributions over positions that are worked out together: few enough for the processor's cache.
_MEMORY_BYTES = 2**19


def assignment_order(pairs_GNN: Tensor, position_GNN: Tensor | None) -> Tensor:
    """The order of the greatest sum of log-probabilities of each sentence at its position.

    Where the model tells no positions, they follow from its pairs: each other sentence precedes with its probability,
    independently, and as many as precede it make a sentence's position (a Poisson binomial distribution).

    Reference: Bin et al. (2023), "Non-autoregressive sentence ordering" (NAON), for the assignment.

    Args:
        pairs_GNN: half the log-odds that i comes before j, antisymmetric.
        position_GNN: `[g, i, k]` log-probability of sentence i at position k, or None.

    Returns:
        `order_GN`, long.
    """
    if position_GNN is None:
        position_GNN = positions_of_pairs(pairs_GNN).clamp(min=_LEAST_PROBABILITY).log()
    # Of equally good assignments, the one that leaves the indices most as they are: it makes the most of i * k.
    index_N = torch.arange(position_GNN.shape[1], dtype=torch.float64)
    tilt_NN = index_N[:, None] * index_N * (RESOLUTION / len(index_N) ** 3)
    gain_GNN = quantise(position_GNN) + tilt_NN
    position_GN = [linear_sum_assignment(gain_NN, maximize=True)[1] for gain_NN in gain_GNN.numpy()]
    return torch.from_numpy(np.stack(position_GN)).argsort(1)


def positions_of_pairs(pairs_GNN: Tensor) -> Tensor:
    """The probability of every sentence at every position (G, N, N), were all pairs independent."""
    documents, sentences, _ = pairs_GNN.shape
    before_XN = (2 * pairs_GNN.transpose(1, 2)).sigmoid().flatten(0, 1)  # [i, j]: that j comes before i
    before_XN[torch.arange(len(before_XN)), torch.arange(sentences).repeat(documents)] = 0.0  # not before itself
    at_XN = torch.zeros_like(before_XN)
    at_XN[:, 0] = 1.0
    rows = max(1, _MEMORY_BYTES // (8 * sentences))
    for before_CN, at_CN in zip(before_XN.split(rows), at_XN.split(rows), strict=True):
        for j in range(sentences):  # after j others, no sentence stands behind position j
            moves_C1 = before_CN[:, j, None]
            moved_CK = at_CN[:, : j + 1] * moves_C1
            at_CN[:, : j + 1] *= 1 - moves_C1
            at_CN[:, 1 : j + 2] += moved_CK[:, : sentences - 1]
    return at_XN.view_as(pairs_GNN)
