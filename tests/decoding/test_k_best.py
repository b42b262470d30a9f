"""The k best orders against all permutations."""

from itertools import permutations
from math import comb, factorial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sentence_order.decoding import decode, decode_k_best
from sentence_order.decoding.beam import beam_order, beam_orders
from sentence_order.decoding.exact import MAX_EXACT_SENTENCES, exact_order
from sentence_order.decoding.k_best import k_best_orders
from sentence_order.decoding.pointer import pointer_order
from sentence_order.decoding.scores import Scores
from tests.decoding.scores import objective, one_document, whole_scores
from tests.decoding.test_pointer import Table
from tests.properties import settings

WIDTH = 64
spreads = st.sampled_from([0, 1, 3, 1000])
seeds = st.integers(0, 10**6)


def best_of_all(pairs_NN: Tensor, next_MM: Tensor, count: int) -> Tensor:
    """The best orders of one document, of equal ones the lexicographically first."""
    order_PN = torch.tensor(list(permutations(range(len(pairs_NN)))))
    best_P = objective(pairs_NN, next_MM, order_PN).argsort(descending=True, stable=True)
    return order_PN[best_P[:count]]


@settings(max_examples=40)
@given(n=st.integers(1, 7), count=st.integers(1, 200), seed=seeds, spread=spreads)
def test_they_are_the_best_of_all_permutations_down_to_ties(n: int, count: int, seed: int, spread: int) -> None:
    scores = whole_scores(2, n, seed, spread)
    for found_KN, *document in zip(k_best_orders(scores, WIDTH, count), scores.pairs_GSS, scores.next_GTT, strict=True):
        expected_KN = best_of_all(*document, count)
        assert torch.equal(found_KN[: len(expected_KN)], expected_KN)
        assert (found_KN[len(expected_KN) :] == -1).all()


@pytest.mark.parametrize("n", [8, MAX_EXACT_SENTENCES])
def test_those_of_many_sentences_fall_and_begin_with_the_exact_order(n: int) -> None:
    scores = whole_scores(3, n, seed=n, spread=1000)
    order_GKN = k_best_orders(scores, WIDTH, 20)
    assert torch.equal(order_GKN[:, 0], exact_order(scores, WIDTH))
    for order_KN, pairs_NN, next_MM in zip(order_GKN, scores.pairs_GSS, scores.next_GTT, strict=True):
        objective_K = objective(pairs_NN, next_MM, order_KN)
        assert torch.equal(objective_K, objective_K.sort(descending=True).values)
        assert len(set(map(tuple, order_KN.tolist()))) == 20
        if n == 8:
            assert torch.equal(order_KN, best_of_all(pairs_NN, next_MM, 20))


@settings(max_examples=30)
@given(n=st.integers(1, 6), count=st.integers(1, 30), seed=seeds, spread=spreads)
def test_a_beam_that_holds_every_state_finds_as_good_ones(n: int, count: int, seed: int, spread: int) -> None:
    scores = whole_scores(2, n, seed, spread)
    width = max(comb(n, k) * k for k in range(1, n + 1))
    found = beam_orders(scores, width, count), k_best_orders(scores, width, count)
    for beam_KN, exact_KN, *document in zip(*found, scores.pairs_GSS, scores.next_GTT, strict=True):
        there = min(count, factorial(n))
        assert torch.equal(objective(*document, beam_KN[:there]), objective(*document, exact_KN[:there]))
        assert len(set(map(tuple, beam_KN.tolist()))) == min(count, there + 1)


@settings(max_examples=30)
@given(n=st.integers(1, 20), width=st.integers(1, 12), count=st.integers(2, 9), seed=seeds, spread=spreads)
def test_the_first_of_a_beam_is_that_of_the_decoder(n: int, width: int, count: int, seed: int, spread: int) -> None:
    scores = whole_scores(3, n, seed, spread)
    assert torch.equal(beam_orders(scores, width, count)[:, 0], beam_order(scores, width))


def test_documents_of_a_group_are_decoded_independently() -> None:
    for n in (9, 14):
        scores = whole_scores(12, n, seed=0, spread=2)
        one_by_one = torch.cat([k_best_orders(one_document(scores, row), 500, 5) for row in range(12)])
        assert torch.equal(k_best_orders(scores, 500, 5), one_by_one)


def test_relabelling_and_padding_change_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 5, generator=generator).round()
    logits = logits - logits.transpose(1, 2)
    mask = torch.tensor([[True] * 5, [True] * 4 + [False]])
    rank, label = torch.arange(5).expand(2, -1), torch.tensor([[3, 0, 4, 1, 2], [2, 3, 0, 1, 4]])
    plain = decode_k_best(Scores(logits=logits), mask, rank, 7)
    moved = decode_k_best(Scores(logits=logits).relabelled(label), mask, rank.gather(1, label), 7)
    for row in range(2):
        assert torch.equal(label[row][moved[row]], plain[row])
    assert (plain[1, :, 4] == 4).all()


@pytest.mark.parametrize("n", [4, 8, 13])
def test_orders_of_the_same_texts_are_one(n: int) -> None:
    """Sentences 0 and 2 are identical, and 3 of all others follow in one way only."""
    logits = torch.zeros(1, n, n)
    logits[0, :3, 3:] = 30.0
    logits[0, 3:, 3:] = 30.0 * torch.ones(n - 3, n - 3).triu(1)
    logits = logits - logits.transpose(1, 2)
    rank = torch.tensor([[0, 1, 0, *range(2, n - 1)]])
    found = decode_k_best(Scores(logits=logits), torch.ones(1, n, dtype=torch.bool), rank, 3)
    assert found[0, :, :3].tolist() == [[0, 2, 1], [0, 1, 2], [1, 0, 2]]
    assert (found[0, :, 3:] == torch.arange(3, n)).all()


def test_identical_sentences_alone_have_one_order() -> None:
    mask = torch.ones(1, 3, dtype=torch.bool)
    found = decode_k_best(Scores(logits=torch.zeros(1, 3, 3)), mask, torch.zeros(1, 3), 4)
    assert found.tolist() == [[[0, 1, 2], *[[-1] * 3] * 3]]


def test_those_of_a_pointer_are_the_best_of_all() -> None:
    table = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * 2
    mask = torch.tensor([[True] * 4, [True] * 3 + [False]])
    scores, rank = Scores(pointer=Table(table, mask)), torch.arange(4).expand(2, 4)
    found = decode_k_best(scores, mask, rank, 10)
    first, _ = decode(pointer_order, scores, mask, rank)
    assert torch.equal(found[:, 0], first)
    for row, size in ((0, 4), (1, 3)):
        orders = torch.tensor([[*one, *range(size, 4)] for one in permutations(range(size))])
        value = torch.stack([Table(table[[row]], mask[[row]]).log_probs(one[None])[0] for one in orders])
        log_prob = value.gather(2, orders[:, :, None])[:, :size, 0].sum(1)
        there = min(10, factorial(size))
        assert torch.equal(found[row, :there], orders[log_prob.argsort(descending=True)[:there]])
        assert (found[row, there:] == -1).all()


def test_orders_of_a_pointer_that_differ_by_identical_sentences_are_one() -> None:
    mask = torch.ones(1, 3, dtype=torch.bool)
    flat = Scores(pointer=Table(torch.zeros(1, 3, 3, 3), mask))
    found = decode_k_best(flat, mask, torch.tensor([[5, 5, 9]]), 6)
    assert found.tolist() == [[[0, 1, 2], [0, 2, 1], [2, 0, 1], *[[-1] * 3] * 3]]
