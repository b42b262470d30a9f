"""The documents that were read, and their tokens, as Arrow files: each is made once, and memory-mapped ever after.

    DIR/corpora/KEY-CHECKSUM.arrow

KEY is a digest of everything that determines the content, the bytes of the user's files included. CHECKSUM is that of
the file itself, so that a damaged one is noticed, and made anew.
"""

import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash
from datasets import Dataset, Features
from datasets.table import MemoryMappedTable

from sentence_order.arrays import IntArray
from sentence_order.config.schema import CacheConfig
from sentence_order.runtime.files import (
    UNFINISHED,
    cache_folder,
    digest_file,
    oserrors_with_path,
    set_default_permissions,
)

log = logging.getLogger(__name__)

# Part of each key, which does not see the code: a change in how documents are read or tokenised must change it.
VERSION = 7
BATCH_DOCUMENTS = 1000  # that are read, tokenised and written at a time
FOLDER, SUFFIX = "corpora", ".arrow"
DIGEST = "[0-9a-f]" * 32  # as a pattern
# In the metadata of our files: the first so that those of other programs are never removed.
MARK, NOTES = b"sentence_order", b"notes"
SECONDS_UNFINISHED = 24 * 3600  # after which a file is that of a writer that was killed

Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class ArrowCache:
    """The Arrow files in a cache folder."""

    folder: Path
    max_bytes: float

    @classmethod
    def of(cls, config: CacheConfig) -> "ArrowCache":
        """Those in the folder that a config names, within its limit."""
        return cls(cache_folder(config.dir) / FOLDER, config.max_gb * 1e9)

    def load(
        self,
        settings: Any,
        features: Features,
        make_batches: Callable[[], Iterable[Columns]],
        make_notes: Callable[[], list[str]] = list,
    ) -> tuple[Dataset, list[str]]:
        """The data set that is made of batches of columns, or read from its file if that is there; and the notes on it.

        The `settings` are everything that determines the content, as JSON can hold it; notes are made first. Raises
        OSError if the file cannot be written, and what the functions raise.
        """
        key = xxhash.xxh3_128_hexdigest(json.dumps([VERSION, settings], sort_keys=True).encode())
        while True:
            if (path := self._find(key)) is None:
                schema = features.arrow_schema
                own = {MARK: key.encode(), NOTES: json.dumps(make_notes()).encode()}
                path = self._write(key, schema.with_metadata({**(schema.metadata or {}), **own}), make_batches())
            try:
                table = MemoryMappedTable.from_file(str(path))
            except FileNotFoundError:  # another process has just removed it, to make room
                continue
            with suppress(OSError):  # a folder of another user
                os.utime(path)  # the least recently used is removed first
            return Dataset(table, fingerprint=key), json.loads(table.schema.metadata[NOTES])

    def files(self) -> list[tuple[Path, int, float]]:
        """Every file, with its bytes and the time of its last use, the one that was used last first."""
        found = []
        for path in self.folder.glob(f"{DIGEST}-{DIGEST}{SUFFIX}"):
            # Another process may just have removed it; and files of other programs are not listed.
            with suppress(OSError, pa.ArrowException), pa.memory_map(str(path)) as stream:
                if MARK not in (pa.ipc.open_stream(stream).schema.metadata or {}):
                    continue
                found.append((path, path.stat().st_size, path.stat().st_mtime))
        return sorted(found, key=lambda file: -file[2])

    def clear(self) -> None:
        """Removes every file. Raises OSError if that is not allowed."""
        for path in (*(path for path, _, _ in self.files()), *self.folder.glob(f"{DIGEST}-*{UNFINISHED}")):
            path.unlink(missing_ok=True)

    def _find(self, key: str) -> Path | None:
        for path in self.folder.glob(f"{key}-{DIGEST}{SUFFIX}"):
            with suppress(FileNotFoundError):
                if digest_file(path) == path.stem.removeprefix(f"{key}-"):
                    return path
                log.info("corpus cache: removing %s: damaged (wrong checksum)", path)
                with suppress(PermissionError):
                    path.unlink()
        return None

    def _write(self, key: str, schema: pa.Schema, batches: Iterable[Columns]) -> Path:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=f"{key}-", suffix=UNFINISHED)
        except OSError as error:
            raise OSError(
                f"cache.dir: {self.folder} cannot be written to: {error.strerror}; name another folder by cache.dir or "
                "by the environment variable SENTENCE_ORDER_CACHE"
            ) from error
        with oserrors_with_path(self.folder):
            for leftover in self.folder.glob(f"{DIGEST}-*{UNFINISHED}"):
                with suppress(FileNotFoundError):  # another process has just finished it
                    if leftover.stat().st_mtime < time.time() - SECONDS_UNFINISHED:
                        leftover.unlink()
            unfinished = Path(name)
            try:
                with os.fdopen(handle, "wb") as stream, pa.ipc.new_stream(stream, schema) as writer:
                    for columns in batches:
                        writer.write_batch(pa.RecordBatch.from_pydict(columns, schema))
                set_default_permissions(unfinished)
                path = self.folder / f"{key}-{digest_file(unfinished)}{SUFFIX}"
                self._make_room(unfinished.stat().st_size)
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
        return path

    def _make_room(self, size: int) -> None:
        """Removes the least recently used files; processes of this machine that read them can go on."""
        files = self.files()
        total = size + sum(file_size for _, file_size, _ in files)
        while files and total > self.max_bytes:
            path, file_size, _ = files.pop()
            log.info("corpus cache: removing %s: least recently used, to make room", path)
            with suppress(PermissionError):
                path.unlink(missing_ok=True)
            total -= file_size


def read_column(documents: Dataset, name: str) -> IntArray:
    """A column of numbers as an array of their own type; `datasets` would make int64 of all."""
    column: IntArray = documents.select_columns(name).with_format("arrow")[:][name].to_numpy()
    return column
