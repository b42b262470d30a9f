"""Shards are complete or absent, and the least recently used one is removed first."""

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sentence_order.prefix_cache.store import FREE_BYTES, Store

KEYS = ["0123456789abcdef" * 2, "a" * 32, "b" * 32]
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
    add(store, KEYS[0], b"one", b"two", b"three")
    (shard,) = store.open(KEYS[0])
    assert [digest.rstrip(b"-") for digest in shard.digests.tolist()] == [b"one", b"two", b"three"]
    assert shard.start.tolist() == [0, 1, 3]
    assert shard.count.tolist() == [1, 2, 3]
    assert shard.states[3:6].min() == shard.states[3:6].max() == 2
    assert shard.intact(np.arange(3))
    assert store.open(KEYS[1]) == []


def test_entries_have_their_description_and_size(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, new = add(store, KEYS[0], b"one", used=1), add(store, KEYS[1], b"one", used=2)
    bad = tmp_path / KEYS[1] / "bad.states"
    bad.write_bytes(old.read_bytes()[:-1])
    os.utime(bad, (0, 0))
    entries = store.entries()
    assert [entry.path for entry in entries[:2]] == [new, old]
    assert entries[0].about == ABOUT
    assert entries[0].bytes == new.stat().st_size
    assert [entry.damaged() for entry in entries] == [False, False, True]


def test_least_recently_used_shard_is_removed_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    paths = [add(store, key, b"one", used=used) for key, used in zip(KEYS, (3, 1, 2), strict=True)]
    size = paths[0].stat().st_size
    store.make_room(size, 3 * size, keep=set())
    assert [path.exists() for path in paths] == [True, False, True]
    store.make_room(size, 2 * size, keep={paths[2]})
    assert [path.exists() for path in paths] == [False, False, True]


def test_nothing_is_removed_if_there_would_not_be_room_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    paths = [add(store, key, b"one") for key in KEYS[:2]]
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
    """As in a folder of data that is named as cache by mistake."""
    store = Store(tmp_path)
    own = add(store, KEYS[0], b"one")
    shard, contents = own.read_bytes(), {}
    save_file({"states": torch.zeros(2, 8)}, tmp_path / "plain", {"format": "pt"})
    foreign = {"mine": (tmp_path / "plain").read_bytes(), "empty": b"", "noise": b"\xff" * 2000, "json": b"[" * 5000}
    for folder in (KEYS[0], "climate", KEYS[1].upper(), KEYS[1][:-1]):
        (tmp_path / folder).mkdir(exist_ok=True)
        contents |= {tmp_path / folder / f"{name}.states": content for name, content in foreign.items()}
        contents |= {
            tmp_path / folder / name: b"" for name in ("training.tmp", ".tmp-notes", "half.unfinished", "lock.txt")
        }
    contents |= {tmp_path / "climate" / own.name: shard}
    for path, content in contents.items():
        path.write_bytes(content)
    os.mkfifo(tmp_path / KEYS[0] / "pipe.states")

    assert [entry.path for entry in store.entries()] == [own]
    store.open(KEYS[0])
    store.make_room(1, own.stat().st_size, keep=set())
    assert not own.exists()
    add(store, KEYS[0], b"one")
    store.clear(KEYS[0])
    assert store.entries() == []
    assert {path: path.read_bytes() for path in contents} == contents
    assert (tmp_path / KEYS[0] / "pipe.states").is_fifo()


def test_a_process_that_makes_no_progress_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentence_order.prefix_cache.store.STALLED_SECONDS", 0.2)
    filling, store = Store(tmp_path), Store(tmp_path)
    with filling.lock(KEYS[0]), pytest.raises(OSError, match="no progress"), store.lock(KEYS[0]):
        pass

    waits = threading.Event()

    def wait() -> None:
        with store.lock(KEYS[0]):
            waits.set()

    thread = threading.Thread(target=wait)
    with filling.lock(KEYS[0]):
        thread.start()
        for _ in range(200):
            filling.report_progress(KEYS[0])
            time.sleep(0.005)
    thread.join()
    assert waits.is_set()


def test_files_of_killed_writers_are_removed_and_shards_have_default_permissions(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = add(store, KEYS[0], b"one")
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    for name in (".tmpAb12Cd", f"{path.stem}.unfinished"):  # as safetensors and the store name what they write
        (tmp_path / KEYS[0] / name).write_bytes(b"x")
    with store.lock(KEYS[0]):
        assert {left.name for left in (tmp_path / KEYS[0]).iterdir()} == {"lock", path.name}


def test_a_removed_shard_stays_readable_while_it_is_open(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = add(store, KEYS[0], b"one", b"two")
    (shard,) = store.open(KEYS[0])
    path.unlink()
    assert shard.states.tolist() == [[0.0] * 8, [1.0] * 8, [1.0] * 8]


def test_a_folder_that_cannot_be_written_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file")
    with pytest.raises(OSError), store.lock(KEYS[0]):  # noqa: PT011 - which one depends on the system
        pass
