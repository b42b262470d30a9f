"""The machine a program runs on: device, precision and worker processes, each choice logged once with its reason."""

import ctypes
import gc
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
from sentence_order.processes import ALONE, Processes

log = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16 autocast", torch.float16: "fp16 autocast, scaled losses"}


@dataclass(frozen=True)
class Runtime:
    """Where and in which precision to compute, and beside which other processes."""

    device: torch.device
    precision: torch.dtype = torch.float32
    processes: Processes = ALONE

    def autocast(self) -> AbstractContextManager[object]:
        """The context of every forward pass."""
        if self.precision is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.precision)


def choose_runtime(device: str, precision: Precision, processes: Processes = ALONE) -> Runtime:
    """Resolves the config keys `device` and `precision`, and sets the allocator up for computing.

    Raises:
        UserError: a device that is not there.
    """
    _keep_freed_memory()
    chosen, reason = _choose_device(device, processes)
    log.info("device: %s (%s)", chosen, reason)
    if chosen.type == "cpu":
        onednn = "oneDNN (auto: it uses this processor's vector units as well as MKL, or better)"
        log.info("linear layers: %s", onednn if onednn_is_there() else "PyTorch's own (auto: no oneDNN here)")
    dtype, reason = _choose_precision(precision, chosen)
    log.info("precision: %s (%s)", PRECISIONS[dtype], reason)
    if processes.count > 1:
        log.info("processes: %d, each with its share of every batch (WORLD_SIZE, as torchrun sets it)", processes.count)
    return Runtime(chosen, dtype, processes)


def _keep_freed_memory() -> None:
    """Tells glibc to keep freed blocks, however large, for the next step.

    Given back to the system, as is its habit, they come back page by page, which takes a tenth of a step on a CPU.
    """
    trim_threshold, mmap_max = -1, -4  # malloc.h
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_max, 0)


def _choose_device(setting: str, processes: Processes) -> tuple[torch.device, str]:
    if processes.count > 1 and (setting == "cuda" or (setting == "auto" and torch.cuda.is_available())):
        if processes.local_rank >= torch.cuda.device_count():
            raise UserError(
                f"device: {torch.cuda.device_count()} CUDA devices were found, too few for the processes that torchrun "
                "starts; lower --nproc_per_node, or add device=cpu"
            )
        torch.cuda.set_device(processes.local_rank)
        return torch.device("cuda", processes.local_rank), "one for each process of this machine"
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
    if device.type == "cuda" and device.index is not None and processes.count > 1:
        raise UserError(f"device: {setting!r} is one device for {processes.count} processes; give cuda or auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device: {setting!r} is not there; {torch.cuda.device_count()} CUDA devices were found")
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # what asks for the current one means this
    return device, "as set"


def _choose_precision(setting: Precision, device: torch.device) -> tuple[torch.dtype, str]:
    if setting is not Precision.auto:
        return DTYPES[setting.value], "as set"
    if device.type == "cpu":
        return (
            torch.float32,
            "auto: on a CPU bf16 is no faster, and many times slower where the CPU has no units for it",
        )
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16, "auto: this CUDA device computes in bf16"
    return torch.float32, "auto: this CUDA device has no bf16; precision=fp16 is there"


def out_of_memory(error: BaseException) -> bool:
    """Whether this is how a device, or the system, says that it has no more memory to give."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # What PyTorch's allocator and oneDNN say on a CPU.
    told = ("can't allocate memory", "could not create a primitive")
    return isinstance(error, RuntimeError) and any(words in str(error) for words in told)


def give_back_memory(device: torch.device) -> None:
    """Returns to the device, or the system, what has been freed and kept; after an allocation that failed.

    On a CPU it also does without oneDNN from then on, which needs memory of its own for every new shape.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return
    torch.backends.mkldnn.set_flags(False)
    if sys.platform == "linux" and (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        malloc_trim(0)


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
