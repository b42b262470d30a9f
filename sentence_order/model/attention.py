"""Attention within segments of a packed batch: the sentences of a batch, or its documents.

All layers work on the real tokens of a batch, packed one after the other, so that no linear layer ever computes
padding. Only attention needs to know which tokens belong together: it lays the tokens of each segment out in a row of
their own. The lower, sentence-local layers and the upper, joint ones differ in nothing but their segments.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

ATTENTION = "sentence_order_segments"
# On a CPU the fused kernel gains little from a second thread on short rows; `benchmarks/speed.md` has the figures.
MAX_PLAIN_TOKENS = 96


@dataclass(frozen=True)
class Segments:
    """How packed tokens group: token p is in slot `slot_P[p]` of an N x L grid, filled where `mask_NL` is."""

    slot_P: Tensor
    mask_NL: Tensor

    @classmethod
    def from_lengths(cls, lengths_N: Tensor) -> "Segments":
        """Segments of so many tokens each (at least one), in the order of the packed tokens."""
        longest = int(lengths_N.max())
        mask_NL = torch.arange(longest, device=lengths_N.device) < lengths_N[:, None]
        return cls(mask_NL.flatten().nonzero()[:, 0], mask_NL)

    def unpack(self, x_PX: Tensor) -> Tensor:
        """(P, ...) -> (N, L, ...), zeros where there is no token."""
        grid = x_PX.new_zeros((self.mask_NL.numel(), *x_PX.shape[1:])).index_copy(0, self.slot_P, x_PX)
        return grid.unflatten(0, self.mask_NL.shape)

    def pack(self, x_NLX: Tensor) -> Tensor:
        """(N, L, ...) -> (P, ...)."""
        return x_NLX.flatten(0, 1).index_select(0, self.slot_P)


class Layout:
    """Which tokens of a batch belong together, by the number of tokens of each sentence: `lengths_BS`, 0 at padding."""

    def __init__(self, lengths_BS: Tensor) -> None:
        self.lengths_BS, self.mask_BS = lengths_BS, lengths_BS > 0

    @cached_property
    def sentences(self) -> Segments:
        """The tokens of each sentence."""
        return Segments.from_lengths(self.lengths_BS[self.mask_BS])

    @cached_property
    def documents(self) -> Segments:
        """The tokens of each document."""
        return Segments.from_lengths(self.lengths_BS.sum(1))

    @cached_property
    def members(self) -> Segments:
        """The sentences of each document."""
        return Segments.from_lengths(self.mask_BS.sum(1))

    @cached_property
    def pairs(self) -> "Pairs":
        """Every two sentences of a document, read together."""
        return Pairs(self)


class Pairs:
    """A batch laid out anew: every two sentences of a document, once, the tokens of both one after the other."""

    def __init__(self, layout: Layout) -> None:
        other_BSS = pair_mask(layout.mask_BS)
        document_E, first_E, second_E = other_BSS.triu(1).nonzero().unbind(1)
        side_E2 = torch.stack([first_E, second_E], 1)
        sentences = layout.mask_BS.shape[1]
        sentence_Q = (document_E[:, None] * sentences + side_E2).flatten()
        length_X = layout.lengths_BS.flatten()
        length_Q = length_X[sentence_Q]

        # The token of the batch, for each token of all pairs: as far from the first one of its sentence as here.
        start_Q = (length_X.cumsum(0) - length_X)[sentence_Q]
        offset_K = (start_Q - (length_Q.cumsum(0) - length_Q)).repeat_interleave(length_Q)
        self.token_K = torch.arange(len(offset_K), device=offset_K.device) + offset_K

        self.segments = Segments.from_lengths(length_Q.view(-1, 2).sum(1))  # the tokens of each pair
        self.sides = Segments.from_lengths(length_Q)  # and of each side of it, first and second alternating
        # The sides, in a row for each of the B * S sentences: beside sentence j at [., j].
        self.views = Segments(sentence_Q * sentences + side_E2.flip(1).flatten(), other_BSS.flatten(0, 1))


def pair_mask(mask_BS: Tensor) -> Tensor:
    """True for every two different sentences of a document: (B, S, S)."""
    itself_SS = torch.eye(mask_BS.shape[1], dtype=torch.bool, device=mask_BS.device)
    return mask_BS[:, :, None] & mask_BS[:, None, :] & ~itself_SS


def segment_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Segments,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention of packed tokens, (1, A, P, V) each, within the segments given as mask.

    It has the signature of a transformers attention function and returns (1, P, A, V), as those do.
    """
    segments = attention_mask
    q_NALV, k_NALV, v_NALV = (segments.unpack(x[0].transpose(0, 1)).transpose(1, 2) for x in (query, key, value))
    mask_N11L = segments.mask_NL[:, None, None, :]
    plain = query.device.type == "cpu" and mask_N11L.shape[-1] <= MAX_PLAIN_TOKENS
    attend = _plain_attention if plain else nn.functional.scaled_dot_product_attention
    out_NALV = attend(q_NALV, k_NALV, v_NALV, mask_N11L, dropout, scale=scaling)
    return segments.pack(out_NALV.transpose(1, 2))[None], None


def _plain_attention(
    q_NALV: Tensor, k_NALV: Tensor, v_NALV: Tensor, mask_N11L: Tensor, dropout: float, *, scale: float | None
) -> Tensor:
    """`nn.functional.scaled_dot_product_attention` by plain products."""
    scores_NALL = (scale or q_NALV.shape[-1] ** -0.5) * q_NALV @ k_NALV.transpose(-1, -2)
    scores_NALL += torch.zeros_like(mask_N11L, dtype=scores_NALL.dtype).masked_fill(~mask_N11L, -torch.inf)
    return nn.functional.dropout(scores_NALL.softmax(-1), dropout) @ v_NALV


AttentionInterface.register(ATTENTION, segment_attention)
