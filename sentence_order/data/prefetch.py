"""Makes batches ahead of the steps that read them, and copies them to a CUDA device while it computes."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from sentence_order.data.examples import READ_ON_DEVICE, Batch
from sentence_order.runtime.device import out_of_memory

T = TypeVar("T")


def prefetch(items: Iterable[T], depth: int, on_start: Callable[[], object] = lambda: None) -> Generator[T, None, None]:
    """Yields the items, of which a thread makes up to `depth` ahead; the thread ends with the generator.

    An error in making an item is raised in its place. The thread calls `on_start` first.
    """
    source, end = iter(items), object()
    with ThreadPoolExecutor(1, "prefetch", on_start) as thread:
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

    def use_device(self) -> None:
        """Makes its device the current one of this thread, or the first device would be prepared for use as well."""
        torch.cuda.set_device(self.stream.device)

    def send(self, batches: list[Batch]) -> tuple[list[Batch], torch.cuda.Event]:
        """Starts to copy batches; returns the copies, and the event after which they can be read.

        What no step reads on the device stays on the CPU. So does a tensor that the device has no room for: the step
        that reads it handles that.
        """
        with torch.cuda.stream(self.stream):
            copies = [{name: self._copy(name, tensor) for name, tensor in batch.items()} for batch in batches]
            return copies, self.stream.record_event()

    def receive(self, copies: list[Batch], copied: torch.cuda.Event) -> list[Batch]:
        """Makes the stream that computes wait for the copies, and keeps their memory until it has read them."""
        current = torch.cuda.current_stream(self.device)
        current.wait_event(copied)
        for tensor in (tensor for batch in copies for tensor in batch.values() if tensor.is_cuda):
            tensor.record_stream(current)
        return copies

    def _copy(self, name: str, tensor: Tensor) -> Tensor:
        if name not in READ_ON_DEVICE:
            return tensor
        pinned = tensor.pin_memory()
        try:
            return pinned.to(self.device, non_blocking=True)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            return pinned
