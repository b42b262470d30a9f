"""The states of a dynamic programme over sets of sentences, set by set of growing size.

A set of sentences is an integer with bit i set for sentence i, and a state is a set and the sentence in front.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


class Layer(NamedTuple):
    """The states of the sets of one size, each by its row among all N * R, or N * N, or R * N."""

    states: Tensor  # K * C: set and member in front
    gains: Tensor  # K * C: that member and the set
    links: Tensor  # J, K * C: that member and another one
    rests: Tensor  # J, K * C: the set without that member, the other one in front


@lru_cache(maxsize=32)
def subset_tables(sentences: int, device: torch.device) -> tuple[Tensor, list[Layer]]:
    """Membership of every sentence in every set (R, N), and the layers from sets of two to that of all."""
    set_Z = torch.arange(2**sentences)
    membership_ZS = (set_Z[:, None] >> torch.arange(sentences)) & 1
    layers = []
    for size in range(2, sentences + 1):
        set_C = set_Z[membership_ZS.sum(1) == size]
        member_CK = membership_ZS[set_C].nonzero()[:, 1].view(-1, size)
        rest_CK = set_C[:, None] - (1 << member_CK)
        # The members that are not in front: of each row of K, all but the diagonal.
        others_KJ = torch.arange(size).repeat(size, 1)[~torch.eye(size, dtype=torch.bool)].view(size, size - 1)
        other_JCK = member_CK[:, others_KJ].permute(2, 0, 1)
        rows = (
            (set_C[:, None] * sentences + member_CK).flatten(),
            (member_CK * len(set_Z) + set_C[:, None]).flatten(),
            (member_CK * sentences + other_JCK).flatten(1),
            (rest_CK * sentences + other_JCK).flatten(1),
        )
        layers.append(Layer(*(row.to(device) for row in rows)))
    return membership_ZS.double().to(device), layers
