"""Likelihood of the whole order."""

from torch import Tensor

from sentence_order.decoding.likelihood import order_log_prob
from sentence_order.losses.pairs import gold_order


def order(logits_BSS: Tensor | None, next_BTT: Tensor | None, positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """Negative log-likelihood of the true order among all orders of its document, by pairs and neighbours together.

    The objective of the exact decoder is normalised over all N! orders: a conditional random field over permutations.
    Beyond 10 sentences the order is built from its first sentence on (see `order_log_prob`).

    Args:
        logits_BSS: `logits[b, i, j]` is the log-odds that sentence i comes before j; or None.
        next_BTT: `next[b, i, j]` is the log-probability that item j follows item i, item 0 being the boundary; or None.
        positions_BS: gold position of each sentence.
        mask_BS: True for sentences, False for padding.

    Returns:
        The sum over all documents, in nats.

    Example:
        >>> logits = torch.tensor([[[0.0, 2.0], [-2.0, 0.0]]])
        >>> total = order(logits, None, torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))
        >>> round(total.item(), 4)
        0.1269
    """
    order_BS = gold_order(positions_BS, mask_BS)
    return -order_log_prob(logits_BSS, next_BTT, order_BS, mask_BS).sum()
