"""What a model says of the order of each document of a batch: what losses and decoders take.

Shape suffixes: B documents, S sentences (padded), T = 1 + S those and, first, the document's boundary, W partial orders
of a document, D width of a state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.utils import ModelOutput

# The fields of `Scores` that hold a matrix for each document.
MATRICES = ("logits", "next_log_probs", "position_logits")


class Pointer(Protocol):
    """A distribution over orders, given sentence by sentence: each one's depends on all that were placed before."""

    def log_probs(self, order_BS: Tensor) -> Tensor:
        """`steps_BSS[b, k, i]`: that sentence i stands k-th, given the first k of this order, from any device."""

    def start(self) -> Tensor:
        """The state before the first sentence, of one partial order a document: (B, 1, D)."""

    def next_log_probs(self, state_BWD: Tensor, placed_BWS: Tensor) -> Tensor:
        """Which sentence comes next: (B, W, S), minus infinity for those that are placed and for padding."""

    def advance(self, state_BWD: Tensor, sentence_BW: Tensor) -> Tensor:
        """The state after one more sentence of each partial order."""


@dataclass
class Scores(ModelOutput):
    """The output of a model; which of these there are depends on its heads.

    Attributes:
        loss: where gold positions were passed.
        logits: (B, S, S), antisymmetric; the log-odds that sentence i comes before sentence j.
        next_log_probs: (B, T, T), the log-probability that j directly follows i, where 0 is the document's boundary
            and 1 + i is sentence i.
        position_logits: (B, S, S), `[b, i, k]` scores that sentence i stands at position k.
        pointer: tells the next sentence from those before.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    next_log_probs: Tensor | None = None
    position_logits: Tensor | None = None
    pointer: Pointer | None = None

    def on_cpu(self) -> "Scores":
        """The same, in float32 on the CPU; the pointer stays where it computes."""
        moved: dict[str, Any] = {name: value.float().cpu() for name, value in self.items() if isinstance(value, Tensor)}
        return Scores(**moved, pointer=self.pointer)

    def relabelled(self, index_BS: Tensor) -> "Scores":
        """The scores of the same documents where their k-th sentence is the one that was `index[b, k]`-th."""
        assert self.pointer is None, "a pointer keeps the labels of the sentences that it was made for"
        item_BT = torch.nn.functional.pad(index_BS + 1, (1, 0))
        position_BS = torch.arange(index_BS.shape[1]).expand_as(index_BS)
        axes = {
            "logits": (index_BS, index_BS),
            "next_log_probs": (item_BT, item_BT),
            "position_logits": (index_BS, position_BS),
        }
        relabelled: dict[str, Any] = {name: gather_matrix(self[name], *axes[name]) for name in axes if name in self}
        return Scores(**relabelled)


def step_log_probs(pointer: Pointer, order_BS: Tensor) -> Tensor:
    """The log-probability of each sentence of an order, given those before it: (B, S), on the order's device."""
    steps_BSS = pointer.log_probs(order_BS).to(order_BS.device)
    return steps_BSS.gather(2, order_BS[:, :, None])[:, :, 0]


def mean_scores(several: Sequence[Scores]) -> Scores:
    """The mean of what several readings say of the same documents under the same labels."""
    names = [name for name, value in several[0].items() if isinstance(value, Tensor)]
    means: dict[str, Any] = {name: torch.stack([scores[name] for scores in several]).mean(0) for name in names}
    return Scores(**means)


def gather_matrix(values_BXY: Tensor, row_BX: Tensor, column_BY: Tensor) -> Tensor:
    """`[b, x, y]`: the entry of each matrix at a row and a column that are named, (B, X, Y)."""
    rows_BXY = values_BXY.gather(1, row_BX[:, :, None].expand_as(values_BXY))
    return rows_BXY.gather(2, column_BY[:, None, :].expand_as(values_BXY))
