"""Beam search against the exact decoder, at lengths that only a beam can do, and its selection of candidates."""

from math import comb

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sentence_order.decoding.beam import _first_best, beam_order
from sentence_order.decoding.exact import exact_order


def antisymmetric(values_GNN: Tensor) -> Tensor:
    return values_GNN.tril(-1).double() - values_GNN.tril(-1).double().transpose(1, 2)


def objective(logits_GNN: Tensor, order_GN: Tensor) -> Tensor:
    row_G11 = torch.arange(len(order_GN))[:, None, None]
    return logits_GNN[row_G11, order_GN[:, :, None], order_GN[:, None, :]].triu(1).sum((1, 2))


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 8), seed=st.integers(0, 10**6), spread=st.sampled_from([0, 1, 2, 1000]))
def test_a_beam_that_holds_every_set_is_exact_down_to_ties(n: int, seed: int, spread: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits_GNN = antisymmetric(torch.randint(-spread, spread + 1, (3, n, n), generator=generator))
    assert torch.equal(beam_order(logits_GNN, beam_width=comb(n, n // 2)), exact_order(logits_GNN))


@settings(deadline=None, max_examples=30)
@given(n=st.integers(2, 9), seed=st.integers(0, 10**6), width=st.integers(1, 8))
def test_a_narrow_beam_never_exceeds_the_optimum(n: int, seed: int, width: int) -> None:
    logits_GNN = antisymmetric(torch.randint(-5, 6, (4, n, n), generator=torch.Generator().manual_seed(seed)))
    best_G = objective(logits_GNN, exact_order(logits_GNN))
    assert (objective(logits_GNN, beam_order(logits_GNN, beam_width=width)) <= best_G).all()


def plain_beam(logits_NN: list[list[float]], width: int) -> list[int]:
    """The same search in plain words: (cost, order), least first, so that the lexicographic order breaks ties."""
    n = len(logits_NN)
    beam: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(n):
        best: dict[frozenset[int], tuple[float, list[int]]] = {}
        for cost, order in beam:
            for i in set(range(n)) - set(order):
                later = set(range(n)) - set(order) - {i}
                longer = (cost + sum(max(0.0, logits_NN[j][i]) for j in later), [*order, i])
                key = frozenset(longer[1])
                best[key] = min(best.get(key, longer), longer)
        beam = sorted(best.values())[:width]
    return beam[0][1]


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 9), width=st.integers(1, 12), seed=st.integers(0, 10**6), spread=st.sampled_from([0, 1, 3, 1000])
)
def test_every_width_equals_a_plain_search(n: int, width: int, seed: int, spread: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits_GNN = antisymmetric(torch.randint(-spread, spread + 1, (10, n, n), generator=generator))
    expected = [plain_beam(logits_NN.tolist(), width) for logits_NN in logits_GNN]
    assert beam_order(logits_GNN, beam_width=width).tolist() == expected


@pytest.mark.parametrize(("n", "width"), [(40, 64), (300, 16)])
def test_many_sentences(n: int, width: int) -> None:
    generator = torch.Generator().manual_seed(n)
    score_N = torch.randn(n, generator=generator)
    noise_NN = torch.randn(n, n, generator=generator)
    logits_1NN = antisymmetric((score_N[:, None] - score_N[None, :] + noise_NN)[None])
    order_1N = beam_order(logits_1NN, beam_width=width)
    assert order_1N[0].sort().values.tolist() == list(range(n))
    # Better than the order of the scores that the logits were made from, which the noise has made suboptimal.
    true_order_1N = score_N.argsort(descending=True)[None]
    assert objective(logits_1NN, order_1N) > objective(logits_1NN, true_order_1N)


@settings(deadline=None, max_examples=60)
@given(row=st.lists(st.sampled_from([-torch.inf, -1.0, 0.0, 2.0]), min_size=1, max_size=8), data=st.data())
def test_the_first_of_the_best_are_kept(row: list[float], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(row)))
    best_first = sorted(range(len(row)), key=lambda i: -row[i])  # a stable sort
    other = list(reversed(row))
    assert _first_best(torch.tensor([row, other]), count)[0].tolist() == sorted(best_first[:count])
