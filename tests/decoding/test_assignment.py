"""Assignment, against all permutations; positions that follow from pairs, against all outcomes of the pairs."""

import itertools

import pytest
import torch

from sentence_order.decoding import decode
from sentence_order.decoding.assignment import assignment_order, positions_of_pairs
from sentence_order.decoding.scores import Scores
from tests.decoding.scores import antisymmetric, scores_of_pairs


def test_result_is_the_best_of_all_assignments() -> None:
    position_GNN = torch.randn(20, 5, 5, generator=torch.Generator().manual_seed(0)).double()
    found_GN = assignment_order(scores_of_pairs(torch.zeros(20, 5, 5))._replace(position_GSS=position_GNN), 1)
    for order_N, gain_NN in zip(found_GN.tolist(), position_GNN, strict=True):
        gains = {o: sum(gain_NN[i, k].item() for k, i in enumerate(o)) for o in itertools.permutations(range(5))}
        assert tuple(order_N) == max(gains, key=gains.__getitem__)


def test_positions_of_pairs_equal_those_of_all_outcomes() -> None:
    pairs_NN = antisymmetric(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))
    before_NN = (2 * pairs_NN).sigmoid()  # [i, j]: i comes before j
    found_NN = positions_of_pairs(pairs_NN[None])[0]
    for i in range(4):
        others = [j for j in range(4) if j != i]
        expected = [0.0] * 4
        for outcome in itertools.product([False, True], repeat=3):
            chance = 1.0
            for j, comes_before in zip(others, outcome, strict=True):
                chance *= before_NN[j, i].item() if comes_before else before_NN[i, j].item()
            expected[sum(outcome)] += chance
        assert found_NN[i].tolist() == pytest.approx(expected)


def test_positions_do_not_depend_on_the_other_documents() -> None:
    """Also with so many documents that they are computed in several chunks."""
    pairs_GNN = antisymmetric(torch.randn(60, 50, 50, generator=torch.Generator().manual_seed(2)))
    found_GNN = positions_of_pairs(pairs_GNN)
    one_by_one_GNN = torch.cat([positions_of_pairs(pairs_1NN) for pairs_1NN in pairs_GNN.split(1)])
    torch.testing.assert_close(found_GNN, one_by_one_GNN, atol=0, rtol=1e-9)
    torch.testing.assert_close(found_GNN.sum(2), torch.ones(60, 50).double())


def test_position_logits_are_normalised_over_sentences_and_positions() -> None:
    logits_1NN = torch.tensor([[[3.0, 1.0, 0.0], [2.9, 0.0, 0.0], [0.0, 0.0, 0.1]]])
    ones_1N = torch.ones(1, 3, dtype=torch.bool)
    # Both 0 and 1 claim the first position; 0 would rather stand second than 1 would.
    order_1N, _ = decode(
        assignment_order,
        Scores(logits=torch.zeros(1, 3, 3), position_logits=logits_1NN),
        ones_1N,
        torch.tensor([[2, 1, 0]]),
    )
    assert order_1N.tolist() == [[1, 0, 2]]
