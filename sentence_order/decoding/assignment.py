"""Assignment of sentences to positions, one to each, by the Hungarian method."""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sentence_order.decoding.scores import RESOLUTION, CleanScores, quantise


def assignment_order(scores: CleanScores, beam_width: int) -> Tensor:
    """The order of the greatest sum of log-probabilities of each sentence at its position.

    Without scores of positions they follow from the pairs: each other sentence precedes with its probability,
    independently, and as many as precede it make a sentence's position (a Poisson binomial distribution).

    Reference: Bin et al. (2023), "Non-autoregressive sentence ordering" (NAON), for the assignment.
    """
    position_GSS = scores.position_GSS
    if position_GSS is None:
        # The least probability is far below what a float32 softmax can distinguish from zero.
        position_GSS = positions_of_pairs(scores.pairs_GSS).clamp(min=1e-60).log()
    # Of equally good assignments, the one that leaves the indices most as they are: it makes the most of i * k.
    index_S = torch.arange(position_GSS.shape[1], dtype=torch.float64)
    tilt_SS = index_S[:, None] * index_S * (RESOLUTION / len(index_S) ** 3)
    gain_GSS = quantise(position_GSS) + tilt_SS
    position_GS = [linear_sum_assignment(gain_SS, maximize=True)[1] for gain_SS in gain_GSS.numpy()]
    return torch.from_numpy(np.stack(position_GS)).argsort(1)


def positions_of_pairs(pairs_GSS: Tensor) -> Tensor:
    """The probability of every sentence at every position (G, N, N), were all pairs independent."""
    documents, sentences, _ = pairs_GSS.shape
    before_XS = (2 * pairs_GSS.transpose(1, 2)).sigmoid().flatten(0, 1)  # [i, j]: that j comes before i
    before_XS[torch.arange(len(before_XS)), torch.arange(sentences).repeat(documents)] = 0.0  # not before itself
    at_XS = torch.zeros_like(before_XS)
    at_XS[:, 0] = 1.0
    rows = max(1, 2**19 // (8 * sentences))  # so few at a time that they fit into the processor's cache
    for before_CS, at_CS in zip(before_XS.split(rows), at_XS.split(rows), strict=True):
        for j in range(sentences):  # after j others, no sentence is behind position j
            moves_C1 = before_CS[:, j, None]
            moved_CK = at_CS[:, : j + 1] * moves_C1
            at_CS[:, : j + 1] *= 1 - moves_C1
            at_CS[:, 1 : j + 2] += moved_CK[:, : sentences - 1]
    return at_XS.view_as(pairs_GSS)
