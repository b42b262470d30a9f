"""Attention within segments of a packed batch: the sentences of a batch, or its documents.

All layers work on the real tokens of a batch, packed one after the other, so that no linear layer ever computes
padding. Only attention needs to know which tokens belong together: it lays the tokens of each segment out in a row of
their own. The lower, sentence-local layers and the upper, joint ones differ in nothing but their segments.

Shape suffixes: B documents, S sentences of a document (padded), N packed tokens, R segments, T tokens of the longest
segment, H heads, D width of a head.
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
    """How packed tokens group: token n stands in slot `slot_N[n]` of an R x T grid, filled where `mask_RT` is."""

    slot_N: Tensor
    mask_RT: Tensor

    @classmethod
    def from_lengths(cls, lengths_R: Tensor) -> "Segments":
        """Segments of so many tokens each (at least one), in the order of the packed tokens."""
        longest = int(lengths_R.max())
        mask_RT = torch.arange(longest, device=lengths_R.device) < lengths_R[:, None]
        return cls(mask_RT.flatten().nonzero()[:, 0], mask_RT)

    def unpack(self, x_NX: Tensor) -> Tensor:
        """(N, ...) -> (R, T, ...), zeros where there is no token."""
        rows, longest = self.mask_RT.shape
        grid = x_NX.new_zeros((rows * longest, *x_NX.shape[1:])).index_copy(0, self.slot_N, x_NX)
        return grid.view(rows, longest, *x_NX.shape[1:])

    def pack(self, x_RTX: Tensor) -> Tensor:
        """(R, T, ...) -> (N, ...)."""
        return x_RTX.flatten(0, 1).index_select(0, self.slot_N)


@dataclass(frozen=True)
class Layout:
    """What belongs together in a batch, by the number of tokens of every sentence: `lengths_BS`, 0 at padding."""

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

    Shape suffixes: P pairs of the batch, Q = 2 P sides of these, K packed tokens of all pairs.

    Attributes:
        token_K: which packed token of the batch stands here.
        segments: the tokens of each pair.
        sides: the tokens of each side of each pair, first and second in turns.
        cell_Q: where a side belongs in a B * S * S grid: sentence i beside sentence j at [b, i, j].
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
        document_P, first_P, second_P = pair_BSS.nonzero().unbind(1)
        sentence_Q = (document_P[:, None] * sentences + torch.stack([first_P, second_P], 1)).flatten()
        length_Q = length_X[sentence_Q]
        offset_Q = start_X[sentence_Q] - (length_Q.cumsum(0) - length_Q)
        total = int(length_Q.sum())
        token_K = torch.arange(total, device=lengths_BS.device) + offset_Q.repeat_interleave(
            length_Q, output_size=total
        )
        other_Q = torch.stack([second_P, first_P], 1).flatten()
        return cls(
            token_K,
            Segments.from_lengths(length_Q.view(-1, 2).sum(1)),
            Segments.from_lengths(length_Q),
            sentence_Q * sentences + other_Q,
        )

    def grid(self, x_QD: Tensor, mask_BS: Tensor) -> Tensor:
        """(Q, D) -> (B, S, S, D): each sentence beside each other, zeros on the diagonal and at padding."""
        documents, sentences = mask_BS.shape
        grid = x_QD.new_zeros(documents * sentences**2, x_QD.shape[1]).index_copy(0, self.cell_Q, x_QD)
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
    """Scaled dot-product attention of packed tokens, (1, H, N, D) each, within the segments given as mask.

    It has the signature of a transformers attention function and returns (1, N, H, D), as those do.
    """
    segments = attention_mask
    q_RHTD, k_RHTD, v_RHTD = (segments.unpack(x[0].transpose(0, 1)).transpose(1, 2) for x in (query, key, value))
    mask_R11T = segments.mask_RT[:, None, None, :]
    out_RHTD = nn.functional.scaled_dot_product_attention(
        q_RHTD, k_RHTD, v_RHTD, attn_mask=mask_R11T, dropout_p=dropout, scale=scaling
    )
    return segments.pack(out_RHTD.transpose(1, 2))[None], None


AttentionInterface.register(ATTENTION, segment_attention)
