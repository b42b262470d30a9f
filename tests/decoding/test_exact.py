"""The exact decoder against all permutations."""

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sentence_order.decoding import exact
from sentence_order.decoding.beam import beam_order
from sentence_order.decoding.exact import MAX_EXACT_SENTENCES, exact_order
from tests.decoding.scores import objective, whole_scores


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 6), seed=st.integers(0, 10**6), spread=st.sampled_from([0, 1, 2, 1000]))
def test_the_first_of_the_best_of_all_permutations(n: int, seed: int, spread: int) -> None:
    pairs_GNN, next_GMM = whole_scores(3, n, seed, spread)
    order_PN = torch.tensor(list(permutations(range(n))))  # in lexicographic order
    for order_N, pairs_NN, next_MM in zip(exact_order(pairs_GNN, next_GMM), pairs_GNN, next_GMM, strict=True):
        objectives = objective(pairs_NN, next_MM, order_PN).tolist()
        assert order_N.tolist() == order_PN[objectives.index(max(objectives))].tolist()


@pytest.mark.parametrize("n", [8, 10, MAX_EXACT_SENTENCES])
def test_no_move_of_a_sentence_improves_a_long_order(n: int) -> None:
    pairs_1NN, next_1MM = whole_scores(1, n, seed=n, spread=9)
    order = exact_order(pairs_1NN, next_1MM)[0].tolist()
    moved = []
    for i in range(n):
        rest = order[:i] + order[i + 1 :]
        moved += [[*rest[:j], order[i], *rest[j:]] for j in range(n)]
    best_1 = objective(pairs_1NN[0], next_1MM[0], torch.tensor([order]))
    assert (objective(pairs_1NN[0], next_1MM[0], torch.tensor(moved)) <= best_1).all()


def test_documents_are_independent_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = whole_scores(11, 5, seed=0, spread=1000)
    whole_GN = exact_order(*scores)
    monkeypatch.setattr(exact, "_MEMORY_BYTES", 3 * exact._bytes_per_document(5))
    assert torch.equal(exact_order(*scores), whole_GN)
    one_by_one_GN = torch.cat([exact_order(*(score_GXX[k : k + 1] for score_GXX in scores)) for k in range(11)])
    assert torch.equal(one_by_one_GN, whole_GN)


def test_long_documents_go_to_the_beam() -> None:
    n = MAX_EXACT_SENTENCES + 1
    scores = whole_scores(2, n, seed=0, spread=1000)
    assert torch.equal(exact_order(*scores, beam_width=5), beam_order(*scores, beam_width=5))
