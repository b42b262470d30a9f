"""Scores of documents as decoders take them, and what they are worth.

Shape suffixes: G documents of one length, N sentences of each of them, M = 1 + N, P orders.
"""

import torch
from torch import Tensor

from sentence_order.decoding.scores import CleanScores


def antisymmetric(values_GNN: Tensor) -> Tensor:
    """Pair scores that keep what stands below the diagonal."""
    lower_GNN = values_GNN.double().tril(-1)
    return lower_GNN - lower_GNN.transpose(-1, -2)


def scores_of_pairs(pairs_GNN: Tensor) -> CleanScores:
    """Scores of pairs, and neighbours that are all alike."""
    documents, sentences, _ = pairs_GNN.shape
    return CleanScores(pairs_GNN.double(), torch.zeros(documents, 1 + sentences, 1 + sentences).double())


def whole_scores(documents: int, sentences: int, seed: int, spread: int) -> CleanScores:
    """Random whole numbers, with many ties where the spread is small."""
    generator = torch.Generator().manual_seed(seed)
    shape = (documents, 1 + sentences, 1 + sentences)
    values_GMM = torch.randint(-spread, spread + 1, shape, generator=generator)
    next_GMM = torch.randint(-2 * spread, 1, shape, generator=generator).double()
    return CleanScores(antisymmetric(values_GMM[:, 1:, 1:]), next_GMM)


def one_document(scores: CleanScores, row: int) -> CleanScores:
    """The scores of a single document."""
    return CleanScores(scores.pairs_GSS[row : row + 1], scores.next_GTT[row : row + 1])


def behind_boundary(index_BN: Tensor) -> Tensor:
    """The items of these sentences, and first the boundary."""
    return torch.nn.functional.pad(index_BN + 1, (1, 0))


def objective(pairs_NN: Tensor, next_MM: Tensor, order_PN: Tensor) -> Tensor:
    """Of P orders of one document (P)."""
    item_PM = behind_boundary(order_PN)
    next_P = next_MM[item_PM, item_PM.roll(-1, 1)].sum(1)
    return pairs_NN[order_PN[:, :, None], order_PN[:, None, :]].triu(1).sum((1, 2)) + next_P
