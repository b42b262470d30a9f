"""The files of the prefix cache: immutable, memory-mapped shards, shared by every run and process.

    DIR/KEY/NAME.states

KEY is a digest of everything that determines the output of a frozen prefix, except the text; a shard holds many texts,
each with a digest and a checksum. It is a safetensors file with another suffix and a header of its own, by which the
cache knows it from other files in DIR, which it never touches. It appears under its name only when it is complete, and
is never changed; a damaged one is removed. Writers of one KEY take turns by a lock, which is released if its process is
killed, and not waited for if its process makes no progress. A shard that something else cuts short while a run reads
it ends that run by SIGBUS, as with any mapped file.
"""

import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from filelock import BaseFileLock, FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sentence_order.arrays import FloatArray, IntArray
from sentence_order.runtime.files import UNFINISHED, set_default_permissions

log = logging.getLogger(__name__)

SUFFIX, LOCK = ".states", "lock"
DIGEST_BYTES = 16
# Names of folders, and of what killed writers leave in them: our own files, and those of safetensors.
KEY = "[0-9a-f]" * (2 * DIGEST_BYTES)
LEFTOVERS = ("[0-9a-f]" * 32 + UNFINISHED, ".tmp" + "[A-Za-z0-9]" * 6)
# The longest header of a shard.
HEADER_BYTES = 2**16
# How long a process that fills the cache may make no progress.
STALLED_SECONDS = 300.0
# Left free for the run's own checkpoints and logs.
FREE_BYTES = 2**30

Digests = np.ndarray[Any, np.dtype[np.bytes_]]


@dataclass(frozen=True)
class Shard:
    """An open shard: text k has `count[k]` rows of `states`, from `start[k]` on."""

    path: Path
    digests: Digests
    start: IntArray
    count: IntArray
    checksums: IntArray
    states: FloatArray

    def intact(self, entries: IntArray) -> bool:
        """True if the states of some of its texts match their checksums."""
        found = _checksums(self.digests[entries], self.start[entries], self.count[entries], self.states)
        return bool((found == self.checksums[entries]).all())


@dataclass(frozen=True)
class Entry:
    """A shard as it is listed."""

    path: Path
    key: str
    bytes: int
    used: float  # seconds since the epoch
    about: dict[str, str]  # the description of its prefix and texts

    def damaged(self) -> bool:
        """True if it cannot be opened; its content is not verified."""
        try:
            with safe_open(self.path, framework="pt"):
                return False
        except (SafetensorError, OSError, RuntimeError):
            return True


class Store:
    """The shards under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> list[Entry]:
        """Every shard, the one that was used last first, and no file of another program."""
        found = []
        for path in self.folder.glob(f"{KEY}/*{SUFFIX}"):
            with suppress(FileNotFoundError):  # another process has just removed it
                stat = path.stat()
                if (about := _read_about(path)) is not None:
                    found.append(Entry(path, path.parent.name, stat.st_size, stat.st_mtime, about))
        return sorted(found, key=lambda entry: -entry.used)

    def open(self, key: str) -> list[Shard]:
        """The shards of one key. Their content is not verified yet: see `Shard.intact`."""
        shards = []
        for path in sorted((self.folder / key).glob(f"*{SUFFIX}")):
            try:
                if _read_about(path) is None:
                    log.info("prefix cache: ignoring %s, which is damaged or another program's", path)
                else:
                    shards.append(_open(path))
            except FileNotFoundError:
                pass  # another process has just removed it
            except (OSError, RuntimeError) as error:
                log.info("prefix cache: ignoring %s, which cannot be opened: %s", path, error)
            except (SafetensorError, KeyError, TypeError, ValueError) as error:
                self.discard(path, f"damaged ({error})")
        return shards

    def clear(self, key: str) -> None:
        """Removes all files of one key, those of killed writers included. Raises OSError if that is not allowed."""
        with self.lock(key):
            for entry in self.entries():
                if entry.key == key:
                    entry.path.unlink(missing_ok=True)

    def add(self, key: str, about: dict[str, str], digests: Digests, count: IntArray, states: Tensor) -> Shard:
        """Writes the states of texts, `count` rows of each, as one shard, complete or not at all.

        To be called under `lock`. Raises OSError if it could not be written.
        """
        tensors = {
            "digests": torch.from_numpy(digests.view(np.uint8).reshape(-1, DIGEST_BYTES)),
            "count": torch.from_numpy(count),
            "checksums": torch.from_numpy(_checksums(digests, count.cumsum() - count, count, states.numpy())),
            "states": states,
        }
        path = self.folder / key / f"{uuid.uuid4().hex}{SUFFIX}"
        unfinished = path.with_suffix(UNFINISHED)
        try:
            save_file(tensors, unfinished, {"about": json.dumps(about)})
            set_default_permissions(unfinished)
            with unfinished.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(unfinished, path)
            return _open(path)
        except SafetensorError as error:  # what safetensors raises for a full disk
            raise OSError(str(error)) from error
        finally:
            unfinished.unlink(missing_ok=True)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Waits for and holds the lock for writing shards of one key.

        Raises OSError if nothing can be written, or another process holds the lock and makes no progress.
        """
        folder = self.folder / key
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, fallback_to_soft=False)  # a soft lock would outlive a killed process
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("prefix cache: waiting for another process that is filling %s", folder)
            _wait_for(lock, folder / LOCK)
        try:
            for pattern in LEFTOVERS:
                for path in folder.glob(pattern):
                    path.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def report_progress(self, key: str) -> None:
        """Shows processes that wait for the lock of this one that it is not stopped."""
        with suppress(OSError):
            os.utime(self.folder / key / LOCK)

    def make_room(self, wanted: int, limit: float, keep: set[Path]) -> None:
        """Removes shards, the least recently used first, until there is room for `wanted` more bytes.

        Raises OSError, and removes nothing, if even without everything but `keep` there would not be room, within
        `limit` or on the disk.
        """
        entries = self.entries()
        total = sum(entry.bytes for entry in entries)
        spare = [entry for entry in entries if entry.path not in keep]
        spared = sum(entry.bytes for entry in spare)
        if total - spared + wanted > limit:
            raise OSError(f"it would need {gigabytes(wanted)} more, and cache.max_gb allows {gigabytes(limit)}")
        self._check_disk(wanted, spared)
        while spare and (total + wanted > limit or wanted > self._free()):
            free, oldest = self._free(), spare.pop()
            self.discard(oldest.path, "least recently used, to make room")
            total -= oldest.bytes
            if total + wanted <= limit and self._free() <= free:
                break  # it stays on the disk while another process reads it, and so might the next ones
        self._check_disk(wanted)

    def _free(self) -> int:
        return max(0, shutil.disk_usage(self.folder).free - FREE_BYTES)

    def _check_disk(self, wanted: int, spared: int = 0) -> None:
        if wanted > (free := self._free()) + spared:
            raise OSError(f"it would need {gigabytes(wanted)} more, and {gigabytes(free)} of the disk are free")

    def discard(self, path: Path, reason: str) -> None:
        """Removes a shard, if that is allowed; processes of this machine that have it open can still read it."""
        log.info("prefix cache: removing %s: %s", path, reason)
        with suppress(PermissionError):
            path.unlink(missing_ok=True)


def gigabytes(count: float) -> str:
    """A number of bytes, for messages."""
    return f"{count / 1e9:.2f} GB"


def _wait_for(lock: BaseFileLock, file: Path) -> None:
    """Waits for a lock as long as the process that holds it makes progress. Raises OSError if it does not."""
    progress, since = 0, time.monotonic()
    while True:
        with suppress(Timeout):
            lock.acquire(timeout=min(1.0, STALLED_SECONDS))
            return
        if (latest := file.stat().st_mtime_ns) != progress:
            progress, since = latest, time.monotonic()
        elif time.monotonic() - since > STALLED_SECONDS:
            raise OSError(f"another process is filling it, and has made no progress for {STALLED_SECONDS:.0f} s")


def _read_about(path: Path) -> dict[str, str] | None:
    """The description in the header of a shard, be the rest damaged or not; None if the file is no shard."""
    try:
        if not path.is_file():  # a pipe, for one
            return None
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            about = json.loads(json.loads(stream.read(min(size, HEADER_BYTES)))["__metadata__"]["about"])
    except FileNotFoundError:
        raise
    except (OSError, KeyError, TypeError, ValueError, RecursionError):
        return None
    return about if isinstance(about, dict) else None


def _open(path: Path) -> Shard:
    with safe_open(path, framework="pt") as file:
        # Views of the mapped file: rows are read when they are used.
        tensors = {name: file.get_tensor(name).numpy() for name in ("digests", "count", "checksums", "states")}
    count = tensors["count"]
    rows = {"digests": (np.uint8, (DIGEST_BYTES,)), "count": (np.int64, ()), "checksums": (np.int64, ())}
    for name, (dtype, shape) in rows.items():
        if tensors[name].dtype != dtype or tensors[name].shape != (count.size, *shape):
            raise ValueError(f"'{name}' has an unexpected type or shape")
    if tensors["states"].ndim != 2:
        raise ValueError("'states' has an unexpected shape")
    digests = tensors["digests"].view(f"S{DIGEST_BYTES}")[:, 0]
    return Shard(path, digests, count.cumsum() - count, count, tensors["checksums"], tensors["states"])


def _checksums(digests: Digests, start: IntArray, count: IntArray, states: FloatArray) -> IntArray:
    """A checksum of the digest and the rows of each text."""
    end = start + count
    if (count < 0).any() or (start < 0).any() or (end > len(states)).any():
        return np.full(len(digests), -1, dtype=np.int64)
    rows = np.ascontiguousarray(states).view(np.uint8)
    found = [
        xxhash.xxh3_64_intdigest(rows[a:b].data, seed=int.from_bytes(digest[:8], "little"))
        for digest, a, b in zip(digests.tolist(), start.tolist(), end.tolist(), strict=True)
    ]
    return np.array(found, dtype=np.uint64).view(np.int64)
