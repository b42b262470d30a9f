"""Items are made ahead by a thread that ends with them; batches are copied beside the computation."""

import gc
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
import torch

from sentence_order.data.prefetch import CopyStream, prefetch
from tests.streams import Streams

LIMIT = 60  # seconds that bound a wait which should end at once


class Source:
    """Items 0, 1, ..., each of which may be made once `allow` has been called for it."""

    def __init__(self, allowed: int = 0) -> None:
        self.permits = threading.Semaphore(allowed)
        self.made, self.threads = 0, set[int]()
        self.changed = threading.Condition()

    def __iter__(self) -> Iterator[int]:
        while True:
            assert self.permits.acquire(timeout=LIMIT)
            with self.changed:
                self.made += 1
                self.threads.add(threading.get_ident())
                self.changed.notify_all()
            yield self.made - 1

    def wait_for(self, made: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.made >= made, timeout=LIMIT)


@pytest.fixture(autouse=True)
def _all_threads_end() -> Iterator[None]:
    yield
    gc.collect()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_items_come_in_their_order(depth: int, count: int) -> None:
    assert list(prefetch(iter(range(count)), depth)) == list(range(count))


@pytest.mark.parametrize("depth", [1, 3])
def test_one_thread_makes_so_many_items_ahead_and_no_more(depth: int) -> None:
    """Where the consumer is slow, they are made before it asks; never one too many."""
    source = Source(allowed=10**6)
    with closing(prefetch(source, depth)) as items:
        for number in range(4):
            assert next(items) == number
            source.wait_for(number + 1 + depth)
            assert source.made == number + 1 + depth
    assert len(source.threads) == 1
    assert threading.get_ident() not in source.threads


def test_a_consumer_that_is_faster_waits() -> None:
    source = Source()
    items = prefetch(source, 2)
    for number in range(3):
        later = threading.Timer(0.01, source.permits.release)
        later.start()
        assert next(items) == number
        later.join()
    source.permits.release(10)
    items.close()


@pytest.mark.parametrize("depth", [1, 4])
def test_an_exception_comes_in_its_place(depth: int) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise MemoryError("the fourth")

    ahead = prefetch(items(), depth)
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(MemoryError, match="the fourth"):
        next(ahead)
    with pytest.raises(StopIteration):
        next(ahead)


@pytest.mark.parametrize("read", [0, 1, 3])
@pytest.mark.parametrize("how", ["closed", "deleted", "failed"])
def test_the_thread_ends_with_the_generator(read: int, how: str) -> None:
    """However the consumer stops; the check is that of every test here."""
    source = Source(allowed=10**6)
    items = prefetch(source, 2)
    for _ in range(read):
        next(items)
    if how == "closed":
        items.close()
    elif how == "failed":
        with pytest.raises(ZeroDivisionError), closing(items):
            raise ZeroDivisionError
    made = source.made
    del items
    gc.collect()
    assert source.made - made <= 2


def batch_of(start: int) -> dict[str, torch.Tensor]:
    return {name: torch.arange(start, start + 3) for name in ("input_ids", "lengths", "mask")}


def test_batches_are_copied_beside_the_computation_which_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = Streams(monkeypatch)
    stream = CopyStream(torch.device("cuda"))
    batches = [batch_of(0), batch_of(3)]
    copies, event = stream.send(batches)
    assert streams.done == ["copy"] * 4 + ["record"]
    received = stream.receive(copies, event)
    assert streams.done[5:] == ["wait"] + ["keep"] * 4
    for batch, expected in zip(received, batches, strict=True):
        assert [name for name, tensor in batch.items() if not tensor.is_cuda] == ["lengths"]
        assert all(torch.equal(batch[name], expected[name]) for name in expected)


def test_what_the_device_has_no_room_for_stays_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = Streams(monkeypatch)
    streams.room = 3
    stream = CopyStream(torch.device("cuda"))
    received = stream.receive(*stream.send([batch_of(0), batch_of(3)]))
    assert [tensor.is_cuda for batch in received for tensor in batch.values()] == [
        True,
        False,
        True,
        True,
        False,
        False,
    ]
    assert all(torch.equal(tensor, torch.arange(3, 6)) for tensor in received[1].values())
