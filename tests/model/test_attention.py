"""Attention within segments of packed tokens equals attention in each segment alone."""

import pytest
import torch

from sentence_order.model.attention import MAX_PLAIN_TOKENS, Segments, segment_attention


def test_unpack_gives_each_segment_a_row_and_pack_reverses_it() -> None:
    segments = Segments.from_lengths(torch.tensor([3, 1, 2]))
    assert segments.slot_P.tolist() == [0, 1, 2, 3, 6, 7]
    assert segments.mask_NL.tolist() == [[True, True, True], [True, False, False], [True, True, False]]
    tokens = torch.arange(1.0, 7.0)
    assert segments.unpack(tokens).tolist() == [[1, 2, 3], [4, 0, 0], [5, 6, 0]]
    assert segments.pack(segments.unpack(tokens)).tolist() == tokens.tolist()


@pytest.mark.parametrize("longest", [5, MAX_PLAIN_TOKENS, MAX_PLAIN_TOKENS + 1])
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_attention_stays_within_its_segment(longest: int, scaling: float | None) -> None:
    torch.manual_seed(0)
    sizes = [3, 1, longest]
    segments = Segments.from_lengths(torch.tensor(sizes))
    inputs = [torch.randn(1, 2, sum(sizes), 4, requires_grad=True) for _ in range(3)]
    packed, _ = segment_attention(torch.nn.Identity(), *inputs, segments, scaling=scaling)
    parts = [
        torch.nn.functional.scaled_dot_product_attention(*segment, scale=scaling)
        for segment in zip(*(x.split(sizes, 2) for x in inputs), strict=True)
    ]
    alone = torch.cat(parts, 2).transpose(1, 2)
    torch.testing.assert_close(packed, alone)

    weights = torch.randn_like(alone)
    gradients = [torch.autograd.grad((weights * output).sum(), inputs) for output in (packed, alone)]
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("longest", [5, MAX_PLAIN_TOKENS + 1])
def test_dropout_drops_and_keeps_the_mean(longest: int) -> None:
    torch.manual_seed(0)
    segments = Segments.from_lengths(torch.tensor([2, longest]))
    query, key = (torch.randn(1, 2, 2 + longest, 4) for _ in range(2))
    ones = torch.ones(1, 2, 2 + longest, 4)
    dropped = torch.cat(
        [segment_attention(torch.nn.Identity(), query, key, ones, segments, dropout=0.25)[0] for _ in range(400)]
    )
    assert dropped.std(0).min() > 0
    torch.testing.assert_close(dropped.mean(0), ones[0].transpose(0, 1), atol=0.15, rtol=0)
