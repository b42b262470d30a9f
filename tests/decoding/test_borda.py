"""The Borda count, by hand and against the least-squares fit that it computes."""

import torch

from sentence_order.decoding.borda import borda_order
from tests.decoding.scores import scores_of_pairs


def test_sums_of_rows_by_hand() -> None:
    # Row sums -4, 3, 1: sentence 1 first, although it loses to 2.
    pairs_GNN = torch.tensor([[[0.0, -4.0, 0.0], [4.0, 0.0, -1.0], [0.0, 1.0, 0.0]]])
    assert borda_order(scores_of_pairs(pairs_GNN), 1).tolist() == [[1, 2, 0]]


def test_equal_sums_leave_the_lower_index_first() -> None:
    assert borda_order(scores_of_pairs(torch.zeros(1, 40, 40)), 1).tolist() == [list(range(40))]


def test_order_is_that_of_the_least_squares_scores() -> None:
    values_GNN = torch.randn(20, 6, 6, generator=torch.Generator().manual_seed(0)).double()
    pairs_GNN = values_GNN - values_GNN.transpose(1, 2)
    unit_NN = torch.eye(6).double()
    difference_FN = (unit_NN[:, None, :] - unit_NN[None, :, :]).flatten(0, 1)  # one row a pair: score i - score j
    score_GN1 = torch.linalg.pinv(difference_FN) @ pairs_GNN.flatten(1)[:, :, None]
    assert torch.equal(borda_order(scores_of_pairs(pairs_GNN), 1), score_GN1[:, :, 0].argsort(dim=1, descending=True))
