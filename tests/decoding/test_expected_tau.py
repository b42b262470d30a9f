"""The expected tau against all permutations, and by hand."""

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sentence_order.decoding import expected_tau
from sentence_order.decoding.exact import MAX_EXACT_SENTENCES, exact_order
from sentence_order.decoding.expected_tau import expected_tau_order, pair_advantages
from tests.decoding.scores import objective, whole_scores


def tau(order_PN: Tensor) -> Tensor:
    """Kendall's tau of every two of P orders (P, P)."""
    position_PN = order_PN.argsort(1)
    sign_PNN = (position_PN[:, None, :] - position_PN[:, :, None]).sign().double()
    n = order_PN.shape[1]
    return torch.einsum("pij,qij->pq", sign_PNN, sign_PNN) / (n * (n - 1))


@settings(deadline=None, max_examples=40)
@given(n=st.integers(2, 5), seed=st.integers(0, 10**6), spread=st.sampled_from([0, 1, 2, 1000]))
def test_no_permutation_has_a_greater_expected_tau(n: int, seed: int, spread: int) -> None:
    pairs_GNN, next_GMM = whole_scores(3, n, seed, spread)
    order_PN = torch.tensor(list(permutations(range(n))))
    found_GN = expected_tau_order(pairs_GNN, next_GMM)
    for order_N, pairs_NN, next_MM in zip(found_GN, pairs_GNN, next_GMM, strict=True):
        expected_P = tau(order_PN) @ objective(pairs_NN, next_MM, order_PN).softmax(0)
        found = expected_P[(order_PN == order_N).all(1)].item()
        assert found == pytest.approx(expected_P.max().item(), abs=1e-4)


def test_by_hand() -> None:
    # Three orders are possible: 2 0 1 (.4), 0 1 2 (.3) and 1 0 2 (.3).
    next_1MM = torch.full((1, 4, 4), -(2.0**14), dtype=torch.float64)
    next_1MM[0, 0, 1:] = torch.tensor([0.3, 0.3, 0.4]).log()
    for item, following in ((3, 1), (1, 2), (2, 0), (2, 3), (3, 0), (2, 1), (1, 3)):
        next_1MM[0, item, following] = 0.0
    pairs_1NN = torch.zeros(1, 3, 3, dtype=torch.float64)
    assert exact_order(pairs_1NN, next_1MM).tolist() == [[2, 0, 1]]
    # 0 before 1 by .7 to .3, and each of them before 2 by .6 to .4: an expected tau of .27, where 2 0 1 has 0.
    expected_NN = torch.tensor([[0.0, 0.4, 0.2], [-0.4, 0.0, 0.2], [-0.2, -0.2, 0.0]]).double()
    torch.testing.assert_close(pair_advantages(pairs_1NN, next_1MM)[0], expected_NN, atol=1e-6, rtol=0)
    assert expected_tau_order(pairs_1NN, next_1MM).tolist() == [[0, 1, 2]]


def test_documents_are_independent_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = whole_scores(7, 4, seed=0, spread=2)
    whole_GNN = pair_advantages(*scores)
    monkeypatch.setattr(expected_tau, "_MEMORY_BYTES", 3 * expected_tau._bytes_per_document(4))
    torch.testing.assert_close(pair_advantages(*scores), whole_GNN)


@pytest.mark.parametrize("n", [1, MAX_EXACT_SENTENCES + 1])
def test_other_lengths_are_as_exact(n: int) -> None:
    scores = whole_scores(2, n, seed=0, spread=1000)
    assert torch.equal(expected_tau_order(*scores, beam_width=5), exact_order(*scores, beam_width=5))
