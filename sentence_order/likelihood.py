"""How likely an order is, among all orders of its document, by the scores of its pairs and neighbours.

An order's objective is what decoders maximise: of every two sentences half the log-odds that they stand as ordered, and
of every two neighbours the log-probability that they are such. Its exponential, over the sum of those of all N! orders,
is a conditional random field over permutations. The sum over all orders takes the recursion of `decoding/exact.py` with
a log-sum-exp in place of its maximum.

Shape suffixes: B documents, S sentences (padded), T = 1 + S those and, first, the document's boundary, G documents of
one length, N sentences of each of them, M = 1 + N, X rows of a table. Documents stand last within the recursion.
"""

import torch
from torch import Tensor

from sentence_order.subsets import subset_tables

# Beyond so many sentences the sum over all orders costs too much; orders are then built sentence by sentence.
MAX_SUMMED_SENTENCES = 10


def order_log_prob(logits_BSS: Tensor | None, next_BTT: Tensor | None, order_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """The log-probability of an order of each document: (B), in nats, differentiable.

    Up to `MAX_SUMMED_SENTENCES` sentences it is normalised over all orders. For longer documents it is the product of
    the probabilities of each sentence among those that remain, by its neighbour before and its pairs with the others:
    what the same scores say where the later choices are not weighed in.

    Args:
        logits_BSS: log-odds of pairs, antisymmetric; None where a model does not tell.
        next_BTT: log-probabilities of neighbours, 0 being the boundary; None where a model does not tell.
        order_BS: `order[b, k]` is the index of the sentence that stands k-th; padding in its own places.
        mask_BS: True where there is a sentence.
    """
    some = next_BTT if logits_BSS is None else logits_BSS
    assert some is not None, "an order is judged by pairs, by neighbours or by both"
    documents, sentences = order_BS.shape
    if logits_BSS is None:
        logits_BSS = some.new_zeros(documents, sentences, sentences)
    if next_BTT is None:
        next_BTT = some.new_zeros(documents, 1 + sentences, 1 + sentences)
    size_B = mask_BS.sum(1)
    log_prob_B = some.new_zeros(documents)
    for size in sorted(set(size_B.tolist()) - {0, 1}):
        rows_G = (size_B == size).nonzero()[:, 0]
        # Relabelled, so that the order in question is the identity.
        order_GN = order_BS[rows_G, :size]
        item_GM = torch.nn.functional.pad(order_GN + 1, (1, 0))
        pairs_NNG = logits_BSS[rows_G[:, None, None], order_GN[:, :, None], order_GN[:, None]].permute(1, 2, 0) / 2
        next_MMG = next_BTT[rows_G[:, None, None], item_GM[:, :, None], item_GM[:, None]].permute(1, 2, 0)
        if size <= MAX_SUMMED_SENTENCES:
            found_G = _objective_of_identity(pairs_NNG, next_MMG) - log_partition(pairs_NNG, next_MMG)
        else:
            found_G = _step_by_step(pairs_NNG, next_MMG)
        log_prob_B = log_prob_B.index_add(0, rows_G, found_G.to(log_prob_B.dtype))
    return log_prob_B


def log_partition(pairs_NNG: Tensor, next_MMG: Tensor) -> Tensor:
    """The logarithm of the sum over all orders of the exponential of their objective: (G)."""
    sentences = len(pairs_NNG)
    membership_RN, layers = subset_tables(sentences, pairs_NNG.device)
    links_XG = next_MMG[1:, 1:].flatten(0, 1)
    gains_XG = torch.einsum("rj,ijg->irg", membership_RN.to(pairs_NNG.dtype), pairs_NNG).flatten(0, 1)
    last_N = torch.arange(sentences, device=pairs_NNG.device)
    sum_XG = pairs_NNG.new_full((2**sentences * sentences, pairs_NNG.shape[2]), -torch.inf)
    sum_XG = sum_XG.index_copy(0, (1 << last_N) * sentences + last_N, next_MMG[1:, 0])
    for layer in layers:
        ways_JXG = links_XG[layer.links] + sum_XG[layer.rests]
        sum_XG = sum_XG.index_copy(0, layer.states, ways_JXG.logsumexp(0) + gains_XG[layer.gains])
    return (sum_XG[-sentences:] + next_MMG[0, 1:]).logsumexp(0)


def _objective_of_identity(pairs_NNG: Tensor, next_MMG: Tensor) -> Tensor:
    first_P, second_P = torch.triu_indices(len(pairs_NNG), len(pairs_NNG), 1)
    item_M = torch.arange(len(next_MMG))
    return pairs_NNG[first_P, second_P].sum(0) + next_MMG[item_M, item_M.roll(-1)].sum(0)


def _step_by_step(pairs_NNG: Tensor, next_MMG: Tensor) -> Tensor:
    sentences = len(pairs_NNG)
    # What sentence i gains by preceding those from the k-th on. A product, since CUDA has no deterministic cumsum.
    ahead_NNG = torch.einsum("ijg,jk->ikg", pairs_NNG, torch.ones_like(pairs_NNG[:, :, 0]).tril())
    total_G = pairs_NNG.new_zeros(pairs_NNG.shape[2])
    for k in range(sentences - 1):
        value_NG = ahead_NNG[k:, k] + next_MMG[k, 1 + k :]  # item k was placed last
        total_G = total_G + value_NG[0] - value_NG.logsumexp(0)
    return total_G
