"""Assignment, against all permutations; positions that follow from pairs, against all outcomes of the pairs."""

import itertools

import pytest
import torch

from sentence_order.decoding import assignment, decode
from sentence_order.decoding.assignment import assignment_order, positions_of_pairs
from sentence_order.scores import Scores
from tests.decoding.scores import antisymmetric


def test_the_best_of_all_assignments() -> None:
    position_GNN = torch.randn(20, 5, 5, generator=torch.Generator().manual_seed(0)).double()
    found_GN = assignment_order(torch.zeros(20, 5, 5).double(), position_GNN)
    for order_N, gain_NN in zip(found_GN.tolist(), position_GNN, strict=True):
        gains = {o: sum(gain_NN[i, k].item() for k, i in enumerate(o)) for o in itertools.permutations(range(5))}
        assert tuple(order_N) == max(gains, key=gains.__getitem__)


def test_positions_of_pairs_against_all_outcomes() -> None:
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


def test_positions_do_not_depend_on_how_many_are_worked_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs_GNN = antisymmetric(torch.randn(3, 50, 50, generator=torch.Generator().manual_seed(2)))
    whole_GNN = positions_of_pairs(pairs_GNN)
    monkeypatch.setattr(assignment, "_MEMORY_BYTES", 8 * 50 * 7)
    assert torch.equal(positions_of_pairs(pairs_GNN), whole_GNN)
    torch.testing.assert_close(whole_GNN.sum(2), torch.ones(3, 50).double())


def test_a_model_of_positions_is_decoded_by_both_its_sides() -> None:
    logits_1NN = torch.tensor([[[3.0, 1.0, 0.0], [2.9, 0.0, 0.0], [0.0, 0.0, 0.1]]])
    ones_1N = torch.ones(1, 3, dtype=torch.bool)
    # Both 0 and 1 claim the first position; 0 would rather stand second than 1 would.
    order_1N, _ = decode(
        "assignment",
        Scores(logits=torch.zeros(1, 3, 3), position_logits=logits_1NN),
        ones_1N,
        torch.tensor([[2, 1, 0]]),
    )
    assert order_1N.tolist() == [[1, 0, 2]]
