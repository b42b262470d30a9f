"""The order of the greatest expected Kendall tau.

The likeliest order is the best bet on the whole order being right. Where many orders are about as likely, another one
may be nearer to all of them: tau counts pairs, so the best bet on tau is the order that agrees most with the
probabilities of pairs, taken over all orders of the document (`likelihood.py`),

    expected tau = mean over pairs of  P(i before j) - P(j before i),  i being placed before j

and the exact decoder finds it with these in the place of scores.

References: Kumar and Byrne (2004), "Minimum Bayes-risk decoding for statistical machine translation", for deciding by
the expected metric; Kemeny (1959), "Mathematics without numbers", for the order that agrees most with many.

Shape suffixes: G documents of one length, N sentences of each of them, M = 1 + N those and, first, the boundary.
"""

import torch
from torch import Tensor

from sentence_order.decoding.exact import MAX_EXACT_SENTENCES, exact_order
from sentence_order.decoding.resolution import quantise
from sentence_order.likelihood import log_partition

_MEMORY_BYTES = 2**26


def expected_tau_order(pairs_GNN: Tensor, next_GMM: Tensor, *, beam_width: int = 64) -> Tensor:
    """The order of the greatest expected tau; of several, the lexicographically first.

    Beyond `MAX_EXACT_SENTENCES` sentences, where the sum over all orders takes too long, that of `exact_order`.

    Args:
        pairs_GNN: half the log-odds that i comes before j, antisymmetric.
        next_GMM: the log-probability that item j directly follows i.
        beam_width: of the beam search for longer documents.

    Returns:
        `order_GN`, long.
    """
    if not 1 < pairs_GNN.shape[1] <= MAX_EXACT_SENTENCES:
        return exact_order(pairs_GNN, next_GMM, beam_width=beam_width)
    return exact_order(quantise(pair_advantages(pairs_GNN, next_GMM)), torch.zeros_like(next_GMM))


def pair_advantages(pairs_GNN: Tensor, next_GMM: Tensor) -> Tensor:
    """How much likelier i before j is than j before i, over all orders: (G, N, N), from -1 to 1, antisymmetric."""
    chunk = max(1, _MEMORY_BYTES // _bytes_per_document(pairs_GNN.shape[1]))
    chunks = zip(torch.split(pairs_GNN, chunk), torch.split(next_GMM, chunk), strict=True)
    before_GNN = torch.cat([_probability_before(*scores) for scores in chunks])
    return before_GNN - before_GNN.transpose(1, 2)


def _bytes_per_document(sentences: int) -> int:
    return 256 * sentences * 2**sentences  # an upper bound: what the sum keeps for its gradient


def _probability_before(pairs_GNN: Tensor, next_GMM: Tensor) -> Tensor:
    # An order earns pairs[i, j] where i comes before j: the gradient of the log-partition is the probability of that.
    pairs_NNG = pairs_GNN.detach().permute(1, 2, 0).contiguous().requires_grad_()
    with torch.enable_grad():
        total = log_partition(pairs_NNG, next_GMM.detach().permute(1, 2, 0)).sum()
    (before_NNG,) = torch.autograd.grad(total, pairs_NNG)
    return before_NNG.permute(2, 0, 1)
