"""The maximum-likelihood order, by dynamic programming over subsets of the sentences.

Among all N! orders the one with the greatest sum of logits over its ordered pairs (the linear ordering problem) is
found in 2**N * N steps: the best way to arrange a set of sentences starts with one of them, i, which then precedes
all others of the set, and goes on with the best way to arrange those others.

    best(R) = max over i in R of  sum of logits[i, j] over j in R  +  best(R without i)

References: Held and Karp (1962), "A dynamic programming approach to sequencing problems", for the recursion;
Keswani and Jhamtani (2021), "Formulating neural sentence ordering as the asymmetric traveling salesman problem",
for sentence ordering.

A set of sentences is an integer with bit i set for sentence i.
Shape suffixes: G documents of one length, N sentences of each of them, R sets (2**N), C sets of one size, K members
of each of those. Documents stand last here: every step then reads and writes contiguous rows.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from sentence_order.decoding.beam import beam_order

MAX_EXACT_SENTENCES = 12
_MEMORY_BYTES = 2**26


class _Layer(NamedTuple):
    """The sets of one size."""

    sets: Tensor  # C: each set, as an integer
    members: Tensor  # C, K: its members, ascending
    rests: Tensor  # K, C: the set without each of its members
    gain_rows: Tensor  # K, C: where the gain of (member, set) lies among the N * R rows


def exact_order(logits_GNN: Tensor, *, beam_width: int = 64) -> Tensor:
    """The order of greatest objective; of several, the lexicographically first.

    Args:
        logits_GNN: antisymmetric, exactly summable. Beyond `MAX_EXACT_SENTENCES` sentences a beam search stands in.
        beam_width: the width of that beam.

    Returns:
        `order_GN`, long.
    """
    sentences = logits_GNN.shape[1]
    if sentences > MAX_EXACT_SENTENCES:
        return beam_order(logits_GNN, beam_width=beam_width)
    bytes_per_document = 16 * sentences * 2**sentences  # an upper bound, gains and one layer's candidates above all
    chunk = max(1, _MEMORY_BYTES // bytes_per_document)
    return torch.cat([_exact_chunk(chunk_GNN) for chunk_GNN in torch.split(logits_GNN, chunk)])


def _exact_chunk(logits_GNN: Tensor) -> Tensor:
    documents, sentences, _ = logits_GNN.shape
    membership_RN, layers = _tables(sentences)
    # gain[i, R]: what sentence i earns by preceding the set R. The diagonal is zero, so R may hold i itself.
    gain_NRG = membership_RN @ logits_GNN.permute(1, 2, 0)
    gain_rows_G = gain_NRG.reshape(-1, documents)
    best_RG = logits_GNN.new_zeros(2**sentences, documents)
    first_RG = torch.zeros(2**sentences, documents, dtype=torch.long)
    for layer in layers:
        candidate_KCG = gain_rows_G[layer.gain_rows] + best_RG[layer.rests]
        # `max` returns the first of equal values, so the lowest sentence wins a tie, and starts the rest likewise.
        best_CG, member_CG = candidate_KCG.max(0)
        best_RG[layer.sets] = best_CG
        first_RG[layer.sets] = layer.members.gather(1, member_CG)

    document_G = torch.arange(documents)
    remaining_G = torch.full((documents,), 2**sentences - 1)
    order = []
    for _ in range(sentences):
        sentence_G = first_RG[remaining_G, document_G]
        order.append(sentence_G)
        remaining_G = remaining_G - (1 << sentence_G)
    return torch.stack(order, dim=1)


@lru_cache(maxsize=MAX_EXACT_SENTENCES)
def _tables(sentences: int) -> tuple[Tensor, list[_Layer]]:
    """Membership of every sentence in every set, and the layers from single sentences to all of them."""
    set_R = torch.arange(2**sentences)
    membership_RN = (set_R[:, None] >> torch.arange(sentences)) & 1
    layers = []
    for size in range(1, sentences + 1):
        set_C = set_R[membership_RN.sum(1) == size]
        member_CK = membership_RN[set_C].nonzero()[:, 1].view(-1, size)
        rest_CK = set_C[:, None] - (1 << member_CK)
        gain_row_CK = member_CK * len(set_R) + set_C[:, None]
        layers.append(_Layer(set_C, member_CK, rest_CK.T.contiguous(), gain_row_CK.T.contiguous()))
    return membership_RN.double(), layers
