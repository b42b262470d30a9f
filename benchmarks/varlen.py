"""What `torch.nn.attention.varlen.varlen_attn` computes, one segment at a time: for where it does not run."""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def attend_one_by_one(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    return_aux: None = None,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
) -> Tensor:
    """Attention of packed tokens, (P, A, V) each, with the arguments of torch 2.11."""
    assert query.shape == key.shape == value.shape, "heads are not repeated in torch 2.11"
    assert query.dtype == key.dtype == value.dtype
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    lengths = cu_seq_q.diff().tolist()
    assert cu_seq_q[0] == 0
    assert max_q == max_k == max(lengths)
    outputs = []
    for q_LAV, k_LAV, v_LAV in zip(*(x_PAV.split(lengths) for x_PAV in (query, key, value)), strict=True):
        place_L = torch.arange(len(q_LAV), device=q_LAV.device)
        ahead_LL = place_L - place_L[:, None]
        before, behind = (len(place_L) if size < 0 else size for size in window_size)
        seen_LL = (ahead_LL >= -before) & (ahead_LL <= behind)
        q_ALV, k_ALV, v_ALV = (x_LAV.transpose(0, 1) for x_LAV in (q_LAV, k_LAV, v_LAV))
        outputs.append(scaled_dot_product_attention(q_ALV, k_ALV, v_ALV, seen_LL, scale=scale).transpose(0, 1))
    return torch.cat(outputs)
