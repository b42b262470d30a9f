"""The likelihood of an order among all orders of its document, by the scores of its pairs and neighbours.

The exponential of the objective that decoders maximise (see `decoding/__init__.py`), over the sum of those of all N!
orders, is a conditional random field over permutations. The sum over all orders takes the recursion of
`decoding/exact.py` with a log-sum-exp in place of its maximum; of few sentences, it lists all orders as that does.
"""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from sentence_order.decoding.orders import MAX_LISTED_SENTENCES, list_orders
from sentence_order.decoding.subsets import subset_tables

# Beyond this number of sentences the sum over all orders is too expensive; orders are then built sentence by sentence.
MAX_SUMMED_SENTENCES = 10


def order_log_prob(
    logits_BSS: Tensor | None,
    next_BTT: Tensor | None,
    order_BS: Tensor,
    mask_BS: Tensor,
    sizes: Sequence[int] | None = None,
) -> Tensor:
    """The log-probability of an order of each document: (B), in nats, differentiable.

    Up to `MAX_SUMMED_SENTENCES` sentences it is normalised over all orders. For longer documents it is the product of
    the probabilities of each sentence among those that remain, by its neighbour before and its pairs with the others:
    an approximation that ignores how the later choices are normalised. `logits_BSS` or `next_BTT` may be None.

    Documents of one size are computed together. Without `sizes`, the number of sentences of each, it is read from the
    mask, for which CUDA must be waited for.
    """
    some = next_BTT if logits_BSS is None else logits_BSS
    assert some is not None, "pairs, neighbours or both are required"
    documents, sentences = order_BS.shape
    if logits_BSS is None:
        logits_BSS = some.new_zeros(documents, sentences, sentences)
    if next_BTT is None:
        next_BTT = some.new_zeros(documents, 1 + sentences, 1 + sentences)

    size_B = mask_BS.sum(1)
    counts = sorted(Counter(size_B.tolist() if sizes is None else sizes).items())
    rows_by_size = size_B.argsort(stable=True).split([count for _, count in counts])
    log_prob_B = some.new_zeros(documents)
    for (size, _), rows_G in zip(counts, rows_by_size, strict=True):
        if size < 2:
            continue
        # Relabelled, so that the order in question is the identity.
        order_GS = order_BS[rows_G, :size]
        item_GT = torch.nn.functional.pad(order_GS + 1, (1, 0))
        pairs_SSG = logits_BSS[rows_G[:, None, None], order_GS[:, :, None], order_GS[:, None]].permute(1, 2, 0) / 2
        next_TTG = next_BTT[rows_G[:, None, None], item_GT[:, :, None], item_GT[:, None]].permute(1, 2, 0)
        if size <= MAX_SUMMED_SENTENCES:
            # What the identity earns: all pairs above the diagonal, and the neighbours beside it.
            objective_G = pairs_SSG.permute(2, 0, 1).triu(1).sum((1, 2))
            objective_G = objective_G + next_TTG.diagonal(1).sum(1) + next_TTG[size, 0]
            found_G = objective_G - log_partition(pairs_SSG, next_TTG)
        else:
            found_G = _step_by_step(pairs_SSG, next_TTG)
        log_prob_B = log_prob_B.index_add(0, rows_G, found_G.to(log_prob_B.dtype))
    return log_prob_B


def log_partition(pairs_SSG: Tensor, next_TTG: Tensor) -> Tensor:
    """The logarithm of the sum over all orders of the exponential of their objective: (G)."""
    sentences = len(pairs_SSG)
    if sentences <= MAX_LISTED_SENTENCES:
        orders = list_orders(sentences, pairs_SSG.device, pairs_SSG.dtype)
        objective_KG = orders.pairs_KX @ pairs_SSG.flatten(0, 1) + orders.next_KY @ next_TTG.flatten(0, 1)
        return objective_KG.logsumexp(0)
    membership_ZS, layers = subset_tables(sentences, pairs_SSG.device)
    links_XG = next_TTG[1:, 1:].flatten(0, 1)
    gains_XG = torch.einsum("rj,ijg->irg", membership_ZS.to(pairs_SSG.dtype), pairs_SSG).flatten(0, 1)
    last_S = torch.arange(sentences, device=pairs_SSG.device)
    sum_XG = pairs_SSG.new_full((2**sentences * sentences, pairs_SSG.shape[2]), -torch.inf)
    sum_XG = sum_XG.index_copy(0, (1 << last_S) * sentences + last_S, next_TTG[1:, 0])
    for layer in layers:
        ways_JXG = links_XG[layer.links] + sum_XG[layer.rests]
        sum_XG = sum_XG.index_copy(0, layer.states, ways_JXG.logsumexp(0) + gains_XG[layer.gains])
    return (sum_XG[-sentences:] + next_TTG[0, 1:]).logsumexp(0)


def exact_marginals(pairs_GSS: Tensor, next_GTT: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities over all orders that i comes before j (G, S, S), and that item j directly follows i (G, T, T).

    An order earns pairs[i, j] where i comes before j, and next[i, j] where j follows i: the gradient of the
    log-partition is the probability of that.
    """
    scores = [matrix.detach().permute(1, 2, 0).contiguous().requires_grad_() for matrix in (pairs_GSS, next_GTT)]
    with torch.enable_grad():
        total = log_partition(*scores).sum()
    before_SSG, next_TTG = torch.autograd.grad(total, scores)
    before_SSG.diagonal().zero_()  # where the sum adds zeros
    return before_SSG.permute(2, 0, 1), next_TTG.permute(2, 0, 1)


def _step_by_step(pairs_SSG: Tensor, next_TTG: Tensor) -> Tensor:
    sentences = len(pairs_SSG)
    # What sentence i gains by preceding those from the k-th on. A product, since CUDA has no deterministic cumsum.
    ahead_SSG = torch.einsum("ijg,jk->ikg", pairs_SSG, torch.ones_like(pairs_SSG[:, :, 0]).tril())
    total_G = pairs_SSG.new_zeros(pairs_SSG.shape[2])
    for k in range(sentences - 1):
        value_SG = ahead_SSG[k:, k] + next_TTG[k, 1 + k :]  # item k was placed last
        total_G = total_G + value_SG[0] - value_SG.logsumexp(0)
    return total_G
