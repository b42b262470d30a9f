"""The machine a program runs on: device, precision and worker processes, each choice logged once with its reason."""

import ctypes
import logging
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from sentence_order.config import Precision
from sentence_order.errors import UserError
from sentence_order.model.linear import onednn_is_there

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runtime:
    """Where and in which precision to compute."""

    device: torch.device
    bf16: bool

    def autocast(self) -> AbstractContextManager[object]:
        """The context of every forward pass."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else nullcontext()


def choose_runtime(device: str, precision: Precision) -> Runtime:
    """Resolves the config keys `device` and `precision`, and sets the allocator up for computing.

    Raises:
        UserError: a device that is not there.
    """
    _keep_freed_memory()
    chosen, reason = _choose_device(device)
    log.info("device: %s (%s)", chosen, reason)
    if chosen.type == "cpu":
        onednn = "oneDNN (auto: it uses this processor's vector units as well as MKL, or better)"
        log.info("linear layers: %s", onednn if onednn_is_there() else "PyTorch's own (auto: no oneDNN here)")
    bf16, reason = _choose_bf16(precision, chosen)
    log.info("precision: %s (%s)", "bf16 autocast" if bf16 else "fp32", reason)
    return Runtime(chosen, bf16)


def _keep_freed_memory() -> None:
    """Tells glibc to keep freed blocks, however large, for the next step.

    Given back to the system, as is its habit, they come back page by page, which takes a tenth of a step on a CPU.
    """
    trim_threshold, mmap_max = -1, -4  # malloc.h
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_max, 0)


def _choose_device(setting: str) -> tuple[torch.device, str]:
    if setting == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda"), f"auto: {torch.cuda.get_device_name()}"
        return torch.device("cpu"), f"auto: no CUDA device; {torch.get_num_threads()} threads"
    try:
        device = torch.device(setting)
    except RuntimeError as error:
        raise UserError(f"device: {setting!r} is not a device; accepted are auto, cpu, cuda and cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device: {setting!r} is not supported; accepted are auto, cpu, cuda and cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device: {setting!r} is not there; {torch.cuda.device_count()} CUDA devices were found")
    return device, "as set"


def _choose_bf16(setting: Precision, device: torch.device) -> tuple[bool, str]:
    if setting is not Precision.auto:
        return setting is Precision.bf16, "as set"
    if device.type == "cpu":
        return False, "auto: on a CPU bf16 is no faster, and many times slower where the CPU has no units for it"
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return True, "auto: this CUDA device computes in bf16"
    return False, "auto: this CUDA device has no bf16"


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has needed so far: of the GPU's memory, or of its own, mapped files left out."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # what was freed stays with the process (see above), so that this does not go down
        line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def choose_workers(setting: int | None, device: torch.device) -> int:
    """How many processes make examples (`trainer.workers`)."""
    if setting is not None:
        workers, reason = setting, "as set"
    elif device.type == "cpu":
        workers, reason = 0, "auto: on a CPU they would take the cores that train"
    else:
        workers, reason = (
            max(0, min(4, (os.cpu_count() or 1) - 1)),
            "auto: up to 4, one core left to the training process",
        )
    log.info("workers: %d (%s)", workers, reason)
    return workers


def make_deterministic() -> None:
    """Bit-identical runs, at some cost in speed on CUDA."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
