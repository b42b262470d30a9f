"""Attention within segments of a packed batch: the sentences of a batch, or its documents.

No linear layer ever computes padding, since all layers work on packed tokens. Only attention needs to know which tokens
belong together. The lower, sentence-local layers and the upper, joint ones differ in nothing but their segments.
"""

import logging
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from sentence_order.model.segments import Segments

log = logging.getLogger(__name__)

ATTENTION = "sentence_order_segments"
# On a CPU the fused kernel gains little from a second thread on short rows; `benchmarks/speed.md` has the figures.
MAX_PLAIN_TOKENS = 96


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
    kind = query.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else query.dtype
    if computes_packed(query.device, dtype, query.shape[-1], dropout):
        # Rotary positions may have made float32 of some of them.
        query, key, value = (x.to(dtype) for x in (query, key, value))
        return attend_packed(query, key, value, segments, scaling, sliding_window), None
    return attend_padded(query, key, value, segments, scaling, sliding_window, dropout), None


@lru_cache
def computes_packed(device: torch.device, dtype: torch.dtype, head_width: int, dropout: float) -> bool:
    """Whether attention of this kind is computed over packed tokens; the reason is written to the log file once."""
    obstacle = None
    if device.type != "cuda":
        obstacle = "its kernels are for CUDA"
    elif dtype not in (torch.bfloat16, torch.float16):
        obstacle = f"its kernels are for bf16 and fp16, not for {dtype}"
    elif dropout > 0:
        obstacle = "its kernels have no attention dropout"
    elif head_width % 8 or head_width > 192:  # wider ones have no backward pass on some devices
        obstacle = f"its kernels are for heads of up to 192 numbers, in eights, not for {head_width}"
    elif torch.cuda.get_device_capability(device) < (8, 0):
        obstacle = "its kernels need CUDA capability 8.0"
    elif not torch.backends.cuda.is_flash_attention_available():
        obstacle = "this build of PyTorch has no flash attention"
    how = "over packed tokens" if obstacle is None else "padded to the longest segment"
    log.debug("attention: %s (torch.nn.attention.varlen: %s)", how, obstacle or f"{dtype} on CUDA, no dropout")
    return obstacle is None


def attend_packed(
    q_1APV: Tensor,
    k_1APV: Tensor,
    v_1APV: Tensor,
    segments: Segments,
    scaling: float | None,
    sliding_window: int | None,
) -> Tensor:
    """Attention of packed tokens as they are, (1, P, A, V): no segment is padded to the length of the longest."""
    from torch.nn.attention import varlen  # its import takes time, which a CPU need not spend

    heads, ends, longest = q_1APV.shape[1], segments.end_N1, segments.longest
    q_PAV, k_PAV, v_PAV = (repeat_heads(x_1APV, heads)[0].transpose(0, 1) for x_1APV in (q_1APV, k_1APV, v_1APV))
    window = (-1, -1) if sliding_window is None else (sliding_window - 1, sliding_window - 1)
    # Arguments that torch 2.11 has.
    output: Any = varlen.varlen_attn(
        q_PAV, k_PAV, v_PAV, ends, ends, longest, longest, scale=scaling, window_size=window
    )
    return output[None]


def attend_padded(
    q_1APV: Tensor,
    k_1APV: Tensor,
    v_1APV: Tensor,
    segments: Segments,
    scaling: float | None,
    sliding_window: int | None,
    dropout: float = 0.0,
) -> Tensor:
    """The same by rows, each with the tokens of a segment, padded to the length of the longest."""
    heads = q_1APV.shape[1]
    q_NALV, k_NALV, v_NALV = (unpack_heads(x_1APV, segments, heads) for x_1APV in (q_1APV, k_1APV, v_1APV))
    return attend(q_NALV, k_NALV, v_NALV, segments, dropout, scaling, sliding_window)


def unpack_heads(x_1APV: Tensor, segments: Segments, heads: int) -> Tensor:
    """(1, A, P, V) -> (N, A, L, V), with each head repeated if there are to be more."""
    return repeat_heads(segments.unpack(x_1APV[0].transpose(0, 1)).transpose(1, 2), heads)


def repeat_heads(x_XAYV: Tensor, heads: int) -> Tensor:
    """(X, A, Y, V), with each head repeated if there are to be more."""
    return x_XAYV if x_XAYV.shape[1] == heads else x_XAYV.repeat_interleave(heads // x_XAYV.shape[1], 1)


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
    if sliding_window is not None and segments.longest > sliding_window:
        place_L = torch.arange(segments.longest, device=mask_NL.device)
        near_LL = (place_L[:, None] - place_L).abs() < sliding_window
        # A row of padding attends to all tokens: with none its softmax, and the gradient, would be NaN.
        mask_NXXL = mask_NXXL & (near_LL | ~mask_NL[:, None, :, None])
    if bias_NALL is not None:
        mask_NXXL = bias_NALL.masked_fill(~mask_NXXL, -torch.inf)
    plain = q_NALV.device.type == "cpu" and segments.longest <= MAX_PLAIN_TOKENS
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
