"""The processes that train one model together, as `torchrun` starts them; one alone is the plain case of it.

A step's batches are those of a single process, whatever the number of processes: each takes its share of every batch's
documents, and what they have found is added up. So a run's losses do not depend on their number, and a run may go on
with another one.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from sentence_order.errors import TrainingError, first_line

T = TypeVar("T")

# How long one may keep the others waiting: in a step, and while the first one prepares a corpus for all.
STEP_TIMEOUT, PREPARATION_TIMEOUT = timedelta(minutes=10), timedelta(days=2)
# Numbers that are added up in one message.
MESSAGE_NUMBERS = 2**24
_patient: Any = None  # the group of processes that may wait for long


@dataclass(frozen=True)
class Processes:
    """Which one of how many this is.

    Attributes:
        rank: from 0 on; the first writes and speaks for all.
        local_rank: among those of its machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this one writes and speaks."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """The items that are this one's to do."""
        return list(items[self.rank :: self.count])

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by the sum of what all have there, the same for all to the last bit.

        Raises:
            TrainingError: another one has ended.
        """
        if self.count == 1:
            return
        with _together():
            for part in _messages(tensors):
                flat = torch.cat([tensor.flatten() for tensor in part])
                dist.all_reduce(flat)
                if flat.is_cuda:
                    torch.cuda.current_stream().synchronize()  # or nccl tells of a failure later, elsewhere
                for tensor, total in zip(part, flat.split([tensor.numel() for tensor in part]), strict=True):
                    tensor.copy_(total.view_as(tensor))

    def gather(self, value: T) -> list[T]:
        """What each of them has, by rank. Raises TrainingError: another one has ended."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        with _together():
            dist.all_gather_object(values, value)
        return values

    def from_first(self, value: T) -> T:
        """What the first one has. Raises TrainingError: another one has ended."""
        return self.gather(value)[0]

    @contextmanager
    def one_first(self) -> Iterator[None]:
        """The block runs in one process of each machine, and then in the others, which find what it left on the disk.

        Raises:
            TrainingError: another one has ended.
        """
        if self.local_rank > 0:
            self.wait()
        yield
        if self.local_rank == 0:
            self.wait()

    def wait(self) -> None:
        """Until all have come here, which may take long. Raises TrainingError: another one has ended."""
        if self.count == 1:
            return
        with _together():
            dist.barrier(_patient)


ALONE = Processes()


def started_by_torchrun() -> bool:
    """Whether this process is one of several."""
    return {"RANK", "LOCAL_RANK"} <= os.environ.keys() and os.environ.get("WORLD_SIZE", "1") != "1"


def join(device: str) -> Processes:
    """Joins the other processes, where there are any.

    Args:
        device: the config key; on a CPU they speak by gloo, on CUDA by nccl.
    """
    if not started_by_torchrun():
        return ALONE
    on_cuda = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    global _patient
    with _together():
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_cuda else "gloo", timeout=STEP_TIMEOUT)
        _patient = dist.new_group(backend="gloo", timeout=PREPARATION_TIMEOUT)
    return Processes(dist.get_rank(), dist.get_world_size(), int(os.environ["LOCAL_RANK"]))


def leave() -> None:
    """Parts from the other processes; what they still wait for fails."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # how torch tells of a connection that is closed, or silent for too long
        raise TrainingError(
            f"another process of this run has ended, or does not answer ({first_line(error)})"
        ) from error


def _messages(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbours of one type, up to so many numbers that a copy of them is no burden."""
    part: list[Tensor] = []
    for tensor in tensors:
        if part and (
            tensor.dtype != part[0].dtype or sum(one.numel() for one in part) + tensor.numel() > MESSAGE_NUMBERS
        ):
            yield part
            part = []
        part.append(tensor)
    if part:
        yield part
