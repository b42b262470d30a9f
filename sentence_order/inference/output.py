"""Where predictions are written: what was done is kept if something fails later."""

import fcntl
import json
import mmap
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sentence_order.errors import UserError
from sentence_order.runtime.files import is_stream, oserrors_with_path


def partial_path(output: str | Path) -> Path:
    """Where an output file, or the one that a link leads to, is until it is complete."""
    return Path(f"{os.path.realpath(output)}.partial")


@contextmanager
def open_output(output: str | None) -> Iterator[IO[str]]:
    """Standard output, or a file that is `OUTPUT.partial` until the block ends without an exception.

    A stream (see `is_stream`) is written to directly. An OSError names the output; a note on any exception says where
    the complete lines are that were written before.
    """
    path = Path("standard output" if output is None else output)
    if output is None:
        with oserrors_with_path(path):
            yield sys.stdout
        return
    if is_stream(path):
        with oserrors_with_path(path), path.open("a", encoding="utf-8") as stream:
            yield stream
        return

    part = partial_path(path)
    with oserrors_with_path(path):
        part.parent.mkdir(parents=True, exist_ok=True)
        alone = _open_alone(part)
    try:
        with oserrors_with_path(path), alone:
            alone.truncate(0)
            yield alone
            alone.flush()
            os.fsync(alone.fileno())
            part.replace(part.with_suffix(""))
    except BaseException as error:
        if _cut_to_lines(part):
            error.add_note(f"what was done before is in {part}")
        raise


def _open_alone(part: Path) -> IO[str]:
    """Opens a file with a lock on it. Raises UserError if another process writes to it, or has just finished it."""
    stream = part.open("a", encoding="utf-8")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = os.path.samestat(part.stat(), os.fstat(stream.fileno()))
    except (BlockingIOError, FileNotFoundError):
        is_ours = False
    except OSError:  # some file systems have no locks
        is_ours = True
    if not is_ours:
        stream.close()
        raise UserError(f"output: another process is writing {part}; name another output")
    return stream


def check_partial(output: str) -> None:
    """Raises UserError if there is a file that `open_output` would write to, and that no prediction has left."""
    part = partial_path(output)
    if not os.path.lexists(part):
        return
    try:
        with part.open(encoding="utf-8") as stream:
            first = stream.readline(2**26)
        if not first or {"id", "order", "sentences", "confidence"} <= json.loads(first).keys():
            return
    except (OSError, ValueError, AttributeError, RecursionError):
        pass
    raise UserError(f"output: {part} is there, which is written before {output}; move it, or name another output")


def _cut_to_lines(file: Path) -> bool:
    """Cuts off an incomplete last line, and removes a file without any line; returns whether there is one."""
    if not file.is_file():
        return False
    with file.open("r+b") as stream:
        if size := os.fstat(stream.fileno()).st_size:
            with mmap.mmap(stream.fileno(), size) as content:
                size = content.rfind(b"\n") + 1
            stream.truncate(size)
    if not size:
        file.unlink()
    return size > 0
