"""Beam search over a pointer, against all orders."""

import itertools

import pytest
import torch
from torch import Tensor

from sentence_order.decoding import decode
from sentence_order.decoding.pointer import pointer_order
from sentence_order.decoding.scores import Scores


class Table:
    """A pointer that reads its probabilities from a table, by the number of sentences placed and the last of them."""

    def __init__(self, table_BKLS: Tensor, mask_BS: Tensor) -> None:
        self.table_BKLS, self.mask_BS = table_BKLS, mask_BS

    def start(self) -> Tensor:
        return torch.tensor([0.0, 0.0]).expand(len(self.mask_BS), 1, 2)

    def next_log_probs(self, state_BWD: Tensor, placed_BWS: Tensor) -> Tensor:
        count_BW, last_BW = state_BWD.long().unbind(-1)
        document_B1 = torch.arange(len(state_BWD))[:, None]
        value_BWS = self.table_BKLS[document_B1, count_BW, last_BW]
        possible_BWS = self.mask_BS[:, None] & ~placed_BWS
        return value_BWS.masked_fill(~possible_BWS, -1e9).log_softmax(2).masked_fill(~possible_BWS, -torch.inf)

    def advance(self, state_BWD: Tensor, sentence_BW: Tensor) -> Tensor:
        return torch.stack([(state_BWD[..., 0] + 1).clamp(max=self.table_BKLS.shape[1] - 1), sentence_BW], -1)

    def log_probs(self, order_BS: Tensor) -> Tensor:
        state, steps = self.start(), []
        placed = torch.zeros(len(order_BS), 1, order_BS.shape[1], dtype=torch.bool)
        for k in range(order_BS.shape[1]):
            steps.append(self.next_log_probs(state, placed))
            state = self.advance(state, order_BS[:, k : k + 1])
            placed = placed.scatter(2, order_BS[:, None, k : k + 1], True)
        return torch.cat(steps, 1)


def test_a_wide_beam_finds_the_best_of_all_orders_and_its_log_probability() -> None:
    table = torch.randn(6, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * 2
    mask = torch.ones(6, 4, dtype=torch.bool)
    mask[4:, 3:] = False
    pointer = Table(table, mask)
    rank = torch.arange(4).expand(6, 4)
    orders, objectives = decode(pointer_order, Scores(pointer=pointer), mask, rank, beam_width=24)
    for row, size in enumerate(mask.sum(1).tolist()):
        best = {}
        for one in itertools.permutations(range(size)):
            whole = torch.tensor([[*one, *range(size, 4)]]).expand(6, 4)
            steps = pointer.log_probs(whole)[row].gather(1, whole[row, :, None])[:size]
            best[one] = steps.sum().item()
        winner = max(best, key=best.__getitem__)
        assert orders[row].tolist() == [*winner, *range(size, 4)]
        assert objectives[row].item() == pytest.approx(best[winner], abs=1e-5)


def test_ties_are_broken_by_the_lower_rank() -> None:
    mask = torch.ones(1, 4, dtype=torch.bool)
    flat = Scores(pointer=Table(torch.zeros(1, 4, 4, 4), mask))
    for width in (1, 3, 100):
        assert decode(pointer_order, flat, mask, torch.tensor([[30, 10, 40, 20]]), beam_width=width)[0].tolist() == [
            [1, 3, 0, 2]
        ]


def test_nan_is_an_error() -> None:
    mask = torch.ones(1, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="NaN"):
        decode(pointer_order, Scores(pointer=Table(torch.full((1, 3, 3, 3), torch.nan), mask)), mask, torch.zeros(1, 3))
