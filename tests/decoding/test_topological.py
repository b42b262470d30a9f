"""The topological sort, by hand and on what it must do with a graph without cycles."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sentence_order.decoding import topological as decoder
from tests.decoding.scores import antisymmetric, scores_of_pairs
from tests.properties import settings


def topological_order(pairs_GNN: Tensor) -> list[list[int]]:
    """The orders of documents by their pairs alone."""
    return decoder.topological_order(scores_of_pairs(pairs_GNN), 1).tolist()


def test_the_weakest_edge_of_a_cycle_is_dropped() -> None:
    # 0 before 1 by 1, 1 before 2 by 2, 2 before 0 by 3.
    pairs_1NN = torch.tensor([[[0.0, 1.0, -3.0], [-1.0, 0.0, 2.0], [3.0, -2.0, 0.0]]])
    assert topological_order(pairs_1NN) == [[1, 2, 0]]


def test_a_strong_edge_stands_against_many_weak_ones() -> None:
    # 3 before 0 by 5; 0 before 1, 1 before 2 and 2 before 3 by 4 each would close a cycle with it: of equal ones that
    # of the lowest indices is taken first, so the one from 2 to 3 is dropped. Borda would have 0 first.
    pairs_1NN = torch.zeros(1, 4, 4)
    for i, j, strength in ((3, 0, 5.0), (0, 1, 4.0), (1, 2, 4.0), (2, 3, 4.0), (0, 2, 4.0), (1, 3, 1.0)):
        pairs_1NN[0, i, j], pairs_1NN[0, j, i] = strength, -strength
    assert topological_order(pairs_1NN) == [[3, 0, 1, 2]]


def test_no_preference_keeps_the_indices() -> None:
    assert topological_order(torch.zeros(1, 9, 9)) == [list(range(9))]


def test_result_equals_a_plain_search_edge_by_edge() -> None:
    generator = torch.Generator().manual_seed(0)
    for sentences in (1, 2, 5, 12, 40):
        pairs_GNN = antisymmetric(torch.randint(-4, 5, (6, sentences, sentences), generator=generator))
        assert topological_order(pairs_GNN) == [_slowly(pairs_NN) for pairs_NN in pairs_GNN.tolist()]


def _slowly(pairs_NN: list[list[float]]) -> list[int]:
    """Edge by edge; the sentences that each one reaches are kept as a set."""
    reached = [{i} for i in range(len(pairs_NN))]
    pairs = itertools.combinations(range(len(pairs_NN)), 2)
    for i, j in sorted(pairs, key=lambda pair: -abs(pairs_NN[pair[0]][pair[1]])):
        first, second = (i, j) if pairs_NN[i][j] >= 0 else (j, i)
        if first not in reached[second]:
            for known in reached:
                known |= reached[second] if first in known else set()
    return sorted(range(len(pairs_NN)), key=lambda i: -len(reached[i]))


def test_two_thousand_sentences_are_sorted() -> None:
    order_N = torch.randperm(2000, generator=torch.Generator().manual_seed(0))
    position_N = order_N.argsort()
    assert topological_order((position_N[None, :] - position_N[:, None])[None]) == [order_N.tolist()]


@settings(max_examples=30)
@given(n=st.integers(1, 9), seed=st.integers(0, 10**6))
def test_without_cycles_every_edge_is_kept(n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    order_N = torch.randperm(n, generator=generator)
    position_N = order_N.argsort()
    strength_NN = antisymmetric(torch.rand(n, n, generator=generator)).abs() + 0.1
    sign_NN = (position_N[None, :] - position_N[:, None]).sign()
    assert topological_order((strength_NN * sign_NN)[None]) == [order_N.tolist()]
