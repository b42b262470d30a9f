"""Assignment of sentences to positions, one to each, by the Hungarian method.

Shape suffixes: G documents of one length, N sentences of each of them, and as many positions.
"""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sentence_order.decoding.resolution import RESOLUTION, quantise

# No sentence is further from a position than this; far below what a float32 softmax can tell from zero.
_LEAST_PROBABILITY = 1e-60


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
    sentences = pairs_GNN.shape[1]
    before_GNN = (2 * pairs_GNN.transpose(1, 2)).sigmoid()  # [i, j]: that j comes before i
    at_GNN = torch.zeros_like(pairs_GNN)
    at_GNN[:, :, 0] = 1.0
    for j in range(sentences):
        # A sentence does not precede itself: where i is j, nothing moves.
        moves_GN1 = before_GNN[:, :, j, None].clone()
        moves_GN1[:, j] = 0.0
        shifted_GNN = torch.nn.functional.pad(at_GNN[:, :, :-1], (1, 0))
        at_GNN = at_GNN * (1 - moves_GN1) + shifted_GNN * moves_GN1
    return at_GNN
