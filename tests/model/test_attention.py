"""Attention within segments of packed tokens equals attention in each segment alone."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.attention import varlen
from torch.nn.attention.varlen import varlen_attn

from benchmarks.families import make_settings
from benchmarks.varlen import attend_one_by_one
from sentence_order.model import attention
from sentence_order.model.attention import MAX_PLAIN_TOKENS, computes_packed, segment_attention
from sentence_order.model.families import FAMILIES
from sentence_order.model.segments import Layout, Reading, Segments
from tests.corpora import batch_of


def test_unpack_gives_each_segment_a_row_and_pack_reverses_it() -> None:
    segments = Segments(np.array([3, 1, 2]))
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
    segments = Segments(np.array(sizes))
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
    segments = Segments(np.array([2, longest]))
    query, key = (torch.randn(1, 2, 2 + longest, 4) for _ in range(2))
    ones = torch.ones(1, 2, 2 + longest, 4)
    dropped = torch.cat(
        [segment_attention(torch.nn.Identity(), query, key, ones, segments, dropout=0.25)[0] for _ in range(400)]
    )
    assert dropped.std(0).min() > 0
    torch.testing.assert_close(dropped.mean(0), ones[0].transpose(0, 1), atol=0.15, rtol=0)


@pytest.mark.parametrize("longest", [6, MAX_PLAIN_TOKENS + 1])
def test_a_sliding_window_reads_less_far_than_its_size(longest: int) -> None:
    """With one of 2 a token and its neighbours. Gradients are finite though rows of padding have nothing to read."""
    torch.manual_seed(0)
    sizes = [longest, 2]
    segments = Segments(np.array(sizes))
    inputs = [torch.randn(1, 2, sum(sizes), 4, requires_grad=True) for _ in range(3)]
    packed, _ = segment_attention(torch.nn.Identity(), *inputs, segments, sliding_window=2)
    near = torch.ones(longest, longest, dtype=torch.bool).tril(1).triu(-1)
    parts = [
        torch.nn.functional.scaled_dot_product_attention(*segment, near[:size, :size])
        for size, segment in zip(sizes, zip(*(x.split(sizes, 2) for x in inputs), strict=True), strict=True)
    ]
    alone = torch.cat(parts, 2).transpose(1, 2)
    torch.testing.assert_close(packed, alone)
    gradients = [torch.autograd.grad(output.square().sum(), inputs) for output in (packed, alone)]
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("sliding_window", [None, 2])
@pytest.mark.parametrize("key_heads", [4, 2])
def test_packed_attention_equals_padded(
    monkeypatch: pytest.MonkeyPatch, sliding_window: int | None, key_heads: int
) -> None:
    """By what its kernels compute, on a CPU; they take the arguments that it is called with."""
    torch.manual_seed(0)
    segments = Segments(np.array([3, 1, 7]))
    inputs = [torch.randn(1, heads, 11, 8, requires_grad=True) for heads in (4, key_heads, key_heads)]
    options = {"scaling": 0.3, "sliding_window": sliding_window}
    padded, _ = segment_attention(torch.nn.Identity(), *inputs, segments, **options)

    def attend_one_segment_at_a_time(*arguments: Any, **named: Any) -> torch.Tensor:
        inspect.signature(varlen_attn).bind(*arguments, **named)
        return attend_one_by_one(*arguments, **named)

    monkeypatch.setattr(attention, "computes_packed", lambda *_: True)
    monkeypatch.setattr(varlen, "varlen_attn", attend_one_segment_at_a_time)
    packed, _ = segment_attention(torch.nn.Identity(), *inputs, segments, **options)
    torch.testing.assert_close(packed, padded)
    gradients = [torch.autograd.grad(output.square().sum(), inputs) for output in (packed, padded)]
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("make_model", sorted(FAMILIES.keys() & make_settings().keys()), indirect=True)
def test_packed_attention_in_every_encoder(make_model, stories, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under autocast, as on CUDA: queries, keys and values are of one type, whatever positions have made of them."""
    model = make_model()
    batch = batch_of(model, stories[:3])
    found = []
    for is_packed in (False, True):
        monkeypatch.setattr(attention, "computes_packed", lambda *_, is_packed=is_packed: is_packed)
        monkeypatch.setattr(varlen, "varlen_attn", attend_one_by_one)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**batch).loss
        model.zero_grad()
        loss.backward()
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        found.append((loss.item(), torch.nn.utils.get_total_norm(gradients).item()))
    assert found[1] == pytest.approx(found[0], rel=0.02)


@pytest.mark.parametrize(
    ("device", "dtype", "head_width", "dropout", "capability", "reason"),
    [
        ("cpu", torch.bfloat16, 32, 0.0, (9, 0), "its kernels are for CUDA"),
        ("cuda", torch.bfloat16, 32, 0.0, (9, 0), None),
        ("cuda", torch.float16, 64, 0.0, (8, 0), None),
        ("cuda", torch.float32, 32, 0.0, (9, 0), "for bf16 and fp16"),
        ("cuda", torch.bfloat16, 32, 0.1, (9, 0), "no attention dropout"),
        ("cuda", torch.bfloat16, 20, 0.0, (9, 0), "heads of up to 192 numbers"),
        ("cuda", torch.bfloat16, 256, 0.0, (9, 0), "heads of up to 192 numbers"),
        ("cuda", torch.float16, 32, 0.0, (7, 5), "capability 8.0"),
        ("cuda", torch.float16, 48, 0.0, (8, 0), "no flash attention"),
    ],
)
def test_where_attention_is_packed(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    device: str,
    dtype: torch.dtype,
    head_width: int,
    dropout: float,
    capability: tuple[int, int],
    reason: str | None,
) -> None:
    """The reason is logged once."""
    caplog.set_level("DEBUG")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: head_width != 48)
    computes_packed.cache_clear()
    for _ in range(2):
        assert computes_packed(torch.device(device), dtype, head_width, dropout) == (reason is None)
    (message,) = (record.getMessage() for record in caplog.records)
    computes_packed.cache_clear()
    assert message.startswith("attention: padded" if reason else "attention: over packed tokens")
    assert (reason or "no dropout") in message


def test_heads_of_a_query_may_share_keys_and_values() -> None:
    torch.manual_seed(0)
    segments = Segments(np.array([3, 5]))
    query, (key, value) = torch.randn(1, 4, 8, 6), (torch.randn(1, 2, 8, 6) for _ in range(2))
    shared, _ = segment_attention(torch.nn.Identity(), query, key, value, segments)
    pairs = [torch.stack([x[0, 0], x[0, 0], x[0, 1], x[0, 1]])[None] for x in (key, value)]
    repeated, _ = segment_attention(torch.nn.Identity(), query, *pairs, segments)
    assert torch.equal(shared, repeated)


def test_an_argument_that_would_be_ignored_is_refused() -> None:
    inputs, segments = [torch.randn(1, 2, 3, 4)] * 3, Segments(np.array([3]))
    segment_attention(torch.nn.Identity(), *inputs, segments, softcap=None, output_attentions=False)
    with pytest.raises(TypeError, match=r"does not know \{'softcap': 50\.0\}"):
        segment_attention(torch.nn.Identity(), *inputs, segments, softcap=50.0)


def test_distances_by_hand() -> None:
    """In a document of two sentences, of 2 and 1 tokens."""
    layout = Layout(torch.tensor([[2, 1]]))
    document = Reading(layout.documents, layout.sentences).distances
    assert document.distance_K.tolist() == [-1, 0, 1]
    assert document.row_NLL.tolist() == [[[1, 2, 3], [0, 1, 3], [3, 3, 1]]]  # 3 is for another sentence
    sentences = Reading(layout.sentences, layout.sentences).distances
    assert sentences.row_NLL.tolist() == [[[1, 2], [0, 1]]]
