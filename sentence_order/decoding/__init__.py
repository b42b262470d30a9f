"""From pairwise scores to an order: the decoders, and the one function that calls them.

    order_BS, objective_B = decode("exact", logits_BSS, mask_BS, tie_break_BS)

What every decoder needs is done here, once: checking, cleaning, grouping by length, and naming the sentences by
their content rather than by where they happened to be given. A decoder therefore sees clean float64 logits of
documents of one length, takes sums that are exact, and breaks a tie in favour of the lower index; relabelling or
reshuffling the sentences then cannot change the result, not even on ties.

Shape suffixes: B documents, S sentences with padding, G documents of one group, N sentences of each of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from sentence_order.decoding.beam import beam_order
from sentence_order.decoding.borda import borda_order
from sentence_order.decoding.exact import MAX_EXACT_SENTENCES, exact_order

__all__ = ["DECODERS", "MAX_EXACT_SENTENCES", "Decoder", "decode"]

# Every logit becomes a multiple of 2**-16 of at most 2**14. A float64 holds 53 bits, so sums over the 2**23 pairs of
# up to 4,096 sentences are exact, and do not depend on the order in which they are taken. 2**-16 is finer than
# float32 resolves above 256 and than bfloat16 resolves above 0.004; no model is as sure as exp(2**14).
_RESOLUTION = 2.0**-16
_MAX_LOGIT = 2.0**14


class Decoder(Protocol):
    """Maps clean antisymmetric `logits_GNN` to `order_GN`; every decoder takes every option, to be swapped freely."""

    def __call__(self, logits_GNN: Tensor, *, beam_width: int) -> Tensor: ...


DECODERS: dict[str, Decoder] = {
    "exact": exact_order,
    "beam": beam_order,
    "borda": borda_order,
}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Decoders do thousands of small steps: more threads gain nothing, and on a busy machine wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@_one_thread()
def decode(
    name: str, logits_BSS: Tensor, mask_BS: Tensor, tie_break_BS: Tensor, *, beam_width: int = 64
) -> tuple[Tensor, Tensor]:
    """Order the sentences of each document so that likely pairs stand in their likely order.

    Runs on the CPU, in float64 and one thread, wherever its inputs lie.

    Args:
        name: a key of `DECODERS`.
        logits_BSS: `logits[b, i, j]` is the log-odds that sentence i comes before sentence j. Infinities count as
            2**14, the part that is not antisymmetric is dropped, and values are rounded to multiples of 2**-16.
        mask_BS: bool, True for sentences, False for the padding after them.
        tie_break_BS: integer ranks that depend on what the sentences say and not on how they were given, equal only
            for identical sentences. Of equally good orders, the one that is first in these ranks is preferred.
        beam_width: partial orders that a beam search keeps; "exact" uses it above `MAX_EXACT_SENTENCES` sentences,
            "borda" not at all.

    Returns:
        `order_BS`, long: `order[b, k]` is the index of the sentence that stands k-th. A permutation of range(S) for
        any input, in which padding stays in its own places.
        `objective_B`, float64, in nats: the sum of the logits of all pairs as ordered.

    Raises:
        ValueError: the name is unknown, the beam holds nothing, or a logit between two sentences is NaN.
    """
    if name not in DECODERS:
        raise ValueError(f"unknown decoder {name!r}: choose one of {', '.join(DECODERS)}")
    if beam_width < 1:
        raise ValueError(f"beam_width is {beam_width}, and must be at least 1")
    documents, sentences = mask_BS.shape
    assert logits_BSS.shape == (documents, sentences, sentences)
    assert tie_break_BS.shape == mask_BS.shape
    mask_BS = mask_BS.detach().cpu().bool()
    assert not (mask_BS[:, 1:] & ~mask_BS[:, :-1]).any(), "padding must follow the sentences"

    clean_BSS = _clean(logits_BSS.detach().cpu().double(), mask_BS)
    canonical_BS = _canonical_order(tie_break_BS.detach().cpu(), mask_BS)
    length_B = mask_BS.sum(1)
    order_BS = torch.arange(sentences).repeat(documents, 1)
    for length in sorted(set(length_B.tolist()) - {0}):
        rows_G = (length_B == length).nonzero().squeeze(1)
        canonical_GN = canonical_BS[rows_G, :length]
        canonical_order_GN = DECODERS[name](_reorder(clean_BSS[rows_G], canonical_GN), beam_width=beam_width)
        order_BS[rows_G, :length] = canonical_GN.gather(1, canonical_order_GN)
    return order_BS, _reorder(clean_BSS, order_BS).triu(1).sum((1, 2))


def _clean(logits_BSS: Tensor, mask_BS: Tensor) -> Tensor:
    """Finite, exactly antisymmetric, exactly summable, zero on padding; a NaN is never hidden."""
    valid_BSS = mask_BS[:, :, None] & mask_BS[:, None, :]
    logits_BSS = logits_BSS.masked_fill(~valid_BSS, 0.0)
    broken_B = logits_BSS.isnan().any(2).any(1)
    if broken_B.any():
        raise ValueError(f"NaN among the logits of document {int(broken_B.nonzero()[0])} of {len(broken_B)}")
    # Clamped first: half the difference of two infinities would be NaN.
    logits_BSS = logits_BSS.clamp(-_MAX_LOGIT, _MAX_LOGIT)
    logits_BSS = (logits_BSS - logits_BSS.transpose(1, 2)) / 2
    # Rounding is to even, the same on both sides of zero, and so keeps antisymmetry.
    return (logits_BSS / _RESOLUTION).round() * _RESOLUTION


def _canonical_order(tie_break_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """The sentences by ascending rank, then the padding in its own places (the sort is stable)."""
    last = torch.iinfo(torch.long).max
    return tie_break_BS.long().masked_fill(~mask_BS, last).argsort(dim=1, stable=True)


def _reorder(logits_BSS: Tensor, order_BN: Tensor) -> Tensor:
    """`logits_BNN` between the sentences that stand k-th and l-th."""
    row_B11 = torch.arange(len(order_BN))[:, None, None]
    return logits_BSS[row_B11, order_BN[:, :, None], order_BN[:, None, :]]
