"""How sure to be of a whole order: its probability by the model, mended on validation documents.

The model's scores give every order of a document a probability (`likelihood.py`, or a pointer). Its log-odds are scaled
and shifted by two numbers that fit best which orders were right, on documents that were not trained on (Platt 1999,
"Probabilistic outputs for support vector machines"); these stand in the checkpoint's configuration.

Shape suffixes: B documents of a batch, D documents of a corpus, S sentences (padded), K bins.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

from sentence_order.decoding.pointer import pointer_log_prob
from sentence_order.likelihood import order_log_prob
from sentence_order.metrics import FloatArray
from sentence_order.scores import Scores

BINS = 15
IDENTITY = (1.0, 0.0)
# How many documents the identity weighs, when there are few or all are alike.
PRIOR_DOCUMENTS = 1.0


def order_log_odds(scores: Scores, order_BS: Tensor, mask_BS: Tensor, text_id_BS: Tensor) -> FloatArray:
    """By the model's own scores, the log-odds that an order is the true one: (B).

    Orders that differ only in which of several identical sentences (of one `text_id`) stands where are one order.
    """
    if scores.pointer is not None:
        log_prob_B = pointer_log_prob(scores.pointer, order_BS, mask_BS).double()
    else:
        logits_BSS = None if scores.logits is None else scores.logits.double()
        next_BTT = None if scores.next_log_probs is None else scores.next_log_probs.double()
        log_prob_B = order_log_prob(logits_BSS, next_BTT, order_BS, mask_BS)
    # Scores do not tell identical sentences apart, so each of those orders is as likely.
    same_BSS = (text_id_BS[:, :, None] == text_id_BS[:, None, :]) & mask_BS[:, :, None] & mask_BS[:, None, :]
    choices_BS = same_BSS.tril().sum(2).clamp(min=1)
    log_prob_B = log_prob_B + choices_BS.double().log().sum(1)
    # An order cannot be surer than a float64 tells; the log-odds stay finite.
    log_prob_B = log_prob_B.clamp(max=-1e-12)
    log_odds: FloatArray = (log_prob_B - torch.log(-torch.expm1(log_prob_B))).numpy()
    return log_odds


def fit_calibration(log_odds_D: FloatArray, right_D: FloatArray) -> list[float]:
    """Slope and offset of the greatest likelihood, with a weak pull towards leaving the log-odds as they are."""

    def cost(weights: FloatArray) -> float:
        logit_D = weights[0] * log_odds_D + weights[1]
        prior = PRIOR_DOCUMENTS / 2 * np.square(weights - IDENTITY).sum()
        return float((np.logaddexp(0, logit_D) - right_D * logit_D).sum() + prior)

    return [float(weight) for weight in minimize(cost, IDENTITY, method="Nelder-Mead").x]


def calibrated(log_odds_D: FloatArray, calibration: Sequence[float] | None) -> FloatArray:
    """The probability that each order is right, between 0 and 1; without a calibration, the model's own."""
    slope, offset = calibration or IDENTITY
    confidence: FloatArray = expit(slope * log_odds_D + offset)
    return confidence


class Reliability(NamedTuple):
    """Documents in bins of equal width by how sure the model was; empty bins are left out."""

    documents_K: FloatArray
    confidence_K: FloatArray
    right_K: FloatArray

    @property
    def error(self) -> float:
        """The expected calibration error (Naeini et al. 2015): the mean distance of confidence and share right."""
        return float(np.average(np.abs(self.confidence_K - self.right_K), weights=self.documents_K))


def reliability(confidence_D: FloatArray, right_D: FloatArray) -> Reliability:
    """How often orders of each degree of confidence were right."""
    bin_D = np.minimum((confidence_D * BINS).astype(int), BINS - 1)
    count_K = np.bincount(bin_D, minlength=BINS).astype(float)
    there = count_K > 0
    sums = [np.bincount(bin_D, weights=values, minlength=BINS)[there] for values in (confidence_D, right_D)]
    return Reliability(count_K[there], *(total / count_K[there] for total in sums))
