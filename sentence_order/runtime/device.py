"""Device, precision and batches made ahead; each choice is written to the log file with its reason."""

import ctypes
import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from sentence_order.config.schema import Precision
from sentence_order.errors import UserError
from sentence_order.runtime.distributed import SINGLE_PROCESS, Processes
from sentence_order.runtime.kernels import DEFAULT, Kernels
from sentence_order.runtime.threads import limit_threads

log = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Runtime:
    """The device and precision to compute with, and the processes that train together."""

    device: torch.device
    precision: torch.dtype = torch.float32
    processes: Processes = SINGLE_PROCESS
    kernels: Kernels = DEFAULT  # of linear layers, on a CPU

    @property
    def precision_name(self) -> str:
        """The precision as the config key names it."""
        return next(name for name, one in DTYPES.items() if one is self.precision)

    def autocast(self) -> AbstractContextManager[object]:
        """The context of every forward pass. On a CPU in bf16 there is none: linear layers alone compute in it."""
        if self.precision is torch.float32 or (self.device.type == "cpu" and self.precision is torch.bfloat16):
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.precision)

    def describe(self) -> str:
        """The choices for a line of the console."""
        return f"device {self.device}, precision {self.describe_precision()}"

    def describe_precision(self) -> str:
        """What is computed in which precision."""
        if self.precision is torch.float32:
            return "fp32, bf16 in trained linear layers" if self.kernels.bf16 == "training" else "fp32"
        if self.precision is torch.float16:
            return "fp16 autocast, scaled losses"
        return "bf16 in linear layers" if self.device.type == "cpu" else "bf16 autocast"


def choose_runtime(device: str, precision: Precision, processes: Processes = SINGLE_PROCESS) -> Runtime:
    """Resolves the config keys `device` and `precision`. Raises UserError if the device does not exist.

    It also limits the number of PyTorch's threads, see `limit_threads`.
    """
    limit_threads()
    _keep_freed_memory()
    # In bf16 and fp16 cuDNN's attention prepares a plan for every new shape, which batches keep bringing: a training
    # step took 1.2 to 11 times as long (benchmarks/cuda.md).
    torch.backends.cuda.enable_cudnn_sdp(False)
    chosen, reason = _choose_device(device, processes)
    log.debug("device: %s (%s)", chosen, reason)
    dtype, reason = _choose_precision(precision, chosen)
    runtime = Runtime(chosen, dtype, processes)
    log.debug("precision: %s (%s)", runtime.precision_name, reason)
    if processes.world_size > 1:
        log.info("processes: %d, which share the work (WORLD_SIZE, as torchrun sets it)", processes.world_size)
    return runtime


def _keep_freed_memory() -> None:
    """Makes glibc keep freed blocks of any size for the next step.

    By default it returns them to the system, and getting them back page by page takes a tenth of a step on a CPU.
    """
    trim_threshold, mmap_max = -1, -4  # malloc.h
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_max, 0)


def _choose_device(setting: str, processes: Processes) -> tuple[torch.device, str]:
    if setting == "auto" and not torch.cuda.is_available():
        return torch.device("cpu"), "auto: no CUDA device"
    if processes.world_size > 1 and setting in ("auto", "cuda"):
        if processes.local_rank >= torch.cuda.device_count():
            raise UserError(
                f"device: {torch.cuda.device_count()} CUDA devices were found, too few for the processes that torchrun "
                "starts; lower --nproc_per_node, or add device=cpu"
            )
        torch.cuda.set_device(processes.local_rank)
        return torch.device("cuda", processes.local_rank), "one for each process of this machine"
    if setting == "auto":
        return torch.device("cuda"), f"auto: {torch.cuda.get_device_name()}"
    device = torch.device(setting)
    if device.type == "cpu":
        return device, "as set"
    if device.index is not None and processes.world_size > 1:
        raise UserError(f"device: {setting!r} is one device for {processes.world_size} processes; give cuda or auto")
    if (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device: {setting!r} does not exist; {torch.cuda.device_count()} CUDA devices were found")
    if device.index is not None:
        torch.cuda.set_device(device)  # for code that asks for the current device
    return device, "as set"


def _choose_precision(setting: Precision, device: torch.device) -> tuple[torch.dtype, str]:
    if setting is not Precision.auto:
        return DTYPES[setting.value], "as set"
    if device.type == "cpu":
        return torch.float32, "auto: on a CPU"
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16, "auto: this CUDA device supports bf16"
    return torch.float32, "auto: this CUDA device does not support bf16; try precision=fp16"


def to_device(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """An array as a tensor on a device. CUDA copies it from pinned memory when it gets there; nothing waits."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def to_host(tensor: Tensor) -> npt.NDArray[Any]:
    """A tensor as an array. If it is on CUDA, all is waited for that CUDA still does."""
    array: npt.NDArray[Any] = tensor.cpu().numpy()
    return array


def out_of_memory(error: BaseException) -> bool:
    """True for an error by which a device, or the system, reports that it is out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The messages of PyTorch's allocator and of oneDNN on a CPU.
    messages = ("can't allocate memory", "could not create a primitive")
    return isinstance(error, RuntimeError) and any(message in str(error) for message in messages)


def release_memory(device: torch.device) -> None:
    """Returns freed memory to the device or the system, after an allocation that failed.

    On a CPU it also switches oneDNN off from then on, which keeps memory for what it compiles.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return
    torch.backends.mkldnn.set_flags(False)
    if sys.platform == "linux" and (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        malloc_trim(0)


def available_memory(device: torch.device) -> int:
    """Bytes of a GPU that this process has or can get."""
    free, total = torch.cuda.mem_get_info(device)
    allowed = torch.cuda.get_per_process_memory_fraction(device.index) * total
    return min(free + torch.cuda.memory_reserved(device), int(allowed))


def reset_peak_memory(device: torch.device) -> None:
    """From here on `peak_memory` of a GPU is measured anew; that of a process cannot be."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Peak memory of this process in bytes: of the GPU, or its own without mapped files."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # freed memory stays with the process (see above), so this does not go down
        line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def choose_steps_ahead(device: torch.device) -> int:
    """The number of steps whose batches a thread makes, and copies to the device, ahead."""
    steps, reason = 2, "so that the device does not wait for them"
    if device.type == "cpu":
        steps, reason = 0, "on a CPU a thread would take the cores that train"
    log.debug("steps whose batches are made ahead: %d (auto: %s)", steps, reason)
    return steps


def make_deterministic() -> None:
    """Bit-identical runs, at some cost in speed on CUDA."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)


@contextmanager
def anomaly_detection(is_wanted: bool) -> Iterator[None]:
    """Within the block, if wanted, a backward pass stops where a NaN is made, and runs are bit-identical."""
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    if is_wanted:
        make_deterministic()
    try:
        with torch.autograd.set_detect_anomaly(is_wanted):
            yield
    finally:
        torch.use_deterministic_algorithms(was_deterministic)
