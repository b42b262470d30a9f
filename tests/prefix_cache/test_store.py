"""Shards are complete or absent, and the least recently used one is removed first."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sentence_order.prefix_cache.store import FREE_BYTES, Store

ABOUT = {"prefix": "embeddings to layer_2"}


def add(store: Store, key: str, *texts: bytes, used: int = 0) -> Path:
    digests = np.array([text.ljust(16, b"-") for text in texts], dtype="S16")
    count = np.arange(1, len(texts) + 1)
    states = torch.cat([torch.full((k + 1, 8), float(k)) for k in range(len(texts))])
    with store.lock(key):
        path = store.add(key, ABOUT, digests, count, states).path
    os.utime(path, (used, used))
    return path


def test_a_shard_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add(store, "k", b"one", b"two", b"three")
    (shard,) = store.open("k")
    assert [digest.rstrip(b"-") for digest in shard.digests.tolist()] == [b"one", b"two", b"three"]
    assert shard.start.tolist() == [0, 1, 3]
    assert shard.count.tolist() == [1, 2, 3]
    assert shard.states[3:6].min() == shard.states[3:6].max() == 2
    assert shard.intact(np.arange(3))
    assert store.open("another") == []


def test_entries_have_their_description_and_size(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, new = add(store, "a", b"one", used=1), add(store, "b", b"one", used=2)
    (tmp_path / "b" / "bad.states").write_bytes(b"x")
    os.utime(tmp_path / "b" / "bad.states", (0, 0))
    entries = store.entries()
    assert [entry.path for entry in entries[:2]] == [new, old]
    assert entries[0].description() == ABOUT
    assert entries[0].bytes == new.stat().st_size
    assert entries[2].description() is None


def test_least_recently_used_shard_is_removed_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    paths = [add(store, key, b"one", used=used) for key, used in (("a", 3), ("b", 1), ("c", 2))]
    size = paths[0].stat().st_size
    store.make_room(size, 3 * size, keep=set())
    assert [path.exists() for path in paths] == [True, False, True]
    store.make_room(size, 2 * size, keep={paths[2]})
    assert [path.exists() for path in paths] == [False, False, True]


def test_nothing_is_removed_if_there_would_not_be_room_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    paths = [add(store, key, b"one") for key in ("a", "b")]
    size = paths[0].stat().st_size
    with pytest.raises(OSError, match=r"cache\.max_gb"):
        store.make_room(size, 2 * size - 1, keep={paths[0]})

    def disk_usage(folder: Path) -> SimpleNamespace:  # a disk of two and a half shards
        return SimpleNamespace(free=FREE_BYTES + 5 * size // 2 - sum(entry.bytes for entry in store.entries()))

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    with pytest.raises(OSError, match="disk"):
        store.make_room(2 * size, 10 * size, keep={paths[0]})
    assert all(path.exists() for path in paths)
    store.make_room(size, 10 * size, keep={paths[0]})
    assert [path.exists() for path in paths] == [True, False]
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=FREE_BYTES))
    with pytest.raises(OSError, match="disk"):  # removed, and still read by another process
        store.make_room(size // 2, 10 * size, keep=set())


def test_files_that_are_not_the_caches_own_are_kept(tmp_path: Path) -> None:
    """As in a folder of checkpoints that is named as cache by mistake."""
    (tmp_path / "model").mkdir()
    for name in ("model.safetensors", ".nfs0001", "training.tmp"):
        (tmp_path / "model" / name).write_bytes(b"weights")
    store = Store(tmp_path)
    path = add(store, "model", b"one")
    assert [entry.path for entry in store.entries()] == [path]
    store.make_room(1, path.stat().st_size, keep=set())
    store.clear("model")
    left = {left.name for left in (tmp_path / "model").iterdir()}
    assert left == {"model.safetensors", ".nfs0001", "training.tmp", "lock"}


def test_files_of_killed_writers_are_removed_and_shards_have_default_permissions(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = add(store, "k", b"one")
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    for name in (".tmpAb12Cd", "half.unfinished"):  # as safetensors and the store name what they write
        (tmp_path / "k" / name).write_bytes(b"x")
    with store.lock("k"):
        assert {left.name for left in (tmp_path / "k").iterdir()} == {"lock", path.name}


def test_a_removed_shard_stays_readable_while_it_is_open(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = add(store, "k", b"one", b"two")
    (shard,) = store.open("k")
    path.unlink()
    assert shard.states.tolist() == [[0.0] * 8, [1.0] * 8, [1.0] * 8]


def test_a_folder_that_cannot_be_written_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file")
    with pytest.raises(OSError), store.lock("k"):  # noqa: PT011 - which one depends on the system
        pass
