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
        rows, longest = self.mask_NL.shape
        grid = x_PX.new_zeros((rows * longest, *x_PX.shape[1:])).index_copy(0, self.slot_P, x_PX)
        return grid.view(rows, longest, *x_PX.shape[1:])

    def pack(self, x_NLX: Tensor) -> Tensor:
        """(N, L, ...) -> (P, ...)."""
        return x_NLX.flatten(0, 1).index_select(0, self.slot_P)


@dataclass(frozen=True)
class Layout:
    """Which tokens of a batch belong together, by the number of tokens of each sentence: `lengths_BS`, 0 at padding."""

    lengths_BS: Tensor

    @cached_property
    def sentences(self) -> Segments:
        """The tokens of each sentence."""
        return Segments.from_lengths(self.lengths_BS[self.lengths_BS > 0])

    @cached_property
    def documents(self) -> Segments:
        """The tokens of each document."""
        return Segments.from_lengths(self.lengths_BS.sum(1))

    @cached_property
    def members(self) -> Segments:
        """The sentences of each document."""
        return Segments.from_lengths((self.lengths_BS > 0).sum(1))

    @cached_property
    def pairs(self) -> "Pairs":
        """Every two sentences of a document, read together."""
        return Pairs.of(self.lengths_BS)


@dataclass(frozen=True)
class Pairs:
    """A batch laid out anew: every unordered pair of sentences of a document, the tokens of both one after the other.

    Attributes:
        token_K: the packed token of the batch, for each packed token of all pairs.
        segments: the tokens of each pair.
        sides: the tokens of each side of each pair, first and second alternating.
        cell_Q: the place of each side in a B * S * S grid: sentence i beside sentence j at [b, i, j].
    """

    token_K: Tensor
    segments: Segments
    sides: Segments
    cell_Q: Tensor

    @classmethod
    def of(cls, lengths_BS: Tensor) -> "Pairs":
        sentences = lengths_BS.shape[1]
        length_X = lengths_BS.flatten()
        start_X = length_X.cumsum(0) - length_X
        real_BS = lengths_BS > 0
        pair_BSS = (real_BS[:, :, None] & real_BS[:, None, :]).triu(1)
        document_E, first_E, second_E = pair_BSS.nonzero().unbind(1)
        sentence_Q = (document_E[:, None] * sentences + torch.stack([first_E, second_E], 1)).flatten()
        length_Q = length_X[sentence_Q]
        offset_Q = start_X[sentence_Q] - (length_Q.cumsum(0) - length_Q)
        total = int(length_Q.sum())
        token_K = torch.arange(total, device=lengths_BS.device) + offset_Q.repeat_interleave(
            length_Q, output_size=total
        )
        other_Q = torch.stack([second_E, first_E], 1).flatten()
        return cls(
            token_K,
            Segments.from_lengths(length_Q.view(-1, 2).sum(1)),
            Segments.from_lengths(length_Q),
            sentence_Q * sentences + other_Q,
        )

    def grid(self, x_QH: Tensor, mask_BS: Tensor) -> Tensor:
        """(Q, H) -> (B, S, S, H): each sentence beside each other, zeros on the diagonal and at padding."""
        documents, sentences = mask_BS.shape
        grid = x_QH.new_zeros(documents * sentences**2, x_QH.shape[1]).index_copy(0, self.cell_Q, x_QH)
        return grid.view(documents, sentences, sentences, -1)


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
    out_NALV = nn.functional.scaled_dot_product_attention(
        q_NALV, k_NALV, v_NALV, attn_mask=mask_N11L, dropout_p=dropout, scale=scaling
    )
    return segments.pack(out_NALV.transpose(1, 2))[None], None


AttentionInterface.register(ATTENTION, segment_attention)
