"""The distribution over orders: against all permutations, by hand, and beyond what can be summed."""

from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sentence_order.decoding import distribution
from sentence_order.decoding.distribution import Marginals, order_log_probs, order_marginals
from sentence_order.decoding.scores import Scores
from tests.properties import settings


def random_scores(documents: int, n: int, seed: int = 0, spread: float = 1.0) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(documents, n, n, generator=generator)
    following = spread * torch.randn(documents, n + 1, n + 1, generator=generator)
    return Scores(logits=logits - logits.transpose(1, 2), next_log_probs=following.log_softmax(2))


def mask_and_ranks(documents: int, n: int) -> tuple[Tensor, Tensor]:
    return torch.ones(documents, n, dtype=torch.bool), torch.arange(n).expand(documents, n)


def enumerate_marginals(orders_PN: Tensor, probability_P: Tensor) -> Marginals:
    """Of one document, from the probabilities of all of its orders."""
    n = orders_PN.shape[1]
    before, following = torch.zeros(n, n).double(), torch.zeros(n + 1, n + 1).double()
    for order, probability in zip(orders_PN.tolist(), probability_P, strict=True):
        for place, first in enumerate(order):
            before[first, order[place + 1 :]] += probability
        path = [0, *(1 + sentence for sentence in order), 0]
        following[path[:-1], path[1:]] += probability
    return Marginals(before[None], following[None])


@settings(max_examples=25)
@given(n=st.integers(2, 7), seed=st.integers(0, 10**6), spread=st.sampled_from([0.0, 1.0, 5.0]))
def test_pairs_and_neighbours_are_the_sums_over_all_orders(n: int, seed: int, spread: float) -> None:
    scores, (mask, rank) = random_scores(1, n, seed, spread), mask_and_ranks(1, n)
    orders_PN = torch.tensor(list(permutations(range(n))))
    log_prob_1P = order_log_probs(scores, orders_PN[None], mask, rank)
    assert log_prob_1P.logsumexp(1).item() == pytest.approx(0.0, abs=1e-9)
    expected = enumerate_marginals(orders_PN, log_prob_1P[0].exp())
    for found, own in zip(order_marginals(scores, mask, rank), expected, strict=True):
        torch.testing.assert_close(found, own)


def test_two_sentences_by_hand() -> None:
    """The pair alone has log-odds of 1.7; that the second is first and the first is last adds .5 and .2 - 1."""
    logits = torch.tensor([[[0.0, 1.7], [-1.7, 0.0]]])
    mask, rank = mask_and_ranks(1, 2)
    chance = torch.tensor(1.7).double().sigmoid()
    found = order_marginals(Scores(logits=logits), mask, rank)
    torch.testing.assert_close(found.before_BSS[0], torch.tensor([[0.0, chance], [1 - chance, 0.0]]).double())
    following = torch.tensor([[[0.0, 0.0, 0.5], [0.2, 0.0, 1.0], [0.0, 0.0, 0.0]]])
    scores = Scores(logits=logits, next_log_probs=following)
    log_probs = order_log_probs(scores, torch.tensor([[[0, 1], [1, 0]]]), mask, rank)
    # In order: .85 + 1.0 of the link, and nothing at the ends; reversed: -.85 + .5 + .2.
    odds = torch.tensor([0.85 + 1.0, -0.85 + 0.5 + 0.2]).double()
    torch.testing.assert_close(log_probs[0], odds.log_softmax(0))


def test_documents_of_several_lengths_and_padding() -> None:
    scores, (_, rank) = random_scores(4, 8), mask_and_ranks(4, 8)
    sizes = [8, 1, 5, 0]
    mask = torch.arange(8) < torch.tensor(sizes)[:, None]
    together = order_marginals(scores, mask, rank)
    log_probs = order_log_probs(scores, rank[:, None], mask, rank)
    for row, n in enumerate(sizes):
        own = Scores(logits=scores.logits[[row], :n, :n], next_log_probs=scores.next_log_probs[[row], : n + 1, : n + 1])
        alone = order_marginals(own, *mask_and_ranks(1, n))
        torch.testing.assert_close(together.before_BSS[row, :n, :n], alone.before_BSS[0])
        assert together.before_BSS[row].sum().item() == pytest.approx(n * (n - 1) / 2)
        expected = order_log_probs(own, torch.arange(n)[None, None], *mask_and_ranks(1, n))
        assert log_probs[row].item() == pytest.approx(expected.item())


def test_what_is_no_order_has_no_probability() -> None:
    scores, (mask, rank) = random_scores(1, 3), mask_and_ranks(1, 3)
    found = order_log_probs(scores, torch.tensor([[[2, 0, 1], [-1, -1, -1]]]), mask, rank)
    assert found[0, 1].item() == -torch.inf
    assert found[0, 0].item() == order_log_probs(scores, torch.tensor([[[2, 0, 1]]]), mask, rank).item()


def test_estimates_of_long_documents_are_near_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of as many sentences as can still be summed, whose pairs do not contradict each other more than a model's do."""
    scores, (mask, rank) = random_scores(5, 11, spread=0.7), mask_and_ranks(5, 11)
    place = torch.randn(5, 11, generator=torch.Generator().manual_seed(1))
    scores.logits = scores.logits + 2 * (place[:, :, None] - place[:, None])
    exact = order_marginals(scores, mask, rank)
    log_prob = order_log_probs(scores, rank[:, None], mask, rank)
    monkeypatch.setattr(distribution, "MAX_EXACT_SENTENCES", 10)
    found = order_marginals(scores, mask, rank)
    assert (found.before_BSS - exact.before_BSS).abs().max() < 0.15
    assert (found.before_BSS - exact.before_BSS).abs().mean() < 0.03
    assert (found.next_BTT - exact.next_BTT).abs().mean() < 0.02
    assert (order_log_probs(scores, rank[:, None], mask, rank) - log_prob).abs().max() < 0.5
    torch.testing.assert_close(found.next_BTT.sum(2), torch.ones(5, 12).double())
    both_ways = found.before_BSS + found.before_BSS.transpose(1, 2)
    torch.testing.assert_close(both_ways, (1 - torch.eye(11)).expand(5, -1, -1).double())


def test_estimates_do_not_depend_on_the_input_order() -> None:
    scores, (mask, rank) = random_scores(3, 15), mask_and_ranks(3, 15)
    label = torch.randperm(15, generator=torch.Generator().manual_seed(0)).expand(3, -1)
    moved = scores.relabelled(label)
    plain = order_marginals(scores, mask, rank).before_BSS
    found = order_marginals(moved, mask, rank.gather(1, label)).before_BSS
    torch.testing.assert_close(found, plain[:, label[0]][:, :, label[0]], atol=1e-4, rtol=0)


def test_a_long_document_without_evidence_is_uniform() -> None:
    mask, rank = mask_and_ranks(1, 14)
    flat = Scores(logits=torch.zeros(1, 14, 14))
    found = order_log_probs(flat, rank[:, None], mask, rank).item()
    assert found == pytest.approx(-torch.arange(1, 15).double().log().sum().item(), abs=1e-4)
    before = order_marginals(flat, mask, rank).before_BSS
    assert (before + torch.eye(14) / 2 - 0.5).abs().max() < 0.1


def test_probabilities_of_known_orders_do_not_exceed_one() -> None:
    """Of 20 sentences in a sure order, but for two that follow nothing that is drawn before them."""
    logits = 8.0 * (torch.ones(20, 20).triu(1) - torch.ones(20, 20).tril(-1))[None]
    mask, rank = mask_and_ranks(1, 20)
    swapped = torch.tensor([1, 0, *range(2, 20)])
    found = order_log_probs(Scores(logits=logits), torch.stack([rank[0], swapped])[None], mask, rank)
    assert found.exp().sum().item() <= 1 + 1e-9
    assert found[0, 0].exp().item() > 0.9
