"""The confidence of whole orders and of pairs: their probabilities by the model, calibrated on validation documents.

The log-odds of an order's probability (`decoding/distribution.py`) are scaled and shifted by the slope and the offset
that fit best which orders were right (Platt 1999, "Probabilistic outputs for support vector machines"). Those of a
pair, which are the same in both directions but for their sign, are scaled only (Guo et al. 2017, "On calibration of
modern neural networks"). The checkpoint's configuration keeps these numbers.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from sentence_order.arrays import FloatArray
from sentence_order.model.configuration import SentenceOrdererConfig

BINS = 15
IDENTITY = (1.0, 0.0)
# The weight of the identity, in documents, when there are few or all have the same outcome.
PRIOR_DOCUMENTS = 1.0


class Calibration(NamedTuple):
    """What is fitted to validation documents: slope and offset of orders, slope of pairs; None where nothing is."""

    orders: Sequence[float] | None = None
    pairs: float | None = None

    @classmethod
    def of(cls, config: SentenceOrdererConfig) -> Self:
        return cls(config.calibration, config.pair_calibration)


def log_odds(log_prob_B: Tensor) -> FloatArray:
    """The log-odds of log-probabilities in float64; they stay finite at a probability of 1."""
    log_prob_B = log_prob_B.clamp(max=-1e-12)
    return (log_prob_B - torch.log(-torch.expm1(log_prob_B))).numpy()


def pair_log_odds(before_BSS: Tensor) -> Tensor:
    """The log-odds that sentence i comes before sentence j, by `OrderDistribution.marginals`: (B, S, S)."""
    log_prob_BSS = before_BSS.clamp(min=1e-12).log()
    return log_prob_BSS - log_prob_BSS.transpose(1, 2)


def fit_calibration(log_odds_D: FloatArray, right_D: FloatArray) -> list[float]:
    """Slope and offset of the greatest likelihood, with a weak prior for leaving the log-odds unchanged."""

    from scipy.optimize import minimize  # takes half a second to import

    def cost(weights: FloatArray) -> float:
        logit_D = weights[0] * log_odds_D + weights[1]
        prior = PRIOR_DOCUMENTS / 2 * np.square(weights - IDENTITY).sum()
        return float((np.logaddexp(0, logit_D) - right_D * logit_D).sum() + prior)

    return [float(weight) for weight in minimize(cost, IDENTITY, method="Nelder-Mead").x]


def fit_pair_calibration(pair_log_odds: Sequence[FloatArray]) -> float | None:
    """The slope of the greatest likelihood, from the log-odds of each document's pairs in their true order.

    The prior is the same. None if there are no pairs, as of a pointer.
    """
    log_odds_E = np.concatenate(pair_log_odds).astype(np.float64)
    if not len(log_odds_E):
        return None

    from scipy.optimize import minimize_scalar

    def cost(slope: float) -> float:
        return float(np.logaddexp(0, -slope * log_odds_E).sum() + PRIOR_DOCUMENTS / 2 * (slope - 1) ** 2)

    return float(minimize_scalar(cost, bounds=(0, 10), method="bounded").x)


def calibrate(log_odds_D: FloatArray, calibration: Sequence[float] | None) -> FloatArray:
    """The probability that each order is right; without a calibration, the model's own."""
    slope, offset = calibration or IDENTITY
    return np.exp(-np.logaddexp(0, -(slope * log_odds_D + offset)))


def calibrate_pairs(log_odds: FloatArray, slope: float | None) -> FloatArray:
    """The probability of each direction of a pair; without a slope, the model's own."""
    return calibrate(log_odds, None if slope is None else (slope, 0.0))


class Reliability(NamedTuple):
    """Orders or pairs in bins of equal width by confidence; empty bins are left out."""

    count_K: FloatArray
    confidence_K: FloatArray
    right_K: FloatArray

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al. 2015): the mean distance of confidence and share right."""
        return float(np.average(np.abs(self.confidence_K - self.right_K), weights=self.count_K))

    def as_rows(self) -> list[dict[str, float]]:
        """A row for each bin: the mean `confidence`, the share that is `right`, and the `count`."""
        columns = zip(self.confidence_K.tolist(), self.right_K.tolist(), self.count_K.tolist(), strict=True)
        return [{"confidence": mean, "right": share, "count": int(count)} for mean, share, count in columns]


def measure_reliability(confidence_D: FloatArray, right_D: FloatArray) -> Reliability:
    """The share of orders or pairs that were right, by confidence."""
    bin_D = np.minimum((confidence_D * BINS).astype(int), BINS - 1)
    count_K = np.bincount(bin_D, minlength=BINS).astype(float)
    filled = count_K > 0
    sums = [np.bincount(bin_D, weights=values, minlength=BINS)[filled] for values in (confidence_D, right_D)]
    return Reliability(count_K[filled], *(total / count_K[filled] for total in sums))
