"""The files of the prefix cache: immutable, memory-mapped shards, shared by every run and process.

    DIR/KEY/NAME.safetensors

KEY stands for all that determines what a frozen prefix makes of a text, the text left out; a shard holds many texts,
each under a digest of its own. A shard appears under its name only when it is whole, and is never changed; one whose
checksum is wrong is removed. Writers of one KEY take turns by a lock that ends with its process.
"""

import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

log = logging.getLogger(__name__)

SUFFIX = ".safetensors"
DIGEST_BYTES = 16
# What a full disk would take from the run itself: its checkpoints and logs.
FREE_BYTES = 2**30

Digests = np.ndarray[Any, np.dtype[np.bytes_]]
Counts = np.ndarray[Any, np.dtype[np.int64]]


def default_folder() -> Path:
    """`$SENTENCE_ORDER_CACHE`, or `sentence_order` in the user's folder for caches."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("SENTENCE_ORDER_CACHE") or caches / "sentence_order")


@dataclass(frozen=True)
class Shard:
    """An open shard: text k has `count[k]` rows of `states`, from `start[k]` on."""

    path: Path
    digests: Digests
    start: Counts
    count: Counts
    states: Tensor
    checksum: str

    def intact(self) -> bool:
        """Whether its content is what was written; reads all of it, at the speed of the disk."""
        return _checksum(self.digests, self.count, self.states) == self.checksum


@dataclass(frozen=True)
class Entry:
    """A shard as it is listed: `about` says in words which prefix and texts it is of."""

    path: Path
    key: str
    about: dict[str, str]
    bytes: int
    used: float  # seconds since the epoch


class Store:
    """The shards under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> list[Entry]:
        """Every shard, the one that was used last first; those that cannot be read say so in `about`."""
        found = []
        for path in self.folder.glob(f"*/*{SUFFIX}"):
            try:
                stat = path.stat()
            except FileNotFoundError:  # another process has just removed it
                continue
            found.append(Entry(path, path.parent.name, _about(path), stat.st_size, stat.st_mtime))
        return sorted(found, key=lambda entry: -entry.used)

    def open(self, key: str) -> list[Shard]:
        """The shards of one key. Their content is not looked at yet: see `Shard.intact`."""
        shards = []
        for path in sorted((self.folder / key).glob(f"*{SUFFIX}")):
            try:
                shards.append(_open(path))
            except FileNotFoundError:
                continue
            except (SafetensorError, KeyError, OSError, ValueError) as error:
                self.discard(path, f"damaged ({error})")
        return shards

    def add(self, key: str, about: dict[str, str], digests: Digests, count: Counts, states: Tensor) -> Shard:
        """Writes the states of texts, `count` rows of each, as one shard, whole or not at all.

        To be called under `lock`.

        Raises:
            OSError: it could not be written.
        """
        tensors = {
            "digests": torch.from_numpy(digests.view(np.uint8).reshape(-1, DIGEST_BYTES)),
            "count": torch.from_numpy(count),
            "states": states,
        }
        metadata = {"checksum": _checksum(digests, count, states), "about": json.dumps(about)}
        path = self.folder / key / f"{uuid.uuid4().hex}{SUFFIX}"
        unfinished = path.with_suffix(".tmp")
        try:
            save_file(tensors, unfinished, metadata)
            with unfinished.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(unfinished, path)
        except SafetensorError as error:  # how safetensors tells of a full disk
            raise OSError(str(error)) from error
        finally:
            unfinished.unlink(missing_ok=True)
        return _open(path)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """The right to write shards of one key, for which it waits. Raises OSError where nothing can be written."""
        folder = self.folder / key
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("prefix cache: waiting for another process that fills %s", folder)
            lock.acquire()
        except NotImplementedError as error:  # a file system without locks
            raise OSError(str(error)) from error
        try:
            for left in folder.glob("*.tmp"):  # by a writer that was killed
                left.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def make_room(self, wanted: int, limit: int, keep: set[Path]) -> str | None:
        """Removes shards, those first that were not used for longest, until `wanted` more bytes stay within `limit`.

        Returns:
            Why that cannot be done, or None.
        """
        entries = self.entries()
        total = sum(entry.bytes for entry in entries)
        spare = [entry for entry in entries if entry.path not in keep]
        if total - sum(entry.bytes for entry in spare) + wanted > limit:
            return f"it would take {gigabytes(wanted)} more, and cache.max_gb allows {gigabytes(limit)} in all"
        while total + wanted > limit:
            oldest = spare.pop()
            self.discard(oldest.path, f"not used for longest; cache.max_gb allows {gigabytes(limit)} in all")
            total -= oldest.bytes
        free = shutil.disk_usage(self.folder).free
        if free < wanted + FREE_BYTES:
            return f"it would take {gigabytes(wanted)} more, and the disk has {gigabytes(free)} left"
        return None

    def discard(self, path: Path, reason: str) -> None:
        """Removes a shard; processes that have it open keep what they have."""
        log.info("prefix cache: removing %s: %s", path, reason)
        path.unlink(missing_ok=True)


def gigabytes(count: int) -> str:
    """A number of bytes in words."""
    return f"{count / 1e9:.2f} GB"


def _open(path: Path) -> Shard:
    with safe_open(path, framework="pt") as file:
        digests = file.get_tensor("digests").numpy().view(f"S{DIGEST_BYTES}")[:, 0]
        count = file.get_tensor("count").numpy()
        # A view of the mapped file: rows are read when they are used.
        return Shard(
            path, digests, count.cumsum() - count, count, file.get_tensor("states"), file.metadata()["checksum"]
        )


def _about(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads(file.metadata()["about"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        return {"damaged": str(error)}


def _checksum(digests: Digests, count: Counts, states: Tensor) -> str:
    checksum = xxhash.xxh3_128()
    for array in (digests, count, states.numpy()):
        checksum.update(np.ascontiguousarray(array).view(np.uint8).data)
    return checksum.hexdigest()
