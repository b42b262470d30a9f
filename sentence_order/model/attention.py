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

    @property
    def row_P(self) -> Tensor:  # noqa: N802
        """The number of each token's segment."""
        return self.slot_P // self.mask_NL.shape[1]

    @property
    def offset_P(self) -> Tensor:  # noqa: N802
        """The place of each token in its segment, from 0."""
        return self.slot_P % self.mask_NL.shape[1]

    def unpack(self, x_PX: Tensor) -> Tensor:
        """(P, ...) -> (N, L, ...), zeros where there is no token."""
        grid = x_PX.new_zeros((self.mask_NL.numel(), *x_PX.shape[1:])).index_copy(0, self.slot_P, x_PX)
        return grid.unflatten(0, self.mask_NL.shape)

    def pack(self, x_NLX: Tensor) -> Tensor:
        """(N, L, ...) -> (P, ...)."""
        return x_NLX.flatten(0, 1).index_select(0, self.slot_P)


@dataclass(frozen=True, eq=False)
class Reading:
    """How layers read packed tokens: they attend within `segments`, and positions restart in each of the `spans`."""

    segments: Segments
    spans: Segments

    @cached_property
    def distances(self) -> "Distances":
        """How far apart every two tokens of a segment are."""
        return Distances(self)


class Distances:
    """Rows of a table of relative positions, for every two tokens of a segment.

    The table has a row for each distance `distance_K`, the place of the key less that of the query, and a last one for
    two tokens of different spans, whose distance would tell in which order the spans are given.
    """

    def __init__(self, reading: Reading) -> None:
        segments, spans = reading.segments, reading.spans
        longest, device = spans.mask_NL.shape[1], spans.slot_P.device
        self.distance_K = torch.arange(1 - longest, longest, device=device)
        if segments is spans:
            offset_NL = torch.arange(longest, device=device)[None]
        else:
            offset_NL, span_NL = segments.unpack(spans.offset_P), segments.unpack(spans.row_P)
        row_NLL = offset_NL[:, None, :] - offset_NL[:, :, None] + longest - 1
        if segments is not spans:
            row_NLL = row_NLL.where(span_NL[:, None, :] == span_NL[:, :, None], len(self.distance_K))
        self.row_NLL = row_NLL  # [n, query, key]; N is 1 where all segments are alike


class Layout:
    """Which tokens of a batch belong together, by the number of tokens of each sentence: `lengths_BS`, 0 at padding.

    Positions restart in every sentence, or count through each document.
    """

    def __init__(self, lengths_BS: Tensor, count_through: bool = False) -> None:
        self.lengths_BS, self.mask_BS = lengths_BS, lengths_BS > 0
        self.count_through = count_through

    @cached_property
    def sentences(self) -> Segments:
        """The tokens of each sentence."""
        return Segments.from_lengths(self.lengths_BS[self.mask_BS])

    @cached_property
    def documents(self) -> Segments:
        """The tokens of each document."""
        return Segments.from_lengths(self.lengths_BS.sum(1))

    @cached_property
    def alone(self) -> Reading:
        """Every sentence is read alone."""
        return Reading(self.sentences, self.documents if self.count_through else self.sentences)

    @cached_property
    def together(self) -> Reading:
        """The sentences of a document are read together."""
        return Reading(self.documents, self.alone.spans)

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

        sides = Segments.from_lengths(length_Q)  # the tokens of each side, first and second alternating
        self.alone = Reading(sides, sides)
        self.together = Reading(Segments.from_lengths(length_Q.view(-1, 2).sum(1)), sides)
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
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention of packed tokens, (1, A, P, V) each, within the segments given as mask.

    It has the signature of a transformers attention function and returns (1, P, A, V), as those do. Keys and values may
    have fewer heads, each for several heads of the query. With a `sliding_window`, tokens attend to those that are less
    than so many places away in their segment. Raises TypeError for another argument that is not None or False.
    """
    if unknown := {name: value for name, value in others.items() if value is not None and value is not False}:
        raise TypeError(f"attention within segments does not know {unknown}")
    segments = attention_mask
    q_NALV, k_NALV, v_NALV = (unpack_heads(x, segments, query.shape[1]) for x in (query, key, value))
    return attend(q_NALV, k_NALV, v_NALV, segments, dropout, scaling, sliding_window), None


def unpack_heads(x_1APV: Tensor, segments: Segments, heads: int) -> Tensor:
    """(1, A, P, V) -> (N, A, L, V), with each head repeated if there are to be more."""
    x_NALV = segments.unpack(x_1APV[0].transpose(0, 1)).transpose(1, 2)
    return x_NALV if x_NALV.shape[1] == heads else x_NALV.repeat_interleave(heads // x_NALV.shape[1], 1)


def attend(
    q_NALV: Tensor,
    k_NALV: Tensor,
    v_NALV: Tensor,
    segments: Segments,
    dropout: float,
    scaling: float | None = None,
    sliding_window: int | None = None,
    bias_NALL: Tensor | None = None,
) -> Tensor:
    """Attention of unpacked tokens, packed again: (1, P, A, V). The bias is added to the scaled products."""
    mask_NL = segments.mask_NL
    mask_NXXL = mask_NL[:, None, None, :]
    if sliding_window is not None and mask_NL.shape[1] > sliding_window:
        place_L = torch.arange(mask_NL.shape[1], device=mask_NL.device)
        near_LL = (place_L[:, None] - place_L).abs() < sliding_window
        # A row of padding attends to all tokens: with none its softmax, and the gradient, would be NaN.
        mask_NXXL = mask_NXXL & (near_LL | ~mask_NL[:, None, :, None])
    if bias_NALL is not None:
        mask_NXXL = bias_NALL.masked_fill(~mask_NXXL, -torch.inf)
    plain = q_NALV.device.type == "cpu" and mask_NL.shape[1] <= MAX_PLAIN_TOKENS
    attention = _plain_attention if plain else nn.functional.scaled_dot_product_attention
    out_NALV = attention(q_NALV, k_NALV, v_NALV, mask_NXXL, dropout, scale=scaling)
    return segments.pack(out_NALV.transpose(1, 2))[None]


def _plain_attention(
    q_NALV: Tensor, k_NALV: Tensor, v_NALV: Tensor, mask_NXXL: Tensor, dropout: float, *, scale: float | None
) -> Tensor:
    """`nn.functional.scaled_dot_product_attention` by plain products."""
    scores_NALL = (scale or q_NALV.shape[-1] ** -0.5) * q_NALV @ k_NALV.transpose(-1, -2)
    if mask_NXXL.dtype == torch.bool:
        mask_NXXL = torch.zeros_like(mask_NXXL, dtype=scores_NALL.dtype).masked_fill(~mask_NXXL, -torch.inf)
    scores_NALL += mask_NXXL
    return nn.functional.dropout(scores_NALL.softmax(-1), dropout) @ v_NALV


AttentionInterface.register(ATTENTION, segment_attention)
