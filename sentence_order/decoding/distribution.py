"""The distribution over the orders of a document: the probabilities of orders, of pairs and of neighbours.

Up to `MAX_EXACT_SENTENCES` sentences all are exact, from the sum over all orders (`decoding/likelihood.py`). The orders
of longer documents are built sentence by sentence, which is an approximation of that sum, and their pairs and
neighbours are counted in orders that are drawn from it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from sentence_order.decoding.exact import MAX_EXACT_SENTENCES
from sentence_order.decoding.likelihood import log_partition, step_by_step
from sentence_order.decoding.pointer import pointer_log_prob
from sentence_order.decoding.scores import Scores

NUM_SAMPLES = 1000
# Of documents at a time, so that what the sum over all orders keeps for its gradient fits into memory.
_CHUNK_BYTES = 2**26


class Marginals(NamedTuple):
    """Probabilities over all orders of each document, zero on diagonals and at padding."""

    before_BSS: Tensor  # that sentence i comes before sentence j
    next_BTT: Tensor  # that item j directly follows item i; item 0 is the document's boundary, 1 + i is sentence i


def order_log_probs(scores: Scores, order_BKS: Tensor, mask_BS: Tensor, text_id_BS: Tensor) -> Tensor:
    """The log-probabilities of K orders of each document: (B, K), float64, in nats; of a pointer, by the pointer.

    Orders that differ only by swapping identical sentences (of one `text_id`) count as one.
    """
    if scores.pointer is not None:
        columns = [pointer_log_prob(scores.pointer, order_BS, mask_BS) for order_BS in order_BKS.unbind(1)]
        log_prob_BK = torch.stack(columns, dim=1).double()
    else:
        log_prob_BK = torch.zeros(order_BKS.shape[:2], dtype=torch.float64)
        for rows_G, pairs_GSS, next_GTT in _groups(scores, mask_BS):
            order_GKS = order_BKS[rows_G, :, : pairs_GSS.shape[1]]
            log_prob_BK[rows_G] = _log_probs(pairs_GSS, next_GTT, order_GKS)

    # Identical sentences have identical scores, so each of those orders is as likely.
    same_BSS = (text_id_BS[:, :, None] == text_id_BS[:, None, :]) & mask_BS[:, :, None] & mask_BS[:, None, :]
    choices_BS = same_BSS.tril().sum(2).clamp(min=1)
    return log_prob_BK + choices_BS.double().log().sum(1, keepdim=True)


def _log_probs(pairs_GSS: Tensor, next_GTT: Tensor, order_GKS: Tensor) -> Tensor:
    """The log-probabilities of orders of documents of one length: (G, K)."""
    document_G111 = torch.arange(len(order_GKS))[:, None, None, None]
    item_GKT = pad(order_GKS + 1, (1, 0))
    # Relabelled, so that each order is the identity.
    pairs_GKSS = pairs_GSS[document_G111, order_GKS[..., None], order_GKS[:, :, None]]
    next_GKTT = next_GTT[document_G111, item_GKT[..., None], item_GKT[:, :, None]]
    if order_GKS.shape[2] > MAX_EXACT_SENTENCES:
        by_order = (matrix.flatten(0, 1).permute(1, 2, 0) for matrix in (pairs_GKSS, next_GKTT))
        return step_by_step(*by_order).view(order_GKS.shape[:2])
    objective_GK = pairs_GKSS.triu(1).sum((2, 3)) + next_GKTT.diagonal(1, 2, 3).sum(2) + next_GKTT[:, :, -1, 0]
    return objective_GK - log_partition(pairs_GSS.permute(1, 2, 0), next_GTT.permute(1, 2, 0))[:, None]


def order_marginals(scores: Scores, mask_BS: Tensor, tie_break_BS: Tensor) -> Marginals:
    """The probabilities of all pairs and neighbours, in float64.

    Those of long documents are shares of `NUM_SAMPLES` orders, the same ones whatever the input order is, by the ranks
    `tie_break_BS` of the sentences' content (see `decoding.decode`).
    """
    documents, sentences = mask_BS.shape
    before_BSS = torch.zeros(documents, sentences, sentences, dtype=torch.float64)
    next_BTT = torch.zeros(documents, 1 + sentences, 1 + sentences, dtype=torch.float64)
    for rows_G, pairs_GSS, next_GTT in _groups(scores, mask_BS):
        size = pairs_GSS.shape[1]
        if size <= MAX_EXACT_SENTENCES:
            found = exact_marginals(pairs_GSS, next_GTT)
        else:
            found = _sampled_marginals(pairs_GSS, next_GTT, tie_break_BS[rows_G, :size])
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


def _sampled_marginals(pairs_GSS: Tensor, next_GTT: Tensor, tie_break_GS: Tensor) -> Marginals:
    order_GKS = _sample_orders(pairs_GSS, next_GTT, tie_break_GS)
    position_GKS = order_GKS.argsort(2)
    # Half an order more each way: what was never drawn is not impossible.
    num_before = [(place_GK[:, :, None] < position_GKS).sum(1) + 0.5 for place_GK in position_GKS.unbind(2)]
    before_GSS = torch.stack(num_before, dim=1).double() / (NUM_SAMPLES + 1)
    before_GSS.diagonal(dim1=1, dim2=2).zero_()

    path_GKX = pad(order_GKS + 1, (1, 1))  # from the boundary to the boundary again
    link_GX = (path_GKX[:, :, :-1] * next_GTT.shape[1] + path_GKX[:, :, 1:]).flatten(1)
    next_GX = torch.zeros_like(next_GTT).flatten(1)
    next_GX.scatter_add_(1, link_GX, torch.ones_like(link_GX, dtype=next_GX.dtype))
    return Marginals(before_GSS, next_GX.view_as(next_GTT) / NUM_SAMPLES)


def _sample_orders(pairs_GSS: Tensor, next_GTT: Tensor, tie_break_GS: Tensor) -> Tensor:
    """Orders that are drawn sentence by sentence, with the probabilities of `likelihood.step_by_step`: (G, K, S)."""
    documents, sentences, _ = pairs_GSS.shape
    generator = torch.Generator().manual_seed(0)
    rank_G1S = tie_break_GS.argsort(dim=1, stable=True).argsort(1)[:, None]
    row_G1 = torch.arange(documents)[:, None]

    placed_GKS = torch.zeros(documents, NUM_SAMPLES, sentences, dtype=torch.bool)
    ahead_GKS = pairs_GSS.sum(2)[:, None].expand_as(placed_GKS)  # what each gains by preceding those that remain
    item_GK = torch.zeros(documents, NUM_SAMPLES, dtype=torch.long)  # placed last: at first, the boundary
    order = []
    for _ in range(sentences):
        # The greatest of values with Gumbel noise is a draw by their softmax.
        noise_KS = -torch.empty(NUM_SAMPLES, sentences, dtype=torch.float64).exponential_(generator=generator).log()
        noise_GKS = noise_KS.expand_as(ahead_GKS).gather(2, rank_G1S.expand_as(ahead_GKS))
        value_GKS = ahead_GKS + next_GTT[row_G1, item_GK, 1:] + noise_GKS
        drawn_GK = value_GKS.masked_fill_(placed_GKS, -torch.inf).argmax(2)

        order.append(drawn_GK)
        placed_GKS.scatter_(2, drawn_GK[:, :, None], True)
        ahead_GKS = ahead_GKS - pairs_GSS.transpose(1, 2)[row_G1, drawn_GK]
        item_GK = 1 + drawn_GK
    return torch.stack(order, dim=2)
