"""The output of a model: scores of the sentences of each document, which losses and decoders read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers.utils import ModelOutput

# The fields of `Scores` that hold a matrix for each document.
MATRICES = ("logits", "next_log_probs", "position_logits")
# Above any difference between the objectives of two orders, unless a model is as sure as it can be of many pairs.
SWAP_PENALTY = 2.0**20
RESOLUTION = 2.0**-16  # in which decoders compare scores: finer differences are rounding


class Pointer(Protocol):
    """A distribution over orders, sentence by sentence, each conditioned on all sentences placed before."""

    def log_probs(self, order_BS: Tensor) -> Tensor:
        """`steps_BSS[b, k, i]`: that sentence i is k-th, given the first k of this order; of any device."""

    def start(self) -> Tensor:
        """The state before the first sentence, for one partial order per document: (B, 1, H)."""

    def next_log_probs(self, state_BWH: Tensor, placed_BWS: Tensor) -> Tensor:
        """Log-probability of each sentence to be next: (B, W, S), minus infinity for placed ones and padding."""

    def advance(self, state_BWH: Tensor, sentence_BW: Tensor) -> Tensor:
        """The state after one more sentence of each partial order."""


@dataclass
class Scores(ModelOutput):
    """The output of a model; its heads decide which of these it has."""

    loss: Tensor | None = None  # if gold positions were passed
    logits: Tensor | None = None  # (B, S, S), antisymmetric; the log-odds that sentence i comes before sentence j
    # (B, T, T), the log-probability that j directly follows i; 0 is the document's boundary, and 1 + i is sentence i.
    next_log_probs: Tensor | None = None
    position_logits: Tensor | None = None  # (B, S, S), `[b, i, k]` scores sentence i at position k
    pointer: Pointer | None = None

    def on_cpu(self) -> "Scores":
        """The scores in float32 on the CPU; the pointer stays on its device.

        CUDA copies them to pinned memory when it gets there, and they must not be read before.
        """
        tensors = {name: value.float() for name, value in self.items() if isinstance(value, Tensor)}
        moved: dict[str, Any] = {name: value.to("cpu", non_blocking=True) for name, value in tensors.items()}
        return Scores(**moved, pointer=self.pointer)

    def select(self, rows_G: Tensor) -> "Scores":
        """The matrices of some documents."""
        selected: dict[str, Any] = {name: self[name][rows_G] for name in MATRICES if name in self}
        return Scores(**selected)

    def relabelled(self, index_BS: Tensor) -> "Scores":
        """The scores of the same documents if their k-th sentence is the one that was `index[b, k]`-th."""
        assert self.pointer is None, "a pointer keeps the labels of the sentences that it was made for"
        item_BT = torch.nn.functional.pad(index_BS + 1, (1, 0))
        position_BS = torch.arange(index_BS.shape[1]).expand_as(index_BS)
        axes = {"logits": (index_BS, index_BS), "next_log_probs": (item_BT, item_BT)}
        axes["position_logits"] = (index_BS, position_BS)
        relabelled: dict[str, Any] = {name: gather_matrix(self[name], *axes[name]) for name in MATRICES if name in self}
        return Scores(**relabelled)


class CleanScores(NamedTuple):
    """The scores of documents of one length as decoders read them: float64, exactly summable."""

    # Antisymmetric, half the log-odds that i comes before j: what i gains by being anywhere before j.
    pairs_GSS: Tensor
    next_GTT: Tensor  # log-probability that item j directly follows item i, item 0 being the document's boundary
    position_GSS: Tensor | None = None  # log-probability of sentence i at position k; None without such a head
    # True for identical sentences i < j: a search for several orders, or by a beam, is for those where i comes first.
    same_GSS: Tensor | None = None

    def without_swaps(self) -> "CleanScores":
        """Scores by which an order with identical sentences the other way round is worse than any other."""
        if self.same_GSS is None or not self.same_GSS.any():
            return self
        penalty_GSS = SWAP_PENALTY * (self.same_GSS.double() - self.same_GSS.transpose(1, 2).double())
        return self._replace(pairs_GSS=self.pairs_GSS + penalty_GSS)

    def map_chunks(self, find: Callable[[Tensor, Tensor], Tensor], memory: int, bytes_per_document: int) -> Tensor:
        """`find` of the pairs and neighbours of as many documents at a time as fit into `memory` bytes, joined."""
        size = max(1, memory // bytes_per_document)
        return torch.cat(list(map(find, self.pairs_GSS.split(size), self.next_GTT.split(size))))


def quantise(scores: Tensor) -> Tensor:
    """Multiples of `RESOLUTION`, in place. Rounding is to even, the same on both sides of zero: antisymmetry stays."""
    return scores.div_(RESOLUTION).round_().mul_(RESOLUTION)


def step_log_probs(pointer: Pointer, order_BS: Tensor) -> Tensor:
    """The log-probability of each sentence of an order, given those before it: (B, S), on the order's device."""
    steps_BSS = pointer.log_probs(order_BS).to(order_BS.device)
    return steps_BSS.gather(2, order_BS[:, :, None])[:, :, 0]


def mean_scores(several: Sequence[Scores]) -> Scores:
    """The mean of several scores of the same documents, whose sentences have the same indices in all."""
    means: dict[str, Any] = {name: torch.stack([scores[name] for scores in several]).mean(0) for name in several[0]}
    return Scores(**means)


def gather_matrix(values_BXY: Tensor, row_BX: Tensor, column_BY: Tensor) -> Tensor:
    """`[b, x, y]`: the entry of each matrix at the given rows and columns, (B, X, Y)."""
    rows_BXY = values_BXY.gather(1, row_BX[:, :, None].expand_as(values_BXY))
    return rows_BXY.gather(2, column_BY[:, None, :].expand_as(values_BXY))
