"""Losses equal numbers computed by hand, and padding and relabelling change nothing."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sentence_order.config.components import LOSSES
from sentence_order.decoding import likelihood
from sentence_order.decoding.scores import Scores
from sentence_order.losses import count_pairs, weighted_loss
from sentence_order.losses.list_mle import list_mle
from sentence_order.losses.margin import margin
from sentence_order.losses.neighbours import neighbours
from sentence_order.losses.order import order
from sentence_order.losses.pairwise_logistic import pairwise_logistic
from sentence_order.losses.pointer import pointer
from sentence_order.losses.positions import position, slot
from sentence_order.losses.ranknet import ranknet
from sentence_order.losses.regression import regression
from tests.deterministic import CudaDeterminism
from tests.properties import settings

ONE = torch.ones(1, 3, dtype=torch.bool)
# Sentence 0 stands last, 1 first, 2 in the middle; the model has 1 before 0 right, the two others wrong.
LOGITS = torch.tensor([[[0.0, -2.0, 1.0], [2.0, 0.0, -0.5], [-1.0, 0.5, 0.0]]])
POSITIONS = torch.tensor([[2, 0, 1]])
MATRIX_LOSSES = [name for name, component in LOSSES.items() if component.scores != ("pointer",)]


def loss_of(name: str, scores: Scores, positions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """A loss of the table, by the scores that it reads."""
    component = LOSSES[name]
    return component.load()(*(getattr(scores, score) for score in component.scores), positions, mask)


def test_pairwise_logistic_by_hand() -> None:
    total = pairwise_logistic(LOGITS, POSITIONS, ONE)
    # true order of the pairs: 1 before 0 (logit 2), 2 before 0 (-1), 1 before 2 (-0.5)
    assert total.item() == pytest.approx(sum(math.log1p(math.exp(-x)) for x in (2.0, -1.0, -0.5)), abs=1e-6)


def test_margin_by_hand() -> None:
    total = margin(LOGITS, POSITIONS, ONE)
    assert total.item() == pytest.approx(0.0 + 2.0 + 1.5)
    assert margin(LOGITS, POSITIONS, ONE, margin=3.0).item() == pytest.approx(1.0 + 4.0 + 3.5)


def test_neighbours_by_hand() -> None:
    log_probs = -torch.arange(16.0).view(1, 4, 4)  # entry [i, j] costs 4 i + j
    # The true cycle: boundary (0), sentences 1, 2, 0 (items 2, 3, 1), boundary.
    total = neighbours(log_probs, POSITIONS, ONE)
    assert total.item() == 2 + (4 * 2 + 3) + (4 * 3 + 1) + (4 * 1 + 0)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 7), padding=st.integers(0, 4))
def test_padding_and_relabelling_do_not_change_neighbours(seed: int, size: int, padding: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_probs = torch.randn(1, 1 + size, 1 + size, generator=generator, dtype=torch.float64)
    positions = torch.randperm(size, generator=generator)[None]
    mask = torch.ones(1, size, dtype=torch.bool)
    total = neighbours(log_probs, positions, mask)

    pad = torch.nn.functional.pad
    padded = neighbours(
        pad(log_probs, (0, padding) * 2, value=1e4), pad(positions, (0, padding)), pad(mask, (0, padding))
    )
    torch.testing.assert_close(padded, total, atol=1e-14, rtol=1e-14)

    shuffle = torch.randperm(size, generator=generator)
    items = pad(shuffle + 1, (1, 0))
    torch.testing.assert_close(neighbours(log_probs[:, items][:, :, items], positions[:, shuffle], mask), total)


def test_ranknet_by_hand() -> None:
    total = ranknet(LOGITS, POSITIONS, ONE)
    # 1 before 0 are two positions apart and weigh 9/5; 2 before 0 and 1 before 2 are one apart and weigh 3/5.
    expected = sum(w * math.log1p(math.exp(-x)) for w, x in ((1.8, 2.0), (0.6, -1.0), (0.6, -0.5)))
    assert total.item() == pytest.approx(expected, abs=1e-6)


def test_list_mle_by_hand() -> None:
    # The scores of sentences 0, 1, 2 are the means of their rows; 1, 2, 0 are drawn in turn.
    score = [-1.0 / 3, 1.5 / 3, -0.5 / 3]
    first = math.log(sum(map(math.exp, score))) - score[1]
    second = math.log(math.exp(score[2]) + math.exp(score[0])) - score[2]
    total = list_mle(LOGITS, POSITIONS, ONE)
    assert total.item() == pytest.approx(first + second, abs=1e-6)


def test_regression_by_hand() -> None:
    # The sentences should score -1, 1 and 0.
    total = regression(LOGITS, POSITIONS, ONE)
    assert total.item() == pytest.approx((-1 / 3 + 1) ** 2 + (0.5 - 1) ** 2 + (-0.5 / 3) ** 2)


def test_positions_and_slots_by_hand() -> None:
    logits = torch.zeros(1, 3, 3)
    logits[0, 0, 2] = 1.0  # right: sentence 0 stands last
    logits[0, 1, 1] = 2.0  # wrong: there stands sentence 2
    one, two, three = math.log(math.e + 2), math.log(math.e**2 + 2), math.log(3)
    assert position(logits, POSITIONS, ONE).item() == pytest.approx(one - 1 + two + three, abs=1e-6)
    # Columns: position 0 holds 1, undecided; position 1 holds 2, and 1 is preferred; position 2 holds 0.
    assert slot(logits, POSITIONS, ONE).item() == pytest.approx(three + two + one - 1, abs=1e-6)


def all_orders(logits: torch.Tensor, log_probs: torch.Tensor) -> dict[tuple[int, ...], float]:
    """The objective of every order of one document."""
    found = {}
    for one in itertools.permutations(range(len(logits))):
        items = [0, *(i + 1 for i in one), 0]
        pairs = sum(logits[one[a], one[b]].item() for a in range(len(one)) for b in range(a + 1, len(one))) / 2
        found[one] = pairs + sum(log_probs[a, b].item() for a, b in itertools.pairwise(items))
    return found


@pytest.mark.parametrize("size", [2, 3, 5])
def test_likelihood_of_the_order_is_normalised_over_all_orders(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    scores = torch.randn(1, size, size, generator=generator, dtype=torch.float64)
    logits = scores - scores.transpose(1, 2)
    log_probs = torch.randn(1, size + 1, size + 1, generator=generator, dtype=torch.float64)
    positions = torch.randperm(size, generator=generator)[None]
    mask = torch.ones(1, size, dtype=torch.bool)
    objectives = all_orders(logits[0], log_probs[0])
    gold = tuple(positions[0].argsort().tolist())
    expected = math.log(sum(map(math.exp, objectives.values()))) - objectives[gold]
    total = order(logits, log_probs, positions, mask)
    assert total.item() == pytest.approx(expected)
    # Probabilities of all orders sum to one, also where sentences are drawn step by step.
    for limit in (likelihood.MAX_SUMMED_SENTENCES, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(likelihood, "MAX_SUMMED_SENTENCES", limit)
            orders = torch.tensor(list(objectives))
            expand = [x.expand(len(orders), -1, -1) for x in (logits, log_probs)]
            log_prob = likelihood.order_log_prob(*expand, orders, mask.expand(len(orders), -1))
            assert log_prob.exp().sum().item() == pytest.approx(1.0)
    # Two sentences are ordered by one step, which pairs alone decide alike in both ways.
    if size == 2:
        assert order(logits, None, positions, mask).item() == pytest.approx(
            pairwise_logistic(logits, positions, mask).item()
        )


def test_weighted_loss_is_the_weighted_sum_of_its_terms() -> None:
    log_probs = -torch.arange(16.0).view(1, 4, 4)
    scores = Scores(logits=LOGITS, next_log_probs=log_probs)
    total = weighted_loss({"margin": 0.5, "margin_width": 3.0, "neighbours": 2.0, "ranknet": 0.0})(
        scores, POSITIONS, ONE
    )
    assert total.item() == 0.5 * 8.5 + 2 * 30


def random_scores(size: int, generator: torch.Generator) -> Scores:
    values = torch.randn(1, size, size, generator=generator, dtype=torch.float64)
    return Scores(
        logits=values - values.transpose(1, 2),
        next_log_probs=torch.randn(1, 1 + size, 1 + size, generator=generator, dtype=torch.float64),
        position_logits=torch.randn(1, size, size, generator=generator, dtype=torch.float64),
    )


class KnownOrder:
    """A pointer that knows one order."""

    def start(self) -> torch.Tensor:
        return torch.zeros(1, 1, 1)

    def log_probs(self, order_BS: torch.Tensor) -> torch.Tensor:
        assert order_BS.tolist() == [[1, 2, 0, 3]]
        return torch.tensor([[[1, 1, 6, 0], [2, 0, 6, 0], [8, 0, 0, 0], [0, 0, 0, 8]]]).div(8).log()


def test_pointer_by_hand() -> None:
    positions, mask = torch.tensor([[2, 0, 1, 3]]), torch.tensor([[True, True, True, False]])
    total = pointer(KnownOrder(), positions, mask)
    assert total.item() == pytest.approx(-math.log(1 / 8 * 3 / 4 * 1))


@pytest.mark.parametrize("name", MATRIX_LOSSES)
@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), size=st.integers(2, 12), padding=st.integers(0, 4))
def test_padding_and_relabelling_change_nothing(name: str, seed: int, size: int, padding: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = random_scores(size, generator)
    positions = torch.randperm(size, generator=generator)[None]
    mask = torch.ones(1, size, dtype=torch.bool)
    total = loss_of(name, scores, positions, mask)

    pad = torch.nn.functional.pad
    wide = Scores(**{key: pad(value, (0, padding) * 2, value=1e4) for key, value in scores.items()})
    padded = loss_of(name, wide, pad(positions, (0, padding)), pad(mask, (0, padding)))
    torch.testing.assert_close(padded, total, atol=1e-12, rtol=1e-12)

    shuffle = torch.randperm(size, generator=generator)[None]
    relabelled = loss_of(name, scores.relabelled(shuffle), positions.gather(1, shuffle), mask)
    torch.testing.assert_close(relabelled, total)


@pytest.mark.parametrize("size", [5, 12])
@pytest.mark.parametrize("name", MATRIX_LOSSES)
def test_every_loss_has_a_deterministic_gradient_on_cuda(name: str, size: int) -> None:
    scores = random_scores(size, torch.Generator().manual_seed(0))
    leaf_scores = Scores(**{key: value.requires_grad_() for key, value in scores.items()})
    with CudaDeterminism():
        loss_of(name, leaf_scores, torch.arange(size)[None], torch.ones(1, size, dtype=torch.bool)).backward()


@pytest.mark.parametrize("name", ["pairwise_logistic", "margin", "ranknet", "list_mle", "regression", "order"])
def test_gradient_raises_the_log_odds_of_the_true_order(name: str) -> None:
    logits = torch.zeros(1, 3, 3, requires_grad=True)
    antisymmetric = logits - logits.transpose(1, 2)
    loss_of(name, Scores(logits=antisymmetric), POSITIONS, ONE).backward()
    assert logits.grad is not None
    assert logits.grad[0, 1, 0] < 0
    assert logits.grad[0, 0, 1] > 0


def test_one_sentence_has_no_pair() -> None:
    total = pairwise_logistic(torch.zeros(1, 1, 1), torch.zeros(1, 1, dtype=torch.long), ONE[:, :1])
    assert total.item() == 0.0
    assert count_pairs(ONE[:, :1]).item() == 0


def test_pairs_of_all_documents_are_counted_without_padding() -> None:
    mask = torch.tensor([[True, True, True, True], [True, True, True, False], [True, False, False, False]])
    assert count_pairs(mask).item() == 6 + 3 + 0
