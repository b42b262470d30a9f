"""Makes batches ahead of the steps that read them, and copies them to a CUDA device while it computes."""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from sentence_order.data.examples import Batch
from sentence_order.runtime.device import out_of_memory

T = TypeVar("T")


def prefetch(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yields the items, of which a thread makes up to `depth` ahead; the thread ends with the generator.

    What making an item raises is raised in its place.
    """
    source, end = iter(items), object()
    with ThreadPoolExecutor(1, "prefetch") as thread:
        ahead = deque(thread.submit(next, source, end) for _ in range(depth))
        try:
            while (item := ahead.popleft().result()) is not end:
                ahead.append(thread.submit(next, source, end))
                yield item  # type: ignore[misc]  # not the end
        finally:
            thread.shutdown(cancel_futures=True)


class CopyStream:
    """Copies batches on a stream of its own, beside the one that computes."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.stream = device, torch.cuda.Stream(device)

    def send(self, batches: list[Batch]) -> tuple[list[Batch], torch.cuda.Event]:
        """Starts to copy batches; returns the copies, and the event after which they can be read.

        `lengths` stay on the CPU, where the layout of a batch is made. What the device has no room for stays there as
        well: the step that reads it handles that.
        """
        with torch.cuda.stream(self.stream):
            pinned = [{name: tensor.pin_memory() for name, tensor in batch.items()} for batch in batches]
            copies = [{name: self._copy(name, tensor) for name, tensor in batch.items()} for batch in pinned]
            return copies, self.stream.record_event()

    def receive(self, copies: list[Batch], copied: torch.cuda.Event) -> list[Batch]:
        """Makes the stream that computes wait for the copies, and keeps their memory until it has read them."""
        current = torch.cuda.current_stream(self.device)
        current.wait_event(copied)
        for tensor in (tensor for batch in copies for tensor in batch.values() if tensor.is_cuda):
            tensor.record_stream(current)
        return copies

    def _copy(self, name: str, pinned: Tensor) -> Tensor:
        try:
            return pinned if name == "lengths" else pinned.to(self.device, non_blocking=True)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            return pinned
