"""Which packed tokens of a batch belong together, worked out on the host.

All layers work on the real tokens of a batch, packed one after the other. The indices of these follow from the number
of tokens of each sentence, which the host has before the device has anything. So nothing here ever asks the device, for
which it would have to wait: numpy makes the indices, and `to_device` sends those that are used.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from sentence_order.arrays import BoolArray, IntArray
from sentence_order.data.examples import ends_of
from sentence_order.runtime.device import to_device, to_host

CPU = torch.device("cpu")


class Grid:
    """Packed rows in an N x L grid: row p is in slot `slot_P[p]`, and the grid is filled where `mask_NL` is."""

    def __init__(self, slot_P: IntArray, mask_NL: BoolArray, device: torch.device = CPU) -> None:
        self._slot_P, self._mask_NL, self.device = slot_P, mask_NL, device

    @property
    def longest(self) -> int:
        """The number of slots of a row, L."""
        return self._mask_NL.shape[1]

    @cached_property
    def slot_P(self) -> Tensor:  # noqa: N802
        return to_device(self._slot_P, self.device)

    @cached_property
    def mask_NL(self) -> Tensor:  # noqa: N802
        return to_device(self._mask_NL, self.device)

    def unpack(self, x_PX: Tensor) -> Tensor:
        """(P, ...) -> (N, L, ...), zeros where there is no row."""
        grid = x_PX.new_zeros((self._mask_NL.size, *x_PX.shape[1:])).index_copy(0, self.slot_P, x_PX)
        return grid.unflatten(0, self._mask_NL.shape)

    def pack(self, x_NLX: Tensor) -> Tensor:
        """(N, L, ...) -> (P, ...)."""
        return x_NLX.flatten(0, 1).index_select(0, self.slot_P)


class Segments(Grid):
    """Packed tokens in segments of `length_N` tokens each, at least one: a row of the grid for each segment."""

    def __init__(self, length_N: IntArray, device: torch.device = CPU) -> None:
        self.length_N = length_N
        mask_NL = np.arange(length_N.max()) < length_N[:, None]
        super().__init__(np.flatnonzero(mask_NL), mask_NL, device)

    @cached_property
    def row_P(self) -> Tensor:  # noqa: N802
        """The number of each token's segment."""
        return self.slot_P // self.longest

    @cached_property
    def offset_P(self) -> Tensor:  # noqa: N802
        """The place of each token in its segment, from 0."""
        return self.slot_P % self.longest

    @cached_property
    def end_N1(self) -> Tensor:  # noqa: N802
        """Where each segment ends among the packed tokens, and before them 0, where the first one begins."""
        return to_device(ends_of(self.length_N).astype(np.int32), self.device)


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

    The table has a row for each distance `distance_K` (on the CPU), the place of the key less that of the query, and a
    last one for two tokens of different spans, whose distance would tell in which order the spans are given.
    """

    def __init__(self, reading: Reading) -> None:
        segments, spans = reading.segments, reading.spans
        longest, device = spans.longest, spans.device
        self.distance_K = torch.arange(1 - longest, longest)
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

    Positions restart in every sentence, or count through each document. If the lengths are on the device, it is waited
    for once, here.
    """

    def __init__(self, lengths_BS: Tensor, device: torch.device = CPU, count_through: bool = False) -> None:
        self.length_BS: IntArray = to_host(lengths_BS)
        self.device, self.count_through = device, count_through

    @property
    def sizes(self) -> list[int]:
        """The number of sentences of each document."""
        sizes: list[int] = (self.length_BS > 0).sum(1).tolist()
        return sizes

    @cached_property
    def mask_BS(self) -> Tensor:  # noqa: N802
        """True where there is a sentence."""
        return to_device(self.length_BS > 0, self.device)

    @cached_property
    def sentences(self) -> Segments:
        """The tokens of each sentence."""
        return Segments(self.length_BS[self.length_BS > 0], self.device)

    @cached_property
    def documents(self) -> Segments:
        """The tokens of each document."""
        return Segments(self.length_BS.sum(1), self.device)

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
        return Segments((self.length_BS > 0).sum(1), self.device)

    @cached_property
    def pairs(self) -> "Pairs":
        """Every two sentences of a document, read together."""
        return Pairs(self.length_BS, self.device)


class Pairs:
    """A batch laid out anew: every two sentences of a document, once, the tokens of both one after the other."""

    def __init__(self, length_BS: IntArray, device: torch.device) -> None:
        mask_BS, sentences = length_BS > 0, length_BS.shape[1]
        other_BSS = mask_BS[:, :, None] & mask_BS[:, None, :] & ~np.eye(sentences, dtype=bool)
        document_E, first_E, second_E = np.triu(other_BSS).nonzero()
        side_E2 = np.stack([first_E, second_E], 1)
        sentence_Q = (document_E[:, None] * sentences + side_E2).flatten()
        length_X = length_BS.flatten()
        length_Q = length_X[sentence_Q]

        # The token of the batch, for each token of all pairs: as far from the first one of its sentence as here.
        start_Q = (length_X.cumsum() - length_X)[sentence_Q]
        offset_K = np.repeat(start_Q - (length_Q.cumsum() - length_Q), length_Q)
        self.token_K = to_device(np.arange(len(offset_K)) + offset_K, device)

        sides = Segments(length_Q, device)  # the tokens of each side, first and second alternating
        self.alone = Reading(sides, sides)
        self.together = Reading(Segments(length_Q.reshape(-1, 2).sum(1), device), sides)
        # The sides, in a row for each of the B * S sentences: beside sentence j at [., j].
        slot_Q = sentence_Q * sentences + side_E2[:, ::-1].flatten()
        self.views = Grid(slot_Q, other_BSS.reshape(-1, sentences), device)
