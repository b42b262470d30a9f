"""Scores of documents as decoders take them, and what they are worth.

Shape suffixes: G documents of one length, N sentences of each of them, M = 1 + N, P orders.
"""

import torch
from torch import Tensor


def antisymmetric(values_GNN: Tensor) -> Tensor:
    """Pair scores that keep what stands below the diagonal."""
    lower_GNN = values_GNN.double().tril(-1)
    return lower_GNN - lower_GNN.transpose(-1, -2)


def whole_scores(documents: int, sentences: int, seed: int, spread: int) -> tuple[Tensor, Tensor]:
    """Random whole numbers, with many ties where the spread is small."""
    generator = torch.Generator().manual_seed(seed)
    shape = (documents, 1 + sentences, 1 + sentences)
    values_GMM = torch.randint(-spread, spread + 1, shape, generator=generator)
    next_GMM = torch.randint(-2 * spread, 1, shape, generator=generator).double()
    return antisymmetric(values_GMM[:, 1:, 1:]), next_GMM


def behind_boundary(index_BN: Tensor) -> Tensor:
    """The items of these sentences, and first the boundary."""
    return torch.nn.functional.pad(index_BN + 1, (1, 0))


def objective(pairs_NN: Tensor, next_MM: Tensor, order_PN: Tensor) -> Tensor:
    """Of P orders of one document (P)."""
    item_PM = behind_boundary(order_PN)
    next_P = next_MM[item_PM, item_PM.roll(-1, 1)].sum(1)
    return pairs_NN[order_PN[:, :, None], order_PN[:, None, :]].triu(1).sum((1, 2)) + next_P
