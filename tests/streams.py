"""A stand-in for the streams of a CUDA device, whose copies stay on the CPU."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor


class Streams:
    """Replaces PyTorch's streams and copies.

    Attributes:
        done: what has been done, in order: `copy`, `record` (an event), `wait` (for one) and `keep` (a copy's memory).
        room: for how many copies the device has memory.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.room = 10**9
        self.own = threading.local()
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(self))
        monkeypatch.setattr(torch.cuda, "stream", self.use)
        monkeypatch.setattr(torch.cuda, "set_device", lambda device: setattr(self.own, "device", device))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream(self))
        monkeypatch.setattr(Tensor, "pin_memory", Tensor.clone)
        monkeypatch.setattr(
            Tensor, "to", lambda tensor, *arguments, **options: self.copy(tensor, *arguments, **options)
        )
        monkeypatch.setattr(Tensor, "is_cuda", property(lambda tensor: hasattr(tensor, "stream")))
        monkeypatch.setattr(Tensor, "record_stream", lambda tensor, stream: self.done.append("keep"))

    @contextmanager
    def use(self, stream: "Stream") -> Iterator[None]:
        self.own.stream = stream
        yield
        self.own.stream = None

    def copy(self, tensor: Tensor, device: torch.device, non_blocking: bool) -> Tensor:
        assert device.type == "cuda"
        assert non_blocking
        if self.done.count("copy") == self.room:
            raise torch.OutOfMemoryError("no room")
        self.done.append("copy")
        copy: Any = tensor.clone()
        copy.stream = self.own.stream
        assert copy.stream is not None, "the stream that computes would copy"
        is_main = threading.current_thread() is threading.main_thread()
        assert is_main or self.own.device == copy.stream.device, "another device would be prepared as well"
        return copy


class Stream:
    device = torch.device("cuda", 1)

    def __init__(self, streams: Streams) -> None:
        self.streams = streams

    def record_event(self) -> "Stream":
        assert self.streams.own.stream is self
        self.streams.done.append("record")
        return self

    def wait_event(self, event: "Stream") -> None:
        self.streams.done.append("wait")
