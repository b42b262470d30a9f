"""Losses against numbers worked out by hand, and what padding and relabelling may not change."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sentence_order.losses import LOSSES, margin, neighbours, ordering_loss, pairwise_logistic

ONE = torch.ones(1, 3, dtype=torch.bool)
# Sentence 0 stands last, 1 first, 2 in the middle; the model has 1 before 0 right, the two others wrong.
LOGITS = torch.tensor([[[0.0, -2.0, 1.0], [2.0, 0.0, -0.5], [-1.0, 0.5, 0.0]]])
POSITIONS = torch.tensor([[2, 0, 1]])


def test_pairwise_logistic_by_hand() -> None:
    total, count = pairwise_logistic(LOGITS, POSITIONS, ONE)
    # true order of the pairs: 1 before 0 (logit 2), 2 before 0 (-1), 1 before 2 (-0.5)
    assert total.item() == pytest.approx(sum(math.log1p(math.exp(-x)) for x in (2.0, -1.0, -0.5)), abs=1e-6)
    assert count.item() == 3


def test_margin_by_hand() -> None:
    total, count = margin(LOGITS, POSITIONS, ONE)
    assert total.item() == pytest.approx(0.0 + 2.0 + 1.5)
    assert margin(LOGITS, POSITIONS, ONE, margin=3.0)[0].item() == pytest.approx(1.0 + 4.0 + 3.5)
    assert count.item() == 3


def test_neighbours_by_hand() -> None:
    log_probs = -torch.arange(16.0).view(1, 4, 4)  # entry [i, j] costs 4 i + j
    # The true cycle: boundary (0), sentences 1, 2, 0 (items 2, 3, 1), boundary.
    total, count = neighbours(log_probs, POSITIONS, ONE)
    assert total.item() == 2 + (4 * 2 + 3) + (4 * 3 + 1) + (4 * 1 + 0)
    assert count.item() == 4


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 7), padding=st.integers(0, 4))
def test_neighbours_do_not_see_padding_and_labels(seed: int, size: int, padding: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_probs = torch.randn(1, 1 + size, 1 + size, generator=generator, dtype=torch.float64)
    positions = torch.randperm(size, generator=generator)[None]
    mask = torch.ones(1, size, dtype=torch.bool)
    total, count = neighbours(log_probs, positions, mask)
    assert count.item() == size + 1

    pad = torch.nn.functional.pad
    padded = neighbours(
        pad(log_probs, (0, padding) * 2, value=1e4), pad(positions, (0, padding)), pad(mask, (0, padding))
    )
    torch.testing.assert_close(padded, (total, count), atol=0, rtol=0)

    shuffle = torch.randperm(size, generator=generator)
    items = pad(shuffle + 1, (1, 0))
    torch.testing.assert_close(neighbours(log_probs[:, items][:, :, items], positions[:, shuffle], mask)[0], total)


def test_ordering_loss_is_both_over_the_pairs() -> None:
    log_probs = -torch.arange(16.0).view(1, 4, 4)
    pairs, count = pairwise_logistic(LOGITS, POSITIONS, ONE)
    assert ordering_loss(LOGITS, None, POSITIONS, ONE) == (pairs, count)
    both, count = ordering_loss(LOGITS, log_probs, POSITIONS, ONE, pairs=margin)
    assert both.item() == margin(LOGITS, POSITIONS, ONE)[0].item() + 2 * 30
    assert count.item() == 3


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(2, 7), padding=st.integers(0, 4))
def test_padding_and_relabelling_change_nothing(name: str, seed: int, size: int, padding: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(1, size, size, generator=generator, dtype=torch.float64)
    logits = scores - scores.transpose(1, 2)
    positions = torch.randperm(size, generator=generator)[None]
    mask = torch.ones(1, size, dtype=torch.bool)
    total, count = LOSSES[name](logits, positions, mask)
    assert count.item() == size * (size - 1) // 2

    wide = torch.full((1, size + padding, size + padding), 1e4, dtype=torch.float64)
    wide[:, :size, :size] = logits
    padded = LOSSES[name](
        wide, torch.nn.functional.pad(positions, (0, padding)), torch.nn.functional.pad(mask, (0, padding))
    )
    torch.testing.assert_close(padded, (total, count), atol=0, rtol=0)

    shuffle = torch.randperm(size, generator=generator)
    relabelled, _ = LOSSES[name](logits[:, shuffle][:, :, shuffle], positions[:, shuffle], mask)
    torch.testing.assert_close(relabelled, total)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_pulls_the_true_order_up(name: str) -> None:
    logits = torch.zeros(1, 3, 3, requires_grad=True)
    LOSSES[name](logits, POSITIONS, ONE)[0].backward()
    assert logits.grad is not None
    assert logits.grad[0, 1, 0] < 0
    assert logits.grad[0, 0, 1] == 0, "each pair counts once, from its true side"


def test_one_sentence_has_no_pair() -> None:
    total, count = pairwise_logistic(torch.zeros(1, 1, 1), torch.zeros(1, 1, dtype=torch.long), ONE[:, :1])
    assert (total.item(), count.item()) == (0.0, 0)
