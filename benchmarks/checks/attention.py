"""Attention over packed tokens against that over padded ones: equal within rounding, and the time of each."""

import time
from collections.abc import Callable
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from benchmarks.checks.run import NothingToCheckError, Report
from benchmarks.checks.setup import Setup, wait_for_device
from benchmarks.varlen import attend_one_by_one
from sentence_order.model.attention import attend_packed, attend_padded, computes_packed
from sentence_order.model.segments import Segments

HEADS, WIDTH = 12, 32  # MiniLM's
CASES = {"plain": {}, "scaled": {"scaling": 0.3}, "within a window": {"sliding_window": 9}}
TURNS = 50

Attend = Callable[..., Tensor]


def check_attention(setup: Setup, report: Report) -> None:
    """In bf16 and fp16, outputs and gradients are as near those in fp32 as padded ones are, of short and long segments.

    On a CPU, where the kernels do not run, packed tokens are attended to one segment at a time.
    """
    device, generator = torch.device(setup.device), torch.Generator().manual_seed(0)
    lengths = {"sentences": draw_lengths(5, 30, 40 if setup.small else 250)}
    lengths["documents"] = draw_lengths(40, 200, 5 if setup.small else 40)
    for dtype in (torch.bfloat16, torch.float16):
        if not setup.small and not computes_packed(device, dtype, WIDTH, 0.0):
            raise NothingToCheckError(f"this device has no attention over packed tokens in {dtype}")
        for kind, length_N in lengths.items():
            segments = Segments(length_N, device)
            shape = (1, HEADS, int(length_N.sum()), WIDTH)
            inputs = [torch.randn(shape, generator=generator).to(device) for _ in range(4)]
            for case, options in CASES.items():
                exact = _outputs_and_gradients(attend_padded, inputs, torch.float32, segments, options)
                padded, packed = (
                    _outputs_and_gradients(own, inputs, dtype, segments, options)
                    for own in (attend_padded, _packed(setup))
                )
                errors = [_greatest_error(found, exact) for found in (packed, padded)]
                name = f"{kind}, {dtype}, {case}"
                report.note(
                    f"{name}: errors of {errors[0]:.1e} packed, {errors[1]:.1e} padded", **{f"errors_{name}": errors}
                )
                report.expect(
                    errors[0] <= 2 * errors[1],
                    f"{name}: packed tokens are {errors[0]:.1e} from fp32, padded ones {errors[1]:.1e}",
                )
            seconds = [_measure(own, inputs, dtype, segments, setup) for own in (_packed(setup), attend_padded)]
            each = f"{seconds[0] * 1e3:.2f} ms packed, {seconds[1] * 1e3:.2f} ms padded"
            report.note(
                f"{kind}, {dtype}: {each}: {seconds[1] / seconds[0]:.1f} times", **{f"seconds_{kind}_{dtype}": seconds}
            )


def draw_lengths(low: int, high: int, count: int) -> np.ndarray:
    """Lengths of segments from the lowest to the highest, and one of a single token."""
    return np.concatenate([[1], np.random.default_rng(0).integers(low, high, count), [high]])


def _packed(setup: Setup) -> Attend:
    if not setup.small:
        return attend_packed

    def attend_with_stand_in(*inputs: Tensor, **options: object) -> Tensor:
        with mock.patch("torch.nn.attention.varlen.varlen_attn", attend_one_by_one):
            return attend_packed(*inputs, **options)

    return attend_with_stand_in


def _outputs_and_gradients(
    attend_: Attend, inputs: list[Tensor], dtype: torch.dtype, segments: Segments, options: dict[str, object]
) -> list[Tensor]:
    """The output of three of the inputs, and its gradients weighted by the fourth; in float32."""
    *own, weight_1APV = (x.detach().to(dtype).requires_grad_() for x in inputs)
    output = attend_(*own, segments, **{"scaling": None, "sliding_window": None, **options})
    gradients = torch.autograd.grad((output * weight_1APV.transpose(1, 2)).sum(), own)
    return [x.detach().float() for x in (output, *gradients)]


def _greatest_error(found: list[Tensor], exact: list[Tensor]) -> float:
    """Relative to the greatest number of each tensor."""
    return max(((x - y).abs().max() / y.abs().max()).item() for x, y in zip(found, exact, strict=True))


def _measure(attend_: Attend, inputs: list[Tensor], dtype: torch.dtype, segments: Segments, setup: Setup) -> float:
    """Seconds of a forward and backward pass."""
    turns = 2 if setup.small else TURNS
    for turn in range(turns + 2):
        if turn == 2:  # the first ones warm up
            wait_for_device(setup)
            started = time.perf_counter()
        _outputs_and_gradients(attend_, inputs, dtype, segments, {})
    wait_for_device(setup)
    return (time.perf_counter() - started) / turns
