"""The processes that work together, as `torchrun` starts them; a single one is the plain case.

In training each takes its shard of every batch's documents, and their gradients are summed. So a run's losses do not
depend on the number of processes, and a run may resume with another number.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Timer
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from sentence_order.errors import TrainingError, UserError, first_line
from sentence_order.runtime.console import log
from sentence_order.runtime.environment import check_environment, is_distributed

T = TypeVar("T")

# How long one may keep the others waiting: in a step, and while the main process prepares a corpus for all.
STEP_TIMEOUT, SETUP_TIMEOUT = timedelta(minutes=10), timedelta(days=2)
# After so long without the others, the wait for them is logged.
SILENT_SECONDS = 5.0
# Numbers that are summed in one message.
BUCKET_SIZE = 2**24
_slow_group: Any = None  # whose barriers may take long


@contextmanager
def connection_errors() -> Iterator[None]:
    """Within the block, a connection that another process has closed, or not used for too long, is a TrainingError."""
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):  # whose errors name its source files
            raise
        message = f"another process of this run has ended or does not answer ({first_line(error)})"
        raise TrainingError(message) from error


@dataclass(frozen=True)
class Processes:
    """Which process of how many this is. What waits for another process raises TrainingError if that has ended."""

    rank: int = 0  # that of the main process, which writes files and logs for all, is 0
    world_size: int = 1
    local_rank: int = 0  # among the processes of its machine

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def shard(self, items: Sequence[T]) -> list[T]:
        """The items that are this process's to do."""
        return list(items[self.rank :: self.world_size])

    @connection_errors()
    def all_reduce_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its sum over all processes, the same on all to the last bit."""
        if self.world_size == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in bucket])
            dist.all_reduce(flat)
            for tensor, total in zip(bucket, flat.split([tensor.numel() for tensor in bucket]), strict=True):
                tensor.copy_(total.view_as(tensor))

    @connection_errors()
    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def broadcast(self, value: T) -> T:
        """The value of the main process."""
        return self.gather(value)[0]

    def any_of(self, flags: Sequence[bool]) -> list[bool]:
        """Which flags are set in any process."""
        counts = torch.tensor([float(flag) for flag in flags])
        self.all_reduce_([counts])
        return [count > 0 for count in counts.tolist()]

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        """Runs the block in one process of each machine, and then in the others, which find its files on the disk.

        A UserError of any ends all of them, and one process reports it.
        """
        with self.errors_once():
            if self.local_rank > 0:
                self.barrier()
            try:
                yield
            finally:
                if self.local_rank == 0:
                    self.barrier()

    @contextmanager
    def errors_once(self) -> Iterator[None]:
        """Runs the block in all processes; a UserError of any ends all of them, and one process reports it.

        That is the first by rank that has one; the others end without a word.
        """
        error = None
        try:
            yield
        except UserError as caught:
            error = caught
        self.barrier()  # since one may need far longer than another
        ranks = [rank for rank, failed in enumerate(self.gather(error is not None)) if failed]
        if not ranks:
            return
        if self.rank == ranks[0]:
            assert error is not None
            raise error
        with suppress(TrainingError):
            self.barrier()  # until it has been reported: torchrun ends all processes as soon as one has ended
        sys.exit(2)

    @connection_errors()
    def barrier(self) -> None:
        """Waits until all processes are here, which may take long."""
        if self.world_size > 1:
            dist.barrier(_slow_group)


SINGLE_PROCESS = Processes()


@connection_errors()
def init_processes(device: str) -> Processes:
    """Connects to the other processes, if torchrun has started any; `device` is the config key."""
    if not is_distributed(os.environ):
        return SINGLE_PROCESS
    check_environment(os.environ)
    address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    message = "waiting at %s for the processes of RANK 0 to WORLD_SIZE - 1 = %d, as torchrun starts them; this is %s"
    waiting = Timer(SILENT_SECONDS, log.info, (message, address, int(os.environ["WORLD_SIZE"]) - 1, os.environ["RANK"]))
    waiting.daemon = True
    waiting.start()
    on_cuda = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    global _slow_group
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_cuda else "gloo", timeout=STEP_TIMEOUT)
    finally:
        waiting.cancel()
    _slow_group = dist.new_group(backend="gloo", timeout=SETUP_TIMEOUT)
    return Processes(dist.get_rank(), dist.get_world_size(), int(os.environ["LOCAL_RANK"]))


def destroy_processes() -> None:
    """Disconnects from the other processes; what they still wait for fails."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Adjacent tensors of one type, few enough that a copy of them is cheap."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        full = sum(other.numel() for other in bucket) + tensor.numel() > BUCKET_SIZE
        if bucket and (full or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
