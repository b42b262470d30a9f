"""The distribution over the orders of a document: the probabilities of orders, of pairs and of neighbours.

Up to `MAX_EXACT_SENTENCES` sentences all are exact, from the sum over all orders (`decoding/likelihood.py`). For longer
documents, that sum is estimated by importance sampling: orders are drawn sentence by sentence, and each weighs as much
as it is likelier by the model than by the draw. Pairs and neighbours are then counted in these orders.
"""

from collections.abc import Iterator
from math import log
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from sentence_order.decoding.exact import MAX_EXACT_SENTENCES
from sentence_order.decoding.likelihood import log_partition
from sentence_order.decoding.pointer import pointer_log_prob
from sentence_order.decoding.scores import Scores, gather_matrix

# Orders that are drawn for a document: fewer of very long ones, whose every order takes longer.
MAX_SAMPLES, MIN_SAMPLES, SAMPLED_PAIRS = 500, 16, 2**22
# Of documents at a time, so that what the sum over all orders keeps for its gradient fits into memory.
_CHUNK_BYTES = 2**26


class Marginals(NamedTuple):
    """Probabilities over all orders of each document, zero on diagonals and at padding."""

    before_BSS: Tensor  # that sentence i comes before sentence j
    next_BTT: Tensor  # that item j directly follows item i; item 0 is the document's boundary, 1 + i is sentence i


def order_log_probs(scores: Scores, order_BKS: Tensor, mask_BS: Tensor, text_rank_BS: Tensor) -> Tensor:
    """The log-probabilities of K different orders of each document: (B, K), float64, in nats.

    Orders that differ only by swapping identical sentences (of one `text_rank`) count as one. A row of -1 is no order
    and has the probability 0.
    """
    is_order_BK = (order_BKS >= 0).all(2)
    order_BKS = order_BKS.clamp(min=0)
    if scores.pointer is not None:
        columns = [pointer_log_prob(scores.pointer, order_BS, mask_BS) for order_BS in order_BKS.unbind(1)]
        log_prob_BK = torch.stack(columns, dim=1).double()
    else:
        log_prob_BK = torch.zeros(order_BKS.shape[:2], dtype=torch.float64)
        for rows_G, pairs_GSS, next_GTT in _groups(scores, mask_BS):
            size = pairs_GSS.shape[1]
            objective_GK = _objectives(pairs_GSS, next_GTT, order_BKS[rows_G, :, :size])
            objective_GK = objective_GK.masked_fill_(~is_order_BK[rows_G], -torch.inf)
            if size <= MAX_EXACT_SENTENCES:
                total_G = log_partition(pairs_GSS.permute(1, 2, 0), next_GTT.permute(1, 2, 0))
            else:
                log_weight_GK = _draw_orders(pairs_GSS, next_GTT, text_rank_BS[rows_G, :size]).log_weight_GK
                estimate_G = log_weight_GK.logsumexp(1) - log(log_weight_GK.shape[1])
                total_G = torch.maximum(estimate_G, objective_GK.logsumexp(1))  # no less than what is known
            log_prob_BK[rows_G] = objective_GK - total_G[:, None]

    # Identical sentences have identical scores, so each of those orders is as likely.
    same_BSS = (text_rank_BS[:, :, None] == text_rank_BS[:, None, :]) & mask_BS[:, :, None] & mask_BS[:, None, :]
    choices_BS = same_BSS.tril().sum(2).clamp(min=1)
    log_prob_BK = log_prob_BK + choices_BS.double().log().sum(1, keepdim=True)
    return log_prob_BK.masked_fill(~is_order_BK, -torch.inf).clamp(max=0)


def _objectives(pairs_GSS: Tensor, next_GTT: Tensor, order_GKS: Tensor) -> Tensor:
    """What orders of documents of one length earn: (G, K)."""
    document_G11 = torch.arange(len(order_GKS))[:, None, None]
    path_GKX = pad(order_GKS + 1, (1, 1))  # from the boundary to the boundary again
    pairs_GKSS = pairs_GSS[document_G11[..., None], order_GKS[..., None], order_GKS[:, :, None]]
    links_GKT = next_GTT[document_G11, path_GKX[:, :, :-1], path_GKX[:, :, 1:]]
    return pairs_GKSS.triu(1).sum((2, 3)) + links_GKT.sum(2)


def order_marginals(scores: Scores, mask_BS: Tensor, text_rank_BS: Tensor) -> Marginals:
    """The probabilities of all pairs and neighbours, in float64.

    Those of long documents are shares of orders that are the same ones whatever the input order is, by the ranks
    `text_rank_BS` of the sentences' content (see `decoding.decode`).
    """
    documents, sentences = mask_BS.shape
    before_BSS = torch.zeros(documents, sentences, sentences, dtype=torch.float64)
    next_BTT = torch.zeros(documents, 1 + sentences, 1 + sentences, dtype=torch.float64)
    for rows_G, pairs_GSS, next_GTT in _groups(scores, mask_BS):
        size = pairs_GSS.shape[1]
        if size <= MAX_EXACT_SENTENCES:
            found = exact_marginals(pairs_GSS, next_GTT)
        else:
            found = _sampled_marginals(pairs_GSS, next_GTT, text_rank_BS[rows_G, :size])
        before_BSS[rows_G, :size, :size] = found.before_BSS
        next_BTT[rows_G, : 1 + size, : 1 + size] = found.next_BTT
    return Marginals(before_BSS, next_BTT)


def exact_marginals(pairs_GSS: Tensor, next_GTT: Tensor) -> Marginals:
    """The same of documents of one length, from half the log-odds of pairs and the log-probabilities of neighbours.

    An order earns pairs[i, j] where i comes before j, and next[i, j] where j follows i: the gradient of the
    log-partition is the probability of that.
    """
    scores = [matrix.detach().permute(1, 2, 0).contiguous().requires_grad_() for matrix in (pairs_GSS, next_GTT)]
    with torch.enable_grad():
        total = log_partition(*scores).sum()
    before_SSG, next_TTG = torch.autograd.grad(total, scores)
    before_SSG.diagonal().zero_()  # where the sum adds zeros
    return Marginals(before_SSG.permute(2, 0, 1), next_TTG.permute(2, 0, 1))


def _groups(scores: Scores, mask_BS: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Rows of documents of one length, of at least two sentences, with half the log-odds of their pairs and the
    log-probabilities of their neighbours in float64; zeros where a model has none."""
    documents, sentences = mask_BS.shape
    pairs_BSS, next_BTT = scores.logits, scores.next_log_probs
    pairs_BSS = torch.zeros(documents, sentences, sentences) if pairs_BSS is None else pairs_BSS.cpu()
    next_BTT = torch.zeros(documents, 1 + sentences, 1 + sentences) if next_BTT is None else next_BTT.cpu()
    size_B = mask_BS.sum(1)
    for size in sorted(set(size_B.tolist()) - {0, 1}):
        summed = min(size, MAX_EXACT_SENTENCES)
        chunk = max(1, _CHUNK_BYTES // (256 * summed * 2**summed))
        for rows_G in (size_B == size).nonzero()[:, 0].split(chunk):
            pairs_GSS = pairs_BSS[rows_G, :size, :size].double() / 2
            yield rows_G, pairs_GSS, next_BTT[rows_G, : 1 + size, : 1 + size].double()


def _sampled_marginals(pairs_GSS: Tensor, next_GTT: Tensor, text_rank_GS: Tensor) -> Marginals:
    order_GKS, log_weight_GK = _draw_orders(pairs_GSS, next_GTT, text_rank_GS)
    weight_GK = log_weight_GK.softmax(1)
    position_GKS = order_GKS.argsort(2)
    before = [
        torch.einsum("gk,gks->gs", weight_GK, (place_GK[:, :, None] < position_GKS).double())
        for place_GK in position_GKS.unbind(2)
    ]
    # Half an order more each way: what was never drawn is not impossible.
    samples = order_GKS.shape[1]
    before_GSS = (torch.stack(before, dim=1) * samples + 0.5) / (samples + 1)
    before_GSS.diagonal(dim1=1, dim2=2).zero_()

    path_GKX = pad(order_GKS + 1, (1, 1))
    link_GKT = path_GKX[:, :, :-1] * next_GTT.shape[1] + path_GKX[:, :, 1:]
    next_GX = torch.zeros_like(next_GTT).flatten(1)
    next_GX.scatter_add_(1, link_GKT.flatten(1), weight_GK[:, :, None].expand_as(link_GKT).flatten(1))
    return Marginals(before_GSS, next_GX.view_as(next_GTT))


class Draws(NamedTuple):
    """K orders of each document, and the logarithms of their weights, whose mean estimates the sum over all orders."""

    order_GKS: Tensor
    log_weight_GK: Tensor


def _draw_orders(pairs_GSS: Tensor, next_GTT: Tensor, text_rank_GS: Tensor) -> Draws:
    """Draws each next sentence by its neighbour before and what it costs in pairs to precede those that remain.

    As in a beam search, costs tell more than gains of what an order can still reach: by gains, a few of the orders have
    most of the weight. The weight of an order is the exponential of its objective over the probability that it is
    drawn. The same orders are drawn whatever the input order is: sentences are numbered by the ranks of their texts.
    """
    documents, sentences, _ = pairs_GSS.shape
    index_GS = text_rank_GS.argsort(dim=1, stable=True)
    item_GT = pad(index_GS + 1, (1, 0))
    pairs_GSS = gather_matrix(pairs_GSS, index_GS, index_GS).float()
    next_GTT = gather_matrix(next_GTT, item_GT, item_GT).float()
    samples = max(MIN_SAMPLES, min(MAX_SAMPLES, SAMPLED_PAIRS // sentences**2))
    generator = torch.Generator().manual_seed(0)
    cost_GSS = 2 * pairs_GSS.clamp(max=0)
    # Rows of all documents one after the other, of which `index_select` is the fastest way to take some.
    cost_XS, next_XS = cost_GSS.transpose(1, 2).flatten(0, 1), next_GTT[:, :, 1:].flatten(0, 1)
    document_G1 = torch.arange(documents)[:, None]

    settled_GKS = cost_GSS.sum(2)[:, None].repeat(1, samples, 1)  # what each costs that precedes those that remain
    item_GK = torch.zeros(documents, samples, dtype=torch.long)  # placed last: at first, the boundary
    # An order gains in its pairs what the best direction of each would gain, less its costs.
    log_weight_GK = (pairs_GSS.abs().sum((1, 2)) / 2)[:, None].repeat(1, samples)
    order = []
    for _ in range(sentences):
        rows_X = (document_G1 * (1 + sentences) + item_GK).flatten()
        value_GKS = settled_GKS + next_XS.index_select(0, rows_X).view_as(settled_GKS)
        log_weight_GK += value_GKS.logsumexp(2)
        # The greatest value with Gumbel noise is a draw by the exponentials of the values.
        noise_KS = torch.empty(samples, sentences).exponential_(generator=generator).log_()
        drawn_GK = value_GKS.sub_(noise_KS).argmax(2)

        order.append(drawn_GK)
        rows_X = (document_G1 * sentences + drawn_GK).flatten()
        settled_GKS -= cost_XS.index_select(0, rows_X).view_as(settled_GKS)
        settled_GKS.scatter_(2, drawn_GK[:, :, None], -torch.inf)
        item_GK = 1 + drawn_GK
    log_weight_GK += next_GTT[document_G1, item_GK, 0]
    order_GKS = index_GS[:, None].expand_as(settled_GKS).gather(2, torch.stack(order, dim=2))
    return Draws(order_GKS, log_weight_GK.double())
