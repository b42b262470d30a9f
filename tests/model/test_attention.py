"""Attention within segments of packed tokens equals attention in each segment alone."""

import torch

from sentence_order.model.attention import Segments, segment_attention


def test_unpack_gives_each_segment_a_row_and_pack_reverses_it() -> None:
    segments = Segments.from_lengths(torch.tensor([3, 1, 2]))
    assert segments.slot_P.tolist() == [0, 1, 2, 3, 6, 7]
    assert segments.mask_NL.tolist() == [[True, True, True], [True, False, False], [True, True, False]]
    tokens = torch.arange(1.0, 7.0)
    assert segments.unpack(tokens).tolist() == [[1, 2, 3], [4, 0, 0], [5, 6, 0]]
    assert segments.pack(segments.unpack(tokens)).tolist() == tokens.tolist()


def test_attention_stays_within_its_segment() -> None:
    torch.manual_seed(0)
    sizes = [3, 1, 5]
    segments = Segments.from_lengths(torch.tensor(sizes))
    query, key, value = (torch.randn(1, 2, sum(sizes), 4) for _ in range(3))
    packed, _ = segment_attention(torch.nn.Identity(), query, key, value, segments)
    start = 0
    for size in sizes:
        part = slice(start, start + size)
        alone = torch.nn.functional.scaled_dot_product_attention(query[:, :, part], key[:, :, part], value[:, :, part])
        torch.testing.assert_close(packed[:, part], alone.transpose(1, 2))
        start += size
