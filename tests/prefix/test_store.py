"""Shards are whole or not there, and the one that was not used for longest is the first to go."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from sentence_order.prefix.store import Store

ABOUT = {"prefix": "embeddings to layer_2"}


def add(store: Store, key: str, *texts: bytes, used: int = 0) -> Path:
    digests = np.array([text.ljust(16, b"-") for text in texts], dtype="S16")
    count = np.arange(1, len(texts) + 1)
    states = torch.cat([torch.full((k + 1, 8), float(k)) for k in range(len(texts))])
    with store.lock(key):
        path = store.add(key, ABOUT, digests, count, states).path
    os.utime(path, (used, used))
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add(store, "k", b"one", b"two", b"three")
    (shard,) = store.open("k")
    assert [digest.rstrip(b"-") for digest in shard.digests.tolist()] == [b"one", b"two", b"three"]
    assert shard.start.tolist() == [0, 1, 3]
    assert shard.count.tolist() == [1, 2, 3]
    assert shard.states[3:6].unique().tolist() == [2.0]
    assert shard.intact()
    assert store.open("another") == []


def test_entries_tell_what_they_are(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, new = add(store, "a", b"one", used=1), add(store, "b", b"one", used=2)
    (tmp_path / "b" / "bad.safetensors").write_bytes(b"x")
    os.utime(tmp_path / "b" / "bad.safetensors", (0, 0))
    entries = store.entries()
    assert [entry.path for entry in entries[:2]] == [new, old]
    assert entries[0].about == ABOUT
    assert entries[0].bytes == new.stat().st_size
    assert "damaged" in entries[2].about


def test_least_recently_used_goes_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    paths = [add(store, key, b"one", used=used) for key, used in (("a", 3), ("b", 1), ("c", 2))]
    size = paths[0].stat().st_size
    assert store.make_room(size, 3 * size, keep=set()) is None
    assert [path.exists() for path in paths] == [True, False, True]
    assert store.make_room(size, 2 * size, keep={paths[2]}) is None
    assert [path.exists() for path in paths] == [False, False, True]
    reason = store.make_room(size, 2 * size - 1, keep={paths[2]})
    assert reason is not None
    assert "cache.max_gb" in reason
    assert paths[2].exists()


def test_a_removed_shard_stays_readable_where_it_is_open(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = add(store, "k", b"one", b"two")
    (shard,) = store.open("k")
    path.unlink()
    assert shard.states.tolist() == [[0.0] * 8, [1.0] * 8, [1.0] * 8]


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file")
    with pytest.raises(OSError), store.lock("k"):  # noqa: PT011 - which one depends on the system
        pass
