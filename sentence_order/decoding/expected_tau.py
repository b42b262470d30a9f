"""The order of the greatest expected Kendall tau.

The likeliest order is the best bet on the whole order being right. Where many are about as likely, another one may be
nearer to all of them: the exact decoder finds it with the probabilities of pairs, taken over all orders of the document
(`likelihood.py`), in the place of scores:

    expected tau = mean over pairs of  P(i before j) - P(j before i),  i being placed before j

References: Kumar and Byrne (2004), "Minimum Bayes-risk decoding for statistical machine translation"; Kemeny (1959),
"Mathematics without numbers", for the order that agrees most with many.
"""

import torch
from torch import Tensor

from sentence_order.decoding.exact import MAX_EXACT_SENTENCES, exact_order
from sentence_order.decoding.likelihood import exact_marginals
from sentence_order.decoding.scores import CleanScores, quantise


def expected_tau_order(scores: CleanScores, beam_width: int) -> Tensor:
    """The order of the greatest expected tau; of several, the lexicographically first.

    Beyond `MAX_EXACT_SENTENCES` sentences, where the sum over all orders takes too long, that of `exact_order`.
    """
    if not 1 < scores.pairs_GSS.shape[1] <= MAX_EXACT_SENTENCES:
        return exact_order(scores, beam_width)
    advantages_GSS = quantise(pair_advantages(scores))
    return exact_order(CleanScores(advantages_GSS, torch.zeros_like(scores.next_GTT)), beam_width)


def pair_advantages(scores: CleanScores) -> Tensor:
    """How much likelier i before j is than j before i, over all orders: (G, N, N), from -1 to 1, antisymmetric."""
    sentences = scores.pairs_GSS.shape[1]
    # At most this for a document: what the sum keeps for its gradient.
    before_GSS = scores.map_chunks(_probability_before, 2**26, 256 * sentences * 2**sentences)
    return before_GSS - before_GSS.transpose(1, 2)


def _probability_before(pairs_GSS: Tensor, next_GTT: Tensor) -> Tensor:
    return exact_marginals(pairs_GSS, next_GTT)[0]
