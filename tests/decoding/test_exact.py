"""The exact decoder against all permutations."""

from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sentence_order.decoding.beam import beam_order
from sentence_order.decoding.exact import MAX_EXACT_SENTENCES, exact_order
from tests.decoding.scores import objective, one_document, whole_scores
from tests.properties import settings

WIDTH = 64


@settings(max_examples=60)
@given(n=st.integers(1, 7), seed=st.integers(0, 10**6), spread=st.sampled_from([0, 1, 2, 1000]))
def test_result_is_the_first_of_the_best_of_all_permutations(n: int, seed: int, spread: int) -> None:
    scores = whole_scores(3, n, seed, spread)
    order_PN = torch.tensor(list(permutations(range(n))))  # in lexicographic order
    documents = zip(exact_order(scores, WIDTH), scores.pairs_GSS, scores.next_GTT, strict=True)
    for order_N, pairs_NN, next_MM in documents:
        objectives = objective(pairs_NN, next_MM, order_PN).tolist()
        assert order_N.tolist() == order_PN[objectives.index(max(objectives))].tolist()


@pytest.mark.parametrize("n", [8, 10, MAX_EXACT_SENTENCES])
def test_no_move_of_a_sentence_improves_a_long_order(n: int) -> None:
    scores = whole_scores(1, n, seed=n, spread=9)
    order = exact_order(scores, WIDTH)[0].tolist()
    moved = []
    for i in range(n):
        rest = order[:i] + order[i + 1 :]
        moved += [[*rest[:j], order[i], *rest[j:]] for j in range(n)]
    own = (scores.pairs_GSS[0], scores.next_GTT[0])
    assert (objective(*own, torch.tensor(moved)) <= objective(*own, torch.tensor([order]))).all()


@pytest.mark.parametrize(("documents", "n"), [(11, 5), (60, 10)], ids=["one chunk", "two chunks"])
def test_documents_of_a_group_are_decoded_independently(documents: int, n: int) -> None:
    scores = whole_scores(documents, n, seed=0, spread=1000)
    one_by_one_GN = torch.cat([exact_order(one_document(scores, row), WIDTH) for row in range(documents)])
    assert torch.equal(exact_order(scores, WIDTH), one_by_one_GN)


def test_long_documents_are_decoded_by_beam_search() -> None:
    n = MAX_EXACT_SENTENCES + 1
    scores = whole_scores(2, n, seed=0, spread=1000)
    assert torch.equal(exact_order(scores, 5), beam_order(scores, 5))
