"""Confidence: right by construction where it can be worked out, and mended where it is wrong."""

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from torch import Tensor

from sentence_order.arrays import FloatArray
from sentence_order.decoding.distribution import OrderDistribution
from sentence_order.decoding.scores import Scores
from sentence_order.inference.calibration import (
    calibrate,
    calibrate_pairs,
    fit_calibration,
    fit_pair_calibration,
    log_odds,
    measure_reliability,
)


def find_log_odds(scores: Scores, order_BS: Tensor, mask_BS: Tensor, text_rank_BS: Tensor) -> FloatArray:
    return log_odds(OrderDistribution(scores, mask_BS, text_rank_BS).log_probs(order_BS[:, None])[:, 0])


def test_two_sentences_are_as_sure_as_their_pair() -> None:
    logits = torch.tensor([[[0.0, 1.7], [-1.7, 0.0]]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    for order, expected in (([[0, 1]], 1.7), ([[1, 0]], -1.7)):
        found = find_log_odds(Scores(logits=logits), torch.tensor(order), mask, torch.tensor([[0, 1]]))
        assert found == pytest.approx([expected], abs=1e-6)


def test_identical_sentences_may_be_swapped() -> None:
    mask = torch.ones(1, 3, dtype=torch.bool)
    flat, order = Scores(logits=torch.zeros(1, 3, 3)), torch.tensor([[0, 1, 2]])
    for texts, chance in (([0, 1, 2], 1 / 6), ([0, 1, 0], 1 / 3), ([0, 0, 0], 1.0)):
        found = expit(find_log_odds(flat, order, mask, torch.tensor([texts])))
        assert found == pytest.approx([chance])


def test_a_model_that_is_too_sure_is_mended() -> None:
    generator = np.random.default_rng(0)
    chance = generator.uniform(0.02, 0.98, 20_000)
    right = (generator.random(20_000) < chance).astype(float)
    too_sure = 3 * logit(chance) + 1
    calibration = fit_calibration(too_sure[:10_000], right[:10_000])
    assert calibration == pytest.approx([1 / 3, -1 / 3], abs=0.04)
    before, after = (
        measure_reliability(calibrate(too_sure[10_000:], c), right[10_000:]).error for c in (None, calibration)
    )
    assert after < 0.02 < before


def test_pairs_that_are_too_sure_are_mended() -> None:
    generator = np.random.default_rng(0)
    chance = generator.uniform(0.02, 0.98, 20_000)
    first_is_right = generator.random(20_000) < chance
    # Of documents of ten pairs, by log-odds three times too large, of the direction that is right.
    too_sure = np.split(np.where(first_is_right, 3.0, -3.0) * logit(chance), 2000)
    slope = fit_pair_calibration(too_sure[:1000])
    assert slope == pytest.approx(1 / 3, abs=0.02)
    held_out = np.concatenate(too_sure[1000:])
    before, after = (
        measure_reliability(calibrate_pairs(abs(held_out), own), (held_out > 0).astype(float)).error
        for own in (None, slope)
    )
    assert after < 0.02 < before
    assert fit_pair_calibration([np.zeros(0)]) is None


def test_few_or_like_documents_leave_it_nearly_as_it_is() -> None:
    for right in (np.ones(2), np.zeros(2)):
        slope, offset = fit_calibration(np.array([0.3, -0.2]), right)
        assert abs(slope - 1) < 0.5
        assert abs(offset) < 1.0


def test_reliability_by_hand() -> None:
    found = measure_reliability(np.array([0.01, 0.03, 0.97, 1.0]), np.array([0.0, 1.0, 1.0, 1.0]))
    assert found.count_K.tolist() == [2, 2]
    assert found.confidence_K == pytest.approx([0.02, 0.985])
    assert found.right_K == pytest.approx([0.5, 1.0])
    assert found.error == pytest.approx((0.48 + 0.015) / 2)
