"""Beam search against the exact decoder, and at lengths that only a beam can do."""

from math import comb

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sentence_order.decoding.beam import beam_order
from sentence_order.decoding.exact import exact_order
from sentence_order.decoding.scores import CleanScores
from tests.decoding.scores import antisymmetric, objective, one_document, whole_scores
from tests.properties import settings


@settings(max_examples=40)
@given(n=st.integers(1, 8), seed=st.integers(0, 10**6), spread=st.sampled_from([0, 1, 2, 1000]))
def test_a_beam_that_holds_every_state_is_exact_down_to_ties(n: int, seed: int, spread: int) -> None:
    scores = whole_scores(3, n, seed, spread)
    width = max(comb(n, k) * k for k in range(1, n + 1))
    assert torch.equal(beam_order(scores, width), exact_order(scores, width))


@settings(max_examples=30)
@given(n=st.integers(2, 9), seed=st.integers(0, 10**6), width=st.integers(1, 8))
def test_a_narrow_beam_never_exceeds_the_optimum(n: int, seed: int, width: int) -> None:
    scores = whole_scores(4, n, seed, spread=5)
    orders = (exact_order(scores, width), beam_order(scores, width))
    for pairs_NN, next_MM, best_N, found_N in zip(scores.pairs_GSS, scores.next_GTT, *orders, strict=True):
        assert objective(pairs_NN, next_MM, found_N[None]) <= objective(pairs_NN, next_MM, best_N[None])


def plain_beam(pairs_NN: list[list[float]], next_MM: list[list[float]], width: int) -> list[int]:
    """The same search in plain Python: (cost, order), least first, so that the lexicographic order breaks ties."""
    n = len(pairs_NN)

    def next_cost(item: int, follower: int) -> float:
        return max(score for j, score in enumerate(next_MM[item]) if j != item) - next_MM[item][follower]

    beam: list[tuple[float, list[int]]] = [(0.0, [])]
    for step in range(n):
        best: dict[tuple[frozenset[int], int], tuple[float, list[int]]] = {}
        for cost, order in beam:
            for i in set(range(n)) - set(order):
                later = set(range(n)) - set(order) - {i}
                total = cost + sum(max(0.0, 2 * pairs_NN[j][i]) for j in later)
                total += next_cost(1 + order[-1] if order else 0, 1 + i)
                total += next_cost(1 + i, 0) if step == n - 1 else 0.0
                longer = (total, [*order, i])
                key = (frozenset(longer[1]), i)
                best[key] = min(best.get(key, longer), longer)
        beam = sorted(best.values())[:width]
    return beam[0][1]


@settings(max_examples=40)
@given(
    n=st.integers(1, 9), width=st.integers(1, 20), seed=st.integers(0, 10**6), spread=st.sampled_from([0, 1, 3, 1000])
)
def test_every_width_equals_a_plain_search(n: int, width: int, seed: int, spread: int) -> None:
    scores = whole_scores(10, n, seed, spread)
    documents = zip(scores.pairs_GSS.tolist(), scores.next_GTT.tolist(), strict=True)
    assert beam_order(scores, width).tolist() == [plain_beam(*document, width) for document in documents]


@pytest.mark.parametrize(("n", "width"), [(40, 64), (300, 16)])
def test_orders_of_many_sentences_beat_the_order_of_their_scores(n: int, width: int) -> None:
    generator = torch.Generator().manual_seed(n)
    score_N = torch.randn(n, generator=generator)
    noise_NN = torch.randn(n, n, generator=generator)
    pairs_NN = antisymmetric(score_N[:, None] - score_N[None, :] + noise_NN)
    next_MM = torch.randn(1 + n, 1 + n, generator=generator).double()
    order_1N = beam_order(CleanScores(pairs_NN[None], next_MM[None]), width)
    assert order_1N[0].sort().values.tolist() == list(range(n))
    # Better than the order of the scores that the pairs were made from, which the noise has made suboptimal.
    true_order_1N = score_N.argsort(descending=True)[None]
    assert objective(pairs_NN, next_MM, order_1N) > objective(pairs_NN, next_MM, true_order_1N)


def test_documents_of_a_group_are_decoded_independently() -> None:
    """So many that they are decoded in several chunks."""
    scores = whole_scores(12, 8, seed=0, spread=2)
    one_by_one_GN = torch.cat([beam_order(one_document(scores, row), 500) for row in range(12)])
    assert torch.equal(beam_order(scores, 500), one_by_one_GN)
