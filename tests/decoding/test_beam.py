"""Beam search against the exact decoder, at lengths that only a beam can do, and its selection of candidates."""

from math import comb

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sentence_order.decoding.beam import _first_best, beam_order
from sentence_order.decoding.exact import exact_order
from tests.decoding.scores import antisymmetric, objective, whole_scores


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 8), seed=st.integers(0, 10**6), spread=st.sampled_from([0, 1, 2, 1000]))
def test_a_beam_that_holds_every_state_is_exact_down_to_ties(n: int, seed: int, spread: int) -> None:
    scores = whole_scores(3, n, seed, spread)
    width = max(comb(n, k) * k for k in range(1, n + 1))
    assert torch.equal(beam_order(*scores, beam_width=width), exact_order(*scores))


@settings(deadline=None, max_examples=30)
@given(n=st.integers(2, 9), seed=st.integers(0, 10**6), width=st.integers(1, 8))
def test_a_narrow_beam_never_exceeds_the_optimum(n: int, seed: int, width: int) -> None:
    scores = whole_scores(4, n, seed, spread=5)
    best_GN, found_GN = exact_order(*scores), beam_order(*scores, beam_width=width)
    for pairs_NN, next_MM, best_N, found_N in zip(*scores, best_GN, found_GN, strict=True):
        assert objective(pairs_NN, next_MM, found_N[None]) <= objective(pairs_NN, next_MM, best_N[None])


def plain_beam(pairs_NN: list[list[float]], next_MM: list[list[float]], width: int) -> list[int]:
    """The same search in plain words: (cost, order), least first, so that the lexicographic order breaks ties."""
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


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 9), width=st.integers(1, 20), seed=st.integers(0, 10**6), spread=st.sampled_from([0, 1, 3, 1000])
)
def test_every_width_equals_a_plain_search(n: int, width: int, seed: int, spread: int) -> None:
    pairs_GNN, next_GMM = whole_scores(10, n, seed, spread)
    expected = [plain_beam(*scores, width) for scores in zip(pairs_GNN.tolist(), next_GMM.tolist(), strict=True)]
    assert beam_order(pairs_GNN, next_GMM, beam_width=width).tolist() == expected


@pytest.mark.parametrize(("n", "width"), [(40, 64), (300, 16)])
def test_many_sentences(n: int, width: int) -> None:
    generator = torch.Generator().manual_seed(n)
    score_N = torch.randn(n, generator=generator)
    noise_NN = torch.randn(n, n, generator=generator)
    pairs_NN = antisymmetric(score_N[:, None] - score_N[None, :] + noise_NN)
    next_MM = torch.randn(1 + n, 1 + n, generator=generator).double()
    order_1N = beam_order(pairs_NN[None], next_MM[None], beam_width=width)
    assert order_1N[0].sort().values.tolist() == list(range(n))
    # Better than the order of the scores that the pairs were made from, which the noise has made suboptimal.
    true_order_1N = score_N.argsort(descending=True)[None]
    assert objective(pairs_NN, next_MM, order_1N) > objective(pairs_NN, next_MM, true_order_1N)


@settings(deadline=None, max_examples=60)
@given(row=st.lists(st.sampled_from([-torch.inf, -1.0, 0.0, 2.0]), min_size=1, max_size=8), data=st.data())
def test_the_first_of_the_best_are_kept(row: list[float], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(row)))
    best_first = sorted(range(len(row)), key=lambda i: -row[i])  # a stable sort
    other = list(reversed(row))
    assert _first_best(torch.tensor([row, other]), count)[0].tolist() == sorted(best_first[:count])
