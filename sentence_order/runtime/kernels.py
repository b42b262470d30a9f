"""What computes the matrix products of linear layers on a CPU: chosen by measuring, once per machine.

PyTorch takes products of float32 from MKL, which on some processors leaves the wider vector units idle; oneDNN's are
faster there, and slower on others. Processors with units for bf16 multiply that several times as fast.
"""

import json
import logging
import platform
import re
import statistics
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Literal

import torch
import xxhash
from filelock import FileLock
from torch import Tensor
from torch.nn.functional import linear

from sentence_order.decoding import one_thread
from sentence_order.errors import UserError
from sentence_order.runtime.files import atomic_file, cache_folder

log = logging.getLogger(__name__)

PYTORCH, ONEDNN = "PyTorch", "oneDNN"
PRODUCTS = ("forward", "input_gradient", "weight_gradient")
# Another kernel than PyTorch's own must win by this factor, and bf16 by the other for training to take it by itself.
MIN_GAIN, MIN_GAIN_BF16 = 1.05, 1.3
VERSION = 1  # of how it is measured
# Measuring takes turns until the processor has taken these seconds, and at least three of them.
SECONDS, MIN_TURNS = 0.25, 3
LOCK_SECONDS = 30.0  # that a process waits for another that measures
# A quarter of the usual batch. Large layers are measured on fewer: this bounds the floating-point operations of a turn.
TOKENS, MAX_FLOP = 128, 6e9
# Products of fewer operations, as those of the tiny encoder, are not worth measuring.
MIN_FLOP = 5e7

Shapes = Mapping[tuple[int, int], int]  # how many layers have this number of outputs and inputs


@dataclass(frozen=True)
class Kernels:
    """What computes the products of linear layers on a CPU: the output, and the gradients of input and weight.

    Attributes:
        forward, input_gradient, weight_gradient: the library for each product in float32.
        bf16: where PyTorch multiplies in bf16 instead: nowhere; in training, where gradients are recorded; or in all
            passes. Inputs and results are rounded, sums are in float32.
    """

    forward: str = PYTORCH
    input_gradient: str = PYTORCH
    weight_gradient: str = PYTORCH
    bf16: Literal["nowhere", "training", "all"] = "nowhere"

    def __str__(self) -> str:
        if self.bf16 == "all":
            return "PyTorch in bf16"
        names = [getattr(self, product) for product in PRODUCTS]
        if len({*names}) == 1:
            text = names[0]
        else:
            each = zip(PRODUCTS, names, strict=True)
            text = ", ".join(f"{name} ({product.replace('_', ' ')})" for product, name in each)
        return f"{text}; PyTorch in bf16 where gradients are recorded" if self.bf16 == "training" else text

    def use_onednn(self, records: bool) -> bool:
        """True if oneDNN computes any product in float32 of a pass that records gradients, or of one that does not."""
        return self.forward == ONEDNN or (records and ONEDNN in (self.input_gradient, self.weight_gradient))

    def only(self, onednn: bool, bf16: bool) -> "Kernels":
        """The same for machines of which some may lack oneDNN, or units for bf16."""
        kernels = self if onednn else Kernels(bf16=self.bf16)
        return replace(kernels, bf16="nowhere") if kernels.bf16 == "training" and not bf16 else kernels


DEFAULT, BF16 = Kernels(), Kernels(bf16="all")


@dataclass(frozen=True)
class Measurement:
    """How many times as fast as PyTorch's own products in float32 others are, in the median of turns.

    Attributes:
        onednn: those of oneDNN, by product; empty if it is not available.
        bf16: all three in bf16, against the faster ones in float32; 0 if the processor has no units for it.
    """

    onednn: dict[str, float]
    bf16: float

    def __str__(self) -> str:
        gains = ", ".join(f"{product.replace('_', ' ')} {gain:.2f}" for product, gain in self.onednn.items())
        onednn = f"oneDNN is {gains} times as fast as PyTorch's own" if gains else "oneDNN is not available"
        bf16 = f"bf16 {self.bf16:.2f} times as fast as the faster ones" if self.bf16 else "this processor has no bf16"
        return f"{onednn}, {bf16}"

    @property
    def kernels(self) -> Kernels:
        """The fastest in float32."""
        faster = {product for product, gain in self.onednn.items() if gain >= MIN_GAIN}
        forward, of_input, of_weight = (ONEDNN if product in faster else PYTORCH for product in PRODUCTS)
        return Kernels(forward, of_input, of_weight)


def multiply(kernel: str, x_XI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias`; either matrix may be a transposed one."""
    if kernel == PYTORCH or not torch.backends.mkldnn.enabled:  # it ran out of memory: see `release_memory`
        return linear(x_XI, weight_OI, bias_O)
    return torch.ops.mkldnn._linear_pointwise(x_XI, weight_OI, bias_O, "none", [], "")


@cache
def onednn_available() -> bool:
    """True if this build of PyTorch has oneDNN's linear layers for this processor."""
    if not (torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability().startswith("AVX")):
        return False
    ones = torch.ones(2, 2, device="cpu")  # also while a checkpoint is loaded, when new tensors have no content
    try:  # PyTorch has the operator for its compiler, and does not promise it
        return torch.equal(multiply(ONEDNN, ones, ones), ones @ ones)
    except (AttributeError, RuntimeError, TypeError):
        return False


def choose_kernels(shapes: Shapes, *, auto_bf16: bool = False) -> Kernels:
    """What computes linear layers of these shapes on this machine in float32; logs the choice with its reason.

    It is measured once per machine: the figures are kept in the cache folder.

    Args:
        auto_bf16: multiply in bf16 where gradients are recorded, if that is faster by far.
    """
    if torch.are_deterministic_algorithms_enabled():
        kernels, reason = DEFAULT, "auto: runs are to be bit-identical"
    elif 3 * TOKENS * _flop(shapes) < MIN_FLOP:
        kernels, reason = DEFAULT, "auto: too small to measure"
    else:
        measured = _measure_once(tuple(sorted(shapes.items())))
        kernels = measured.kernels
        if auto_bf16 and measured.bf16 >= MIN_GAIN_BF16:
            kernels = replace(kernels, bf16="training")
        reason = f"auto: {measured}; they must win by {MIN_GAIN} and {MIN_GAIN_BF16}"
    log.debug("linear layers: %s (%s)", kernels, reason)
    return kernels


def _flop(shapes: Shapes) -> int:
    """Floating-point operations of one product of every shape for a token."""
    return sum(2 * outputs * inputs for outputs, inputs in shapes)


@cache
def _measure_once(shapes: tuple[tuple[tuple[int, int], int], ...]) -> Measurement:
    """What was measured on this machine before; other processes wait for the first, so that all choose alike."""
    instructions = [torch.backends.cpu.get_cpu_capability(), *(["bf16"] if has_bf16() else [])]
    processor = ", ".join([processor_name(), *instructions])
    key = {"version": VERSION, "processor": processor, "torch": torch.__version__, "shapes": shapes}
    digest = xxhash.xxh64_hexdigest(json.dumps(key, sort_keys=True).encode())
    measured = None
    try:
        file = cache_folder() / "kernels" / f"{digest}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock"), fallback_to_soft=False, timeout=LOCK_SECONDS):
            with suppress(OSError, ValueError, KeyError, TypeError):  # not measured yet, or a damaged file
                return Measurement(**json.loads(file.read_text(encoding="utf-8"))["measured"])
            measured = measure(dict(shapes))
            with atomic_file(file) as stream:
                json.dump({**key, "measured": asdict(measured)}, stream, indent=1)
    except (OSError, NotImplementedError, UserError):  # nothing can be kept or locked there, or there is no home folder
        pass
    return measured or measure(dict(shapes))


def processor_name() -> str:
    """The name of the processor."""
    name = re.search(r"model name\s*: (.+)", _cpu_info())
    return name[1] if name else platform.machine()


@cache
def has_bf16() -> bool:
    """True if the processor has units for bf16, without which products in it are many times slower."""
    return re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", _cpu_info()) is not None


def _cpu_info() -> str:
    file = Path("/proc/cpuinfo")
    return file.read_text(encoding="utf-8") if file.exists() else ""


@torch.no_grad()
@one_thread()
def measure(shapes: Shapes) -> Measurement:
    """Times the products of every shape by each kernel, in turns.

    What counts is the time of the processor in one thread, which other processes on the machine change by some percent,
    and the time that several threads take by a factor of two or more.
    """
    tokens = max(32, min(TOKENS, int(MAX_FLOP / (9 * _flop(shapes)))))
    drawn = partial(torch.randn, generator=torch.Generator().manual_seed(0))  # not from the state of a run's own draws
    inputs = [
        (drawn(tokens, width), drawn(outputs, width), drawn(tokens, outputs), count)
        for (outputs, width), count in shapes.items()
    ]
    kernels = [PYTORCH, ONEDNN] if onednn_available() else [PYTORCH]
    turns: list[dict[str, dict[str, float]]] = []
    end = time.thread_time() + SECONDS
    while len(turns) <= MIN_TURNS or time.thread_time() < end:
        turns.append({kernel: _time(inputs, kernel) for kernel in kernels})
        if has_bf16():
            turns[-1]["bf16"] = _time(inputs, PYTORCH, torch.bfloat16)
    del turns[0]  # which has warmed up

    def median(kernel: str, product: str) -> float:
        return statistics.median(turn[PYTORCH][product] / turn[kernel][product] for turn in turns)

    onednn = {product: round(median(ONEDNN, product), 3) for product in PRODUCTS if ONEDNN in kernels}
    bf16 = 0.0
    if has_bf16():
        fastest = Measurement(onednn, bf16).kernels
        bf16 = statistics.median(
            sum(turn[getattr(fastest, product)][product] for product in PRODUCTS) / sum(turn["bf16"].values())
            for turn in turns
        )
    return Measurement(onednn, round(bf16, 3))


def _time(
    inputs: list[tuple[Tensor, Tensor, Tensor, int]], kernel: str, dtype: torch.dtype = torch.float32
) -> dict[str, float]:
    """The seconds that each product takes in all layers, the first of them with the rounding of all inputs."""
    seconds = dict.fromkeys(PRODUCTS, 0.0)
    for x, weight, gradient, count in inputs:
        started = time.thread_time()
        x_, weight_, gradient_ = (tensor.to(dtype) for tensor in (x, weight, gradient))
        for product, left, right in zip(
            PRODUCTS, (x_, gradient_, gradient_.T), (weight_, weight_.T, x_.T), strict=True
        ):
            multiply(kernel, left, right).float()
            now = time.thread_time()
            seconds[product] += count * (now - started)
            started = now
    return seconds
