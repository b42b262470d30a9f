"""Files that are either whole or not there."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sentence_order.errors import UserError


def check_output(key: str, output: str | Path | None) -> None:
    """Tells, before any work is done, that a file cannot be written. Raises UserError."""
    if output is None:
        return
    path = Path(output)
    if path.is_dir():
        raise UserError(f"{key}: {output} is a folder; name a file")
    check_writable(key, path.parent)


def check_writable(key: str, folder: Path) -> None:
    """Raises UserError where `folder`, or the nearest one above it that exists, cannot be written to."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"{key}: {folder} cannot be written to")


def share(path: Path) -> None:
    """Gives a file the permissions of any new one; temporary ones are made for their owner alone."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[str]]:
    """A text file to write, which appears under its name when the block ends without an exception, and not before.

    What exists and is no regular file (a pipe, a device) is written to as it is.
    """
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8") as stream:
            yield stream
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        share(Path(name))
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which takes its name, in place of an older one, when the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield fresh
        fresh.chmod(0o755)
        old = path.with_name(f".{path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        fresh.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
