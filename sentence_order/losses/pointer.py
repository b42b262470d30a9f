"""Likelihood of the true order under a pointer, sentence by sentence."""

from torch import Tensor

from sentence_order.decoding.scores import Pointer, step_log_probs
from sentence_order.losses.pairs import gold_order, sum_where


def pointer(pointer: Pointer, positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """The negative log-likelihood of each sentence of the true order, given those before it, in nats.

    References: Cui et al. 2018, Deep attentive sentence ordering network; Logeswaran et al. 2018, Sentence ordering and
    coherence modeling using recurrent neural networks.
    """
    order_BS = gold_order(positions_BS, mask_BS)
    return -sum_where(mask_BS, step_log_probs(pointer, order_BS))
