"""The distribution over orders: against all permutations, by hand, and beyond what can be summed."""

from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sentence_order.decoding import distribution
from sentence_order.decoding.distribution import Marginals, OrderDistribution
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
    log_prob_1P = OrderDistribution(scores, mask, rank).log_probs(orders_PN[None])
    assert log_prob_1P.logsumexp(1).item() == pytest.approx(0.0, abs=1e-9)
    expected = enumerate_marginals(orders_PN, log_prob_1P[0].exp())
    for found, own in zip(OrderDistribution(scores, mask, rank).marginals(), expected, strict=True):
        torch.testing.assert_close(found, own)


def test_two_sentences_by_hand() -> None:
    """The pair alone has log-odds of 1.7; that the second is first and the first is last adds .5 and .2 - 1."""
    logits = torch.tensor([[[0.0, 1.7], [-1.7, 0.0]]])
    mask, rank = mask_and_ranks(1, 2)
    chance = torch.tensor(1.7).double().sigmoid()
    found = OrderDistribution(Scores(logits=logits), mask, rank).marginals()
    torch.testing.assert_close(found.before_BSS[0], torch.tensor([[0.0, chance], [1 - chance, 0.0]]).double())
    following = torch.tensor([[[0.0, 0.0, 0.5], [0.2, 0.0, 1.0], [0.0, 0.0, 0.0]]])
    scores = Scores(logits=logits, next_log_probs=following)
    log_probs = OrderDistribution(scores, mask, rank).log_probs(torch.tensor([[[0, 1], [1, 0]]]))
    # In order: .85 + 1.0 of the link, and nothing at the ends; reversed: -.85 + .5 + .2.
    odds = torch.tensor([0.85 + 1.0, -0.85 + 0.5 + 0.2]).double()
    torch.testing.assert_close(log_probs[0], odds.log_softmax(0))


def test_documents_of_several_lengths_and_padding() -> None:
    scores, (_, rank) = random_scores(4, 8), mask_and_ranks(4, 8)
    sizes = [8, 1, 5, 0]
    mask = torch.arange(8) < torch.tensor(sizes)[:, None]
    together = OrderDistribution(scores, mask, rank).marginals()
    log_probs = OrderDistribution(scores, mask, rank).log_probs(rank[:, None])
    for row, n in enumerate(sizes):
        own = Scores(logits=scores.logits[[row], :n, :n], next_log_probs=scores.next_log_probs[[row], : n + 1, : n + 1])
        alone = OrderDistribution(own, *mask_and_ranks(1, n)).marginals()
        torch.testing.assert_close(together.before_BSS[row, :n, :n], alone.before_BSS[0])
        assert together.before_BSS[row].sum().item() == pytest.approx(n * (n - 1) / 2)
        expected = OrderDistribution(own, *mask_and_ranks(1, n)).log_probs(torch.arange(n)[None, None])
        assert log_probs[row].item() == pytest.approx(expected.item())


def test_what_is_no_order_has_no_probability() -> None:
    scores, (mask, rank) = random_scores(1, 3), mask_and_ranks(1, 3)
    found = OrderDistribution(scores, mask, rank).log_probs(torch.tensor([[[2, 0, 1], [-1, -1, -1]]]))
    assert found[0, 1].item() == -torch.inf
    assert found[0, 0].item() == OrderDistribution(scores, mask, rank).log_probs(torch.tensor([[[2, 0, 1]]])).item()


@pytest.mark.parametrize(("spread", "sureness"), [(0.4, 0.5), (0.7, 2.0), (1.5, 0.0), (1.0, 6.0)])
def test_estimates_of_long_documents_are_near_the_sum(
    monkeypatch: pytest.MonkeyPatch, spread: float, sureness: float
) -> None:
    """Of as many sentences as can still be summed: of vague scores, sure ones, and such as contradict each other."""
    scores, (mask, rank) = random_scores(5, 11, spread=spread), mask_and_ranks(5, 11)
    place = torch.randn(5, 11, generator=torch.Generator().manual_seed(1))
    scores.logits = scores.logits + sureness * (place[:, :, None] - place[:, None])
    exact = OrderDistribution(scores, mask, rank)
    best = exact.best_orders(3)
    expected, log_probs = exact.marginals(), exact.log_probs(best)

    monkeypatch.setattr(distribution, "MAX_EXACT_SENTENCES", 10)
    estimated = OrderDistribution(scores, mask, rank)
    found = estimated.marginals()
    assert (found.before_BSS - expected.before_BSS).abs().mean() < 0.02
    assert (found.next_BTT - expected.next_BTT).abs().mean() < 0.01
    assert (estimated.log_probs(best) - log_probs).abs().mean() < 1.0
    for axis in (1, 2):  # every item has one before it, and one behind
        torch.testing.assert_close(found.next_BTT.sum(axis), torch.ones(5, 12).double(), atol=0.01, rtol=0)
    both_ways = found.before_BSS + found.before_BSS.transpose(1, 2)
    torch.testing.assert_close(both_ways, (1 - torch.eye(11)).expand(5, -1, -1).double())


@pytest.mark.parametrize("sureness", [0.5, 2.0, 6.0])
def test_an_order_of_a_long_document_has_one_probability(sureness: float) -> None:
    """Whatever is asked beside it; and those of the best orders, asked one by one, sum to at most 1."""
    scores, (mask, rank) = random_scores(4, 15), mask_and_ranks(4, 15)
    place = torch.randn(4, 15, generator=torch.Generator().manual_seed(1))
    scores.logits = scores.logits + sureness * (place[:, :, None] - place[:, None])
    whole = OrderDistribution(scores, mask, rank)
    best = whole.best_orders(5)
    together = whole.log_probs(best)
    alone = torch.cat([OrderDistribution(scores, mask, rank).log_probs(best[:, [k]]) for k in range(5)], dim=1)
    torch.testing.assert_close(together, alone)
    assert (together.exp().sum(1) <= 1 + 1e-9).all()
    assert (together.diff(dim=1) <= 1e-3).all(), "the likeliest come first"


def test_estimates_do_not_depend_on_the_input_order() -> None:
    scores, (mask, rank) = random_scores(3, 15), mask_and_ranks(3, 15)
    label = torch.randperm(15, generator=torch.Generator().manual_seed(0)).expand(3, -1)
    moved = scores.relabelled(label)
    plain = OrderDistribution(scores, mask, rank).marginals().before_BSS
    found = OrderDistribution(moved, mask, rank.gather(1, label)).marginals().before_BSS
    torch.testing.assert_close(found, plain[:, label[0]][:, :, label[0]], atol=1e-4, rtol=0)


def test_a_long_document_without_evidence_is_uniform() -> None:
    mask, rank = mask_and_ranks(1, 14)
    flat = Scores(logits=torch.zeros(1, 14, 14))
    found = OrderDistribution(flat, mask, rank).log_probs(rank[:, None]).item()
    assert found == pytest.approx(-torch.arange(1, 15).double().log().sum().item(), abs=1e-4)
    before = OrderDistribution(flat, mask, rank).marginals().before_BSS
    assert (before + torch.eye(14) / 2 - 0.5).abs().max() < 0.1


def test_probabilities_of_known_orders_do_not_exceed_one() -> None:
    """Of 20 sentences in a sure order, but for two that follow nothing that is drawn before them."""
    logits = 8.0 * (torch.ones(20, 20).triu(1) - torch.ones(20, 20).tril(-1))[None]
    mask, rank = mask_and_ranks(1, 20)
    swapped = torch.tensor([1, 0, *range(2, 20)])
    found = OrderDistribution(Scores(logits=logits), mask, rank).log_probs(torch.stack([rank[0], swapped])[None])
    assert found.exp().sum().item() <= 1 + 1e-9
    assert found[0, 0].exp().item() > 0.9
