"""Likelihood of the whole order."""

from collections.abc import Sequence

from torch import Tensor

from sentence_order.decoding.likelihood import order_log_prob
from sentence_order.losses.pairs import gold_order


def order(
    logits_BSS: Tensor | None,
    next_BTT: Tensor | None,
    positions_BS: Tensor,
    mask_BS: Tensor,
    *,
    sizes: Sequence[int] | None = None,
) -> Tensor:
    """The negative log-likelihood of the true order among all orders of its document, in nats.

    The objective of the exact decoder, by pairs and neighbours (either may be None), is normalised over all N! orders:
    a conditional random field over permutations. For longer documents, and `sizes`, see `order_log_prob`.

    >>> logits = torch.tensor([[[0.0, 2.0], [-2.0, 0.0]]])
    >>> order(logits, None, torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))
    tensor(0.1269)
    """
    order_BS = gold_order(positions_BS, mask_BS)
    return -order_log_prob(logits_BSS, next_BTT, order_BS, mask_BS, sizes).sum()
