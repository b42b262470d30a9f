"""The confidence of a whole order: its probability by the model, calibrated on validation documents.

The log-odds of the probability by the scores (`decoding/likelihood.py`, or a pointer) are scaled and shifted by the
slope and the offset that fit best which orders were right (Platt 1999, "Probabilistic outputs for support vector
machines"). The checkpoint's configuration keeps both.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sentence_order.arrays import FloatArray
from sentence_order.decoding.likelihood import order_log_prob
from sentence_order.decoding.pointer import pointer_log_prob
from sentence_order.decoding.scores import Scores

BINS = 15
IDENTITY = (1.0, 0.0)
# The weight of the identity, in documents, when there are few or all have the same outcome.
PRIOR_DOCUMENTS = 1.0


def order_log_odds(scores: Scores, order_BS: Tensor, mask_BS: Tensor, text_id_BS: Tensor) -> FloatArray:
    """The log-odds that an order is the true one by the model's own scores: (B).

    Orders that differ only by swapping identical sentences (of one `text_id`) count as one.
    """
    if scores.pointer is not None:
        log_prob_B = pointer_log_prob(scores.pointer, order_BS, mask_BS).double()
    else:
        logits_BSS = None if scores.logits is None else scores.logits.double()
        next_BTT = None if scores.next_log_probs is None else scores.next_log_probs.double()
        log_prob_B = order_log_prob(logits_BSS, next_BTT, order_BS, mask_BS)

    # Identical sentences have identical scores, so each of those orders is as likely.
    same_BSS = (text_id_BS[:, :, None] == text_id_BS[:, None, :]) & mask_BS[:, :, None] & mask_BS[:, None, :]
    choices_BS = same_BSS.tril().sum(2).clamp(min=1)
    log_prob_B = log_prob_B + choices_BS.double().log().sum(1)
    log_prob_B = log_prob_B.clamp(max=-1e-12)  # the log-odds stay finite in float64
    return (log_prob_B - torch.log(-torch.expm1(log_prob_B))).numpy()


def fit_calibration(log_odds_D: FloatArray, right_D: FloatArray) -> list[float]:
    """Slope and offset of the greatest likelihood, with a weak prior for leaving the log-odds unchanged."""

    from scipy.optimize import minimize  # takes half a second to import

    def cost(weights: FloatArray) -> float:
        logit_D = weights[0] * log_odds_D + weights[1]
        prior = PRIOR_DOCUMENTS / 2 * np.square(weights - IDENTITY).sum()
        return float((np.logaddexp(0, logit_D) - right_D * logit_D).sum() + prior)

    return [float(weight) for weight in minimize(cost, IDENTITY, method="Nelder-Mead").x]


def calibrate(log_odds_D: FloatArray, calibration: Sequence[float] | None) -> FloatArray:
    """The probability that each order is right; without a calibration, the model's own."""
    slope, offset = calibration or IDENTITY
    return np.exp(-np.logaddexp(0, -(slope * log_odds_D + offset)))


class Reliability(NamedTuple):
    """Documents in bins of equal width by confidence; empty bins are left out."""

    documents_K: FloatArray
    confidence_K: FloatArray
    right_K: FloatArray

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al. 2015): the mean distance of confidence and share right."""
        return float(np.average(np.abs(self.confidence_K - self.right_K), weights=self.documents_K))


def measure_reliability(confidence_D: FloatArray, right_D: FloatArray) -> Reliability:
    """The share of orders that were right, by confidence."""
    bin_D = np.minimum((confidence_D * BINS).astype(int), BINS - 1)
    count_K = np.bincount(bin_D, minlength=BINS).astype(float)
    filled = count_K > 0
    sums = [np.bincount(bin_D, weights=values, minlength=BINS)[filled] for values in (confidence_D, right_D)]
    return Reliability(count_K[filled], *(total / count_K[filled] for total in sums))
