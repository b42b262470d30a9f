"""The expected tau against all permutations, and by hand."""

from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sentence_order.decoding.exact import MAX_EXACT_SENTENCES, exact_order
from sentence_order.decoding.expected_tau import expected_tau_order, pair_advantages
from sentence_order.decoding.scores import CleanScores
from tests.decoding.scores import objective, one_document, whole_scores
from tests.properties import settings

WIDTH = 64


def tau(order_PN: Tensor) -> Tensor:
    """Kendall's tau of every two of P orders (P, P)."""
    position_PN = order_PN.argsort(1)
    sign_PNN = (position_PN[:, None, :] - position_PN[:, :, None]).sign().double()
    n = order_PN.shape[1]
    return torch.einsum("pij,qij->pq", sign_PNN, sign_PNN) / (n * (n - 1))


@settings(max_examples=40)
@given(n=st.integers(2, 5), seed=st.integers(0, 10**6), spread=st.sampled_from([0, 1, 2, 1000]))
def test_no_permutation_has_a_greater_expected_tau(n: int, seed: int, spread: int) -> None:
    scores = whole_scores(3, n, seed, spread)
    order_PN = torch.tensor(list(permutations(range(n))))
    found_GN = expected_tau_order(scores, WIDTH)
    for order_N, pairs_NN, next_MM in zip(found_GN, scores.pairs_GSS, scores.next_GTT, strict=True):
        expected_P = tau(order_PN) @ objective(pairs_NN, next_MM, order_PN).softmax(0)
        found = expected_P[(order_PN == order_N).all(1)].item()
        assert found == pytest.approx(expected_P.max().item(), abs=1e-4)


def test_expected_tau_by_hand() -> None:
    # Three orders are possible: 2 0 1 (.4), 0 1 2 (.3) and 1 0 2 (.3).
    next_1MM = torch.full((1, 4, 4), -(2.0**14), dtype=torch.float64)
    next_1MM[0, 0, 1:] = torch.tensor([0.3, 0.3, 0.4]).log()
    for item, following in ((3, 1), (1, 2), (2, 0), (2, 3), (3, 0), (2, 1), (1, 3)):
        next_1MM[0, item, following] = 0.0
    pairs_1NN = torch.zeros(1, 3, 3, dtype=torch.float64)
    scores = CleanScores(pairs_1NN, next_1MM)
    assert exact_order(scores, WIDTH).tolist() == [[2, 0, 1]]
    # 0 before 1 by .7 to .3, and each of them before 2 by .6 to .4: an expected tau of .27, where 2 0 1 has 0.
    expected_NN = torch.tensor([[0.0, 0.4, 0.2], [-0.4, 0.0, 0.2], [-0.2, -0.2, 0.0]]).double()
    torch.testing.assert_close(pair_advantages(scores)[0], expected_NN, atol=1e-6, rtol=0)
    assert expected_tau_order(scores, WIDTH).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(("documents", "n"), [(7, 4), (30, 10)], ids=["one chunk", "two chunks"])
def test_documents_of_a_group_are_decoded_independently(documents: int, n: int) -> None:
    scores = whole_scores(documents, n, seed=0, spread=2)
    each = [one_document(scores, row) for row in range(documents)]
    one_by_one_GNN = torch.cat([pair_advantages(one) for one in each])
    torch.testing.assert_close(pair_advantages(scores), one_by_one_GNN)


@pytest.mark.parametrize("n", [1, MAX_EXACT_SENTENCES + 1])
def test_other_lengths_are_decoded_by_exact(n: int) -> None:
    scores = whole_scores(2, n, seed=0, spread=1000)
    assert torch.equal(expected_tau_order(scores, 5), exact_order(scores, 5))
