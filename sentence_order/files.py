"""Files that are either whole or not there."""

import errno
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from safetensors import SafetensorError

from sentence_order.errors import UserError, first_line

MANIFEST = "SHA256SUMS"
# In the name of a folder that is about to be replaced.
OLD = ".old."


def check_output(key: str, output: str | Path | None) -> None:
    """Tells, before any work is done, that a file cannot be written. Raises UserError."""
    if output is None:
        return
    path = Path(output)
    if os.path.isdir(path):
        raise UserError(f"{key}: {output} is a folder; name a file")
    check_writable(key, path.parent)


def check_writable(key: str, folder: Path) -> None:
    """Raises UserError where `folder`, or the nearest one above it that exists, cannot be written to."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if os.path.exists(parent))
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

    Raises:
        OSError: naming the file.
    """
    with naming(path):
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
            _sync(path.parent)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def atomic_folder(path: Path, revise: bool = False) -> Iterator[Path]:
    """A folder to fill, which takes its name, in place of an older one, when the block ends without an exception.

    It gets a manifest of its files (see `damage`), and is on the disk before the older one is touched. A writer that is
    killed leaves what `settle` puts right.

    Args:
        revise: begin with what the older one holds. Its files are shared with it, and may be replaced, not written to.

    Raises:
        OSError: naming the folder; the older one is as it was.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        settle(path)
        fresh = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            if revise:
                shutil.copytree(path, fresh, copy_function=_link, dirs_exist_ok=True)
            yield fresh
            _write_manifest(fresh)
            for inner in (*fresh.rglob("*"), fresh):
                _sync(inner)
            fresh.chmod(0o755)
            # A name of its own: an older one may still lie there, while some other process reads it.
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}{OLD}"))
            if path.exists():
                path.rename(old)
            fresh.rename(path)
            _sync(path.parent)
            shutil.rmtree(old, ignore_errors=True)
        except BaseException:
            settle(path)  # also where it was stopped between the two renames
            raise


def settle(path: Path) -> None:
    """Puts right what a killed writer of the file or folder `path` left: a whole one is there, if there ever was."""
    if not path.exists() and (old := put_aside(path)) is not None:
        old.rename(path)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def damage(folder: Path) -> str | None:
    """What is wrong with a folder by its manifest; None where all is as it was written, or it has no manifest."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        return None
    try:
        lines = [line.split("  ", 1) for line in manifest.read_text(encoding="utf-8").splitlines()]
        for digest, name in lines:
            file = folder / name
            if Path(name).name != name or not file.is_file():
                return f"there is no {name}, which {MANIFEST} lists"
            with file.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != digest:
                    return f"{name} is not as it was written, by {MANIFEST}"
    except (OSError, ValueError) as error:
        return f"{MANIFEST} cannot be read: {error}"
    return None


def _write_manifest(folder: Path) -> None:
    """Lists the digests of a folder's files, as `sha256sum --check` reads them; its README may be edited later."""
    (folder / MANIFEST).unlink(missing_ok=True)  # which a folder that is revised shares with the older one
    with (folder / MANIFEST).open("w", encoding="utf-8") as manifest:
        for file in sorted(folder.iterdir()):
            if file.is_file() and file.name not in (MANIFEST, "README.md"):
                with file.open("rb") as stream:
                    manifest.write(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {file.name}\n")


def put_aside(path: Path) -> Path | None:
    """The folder that was `path` until a writer was killed between its two renames."""
    olds = [old for old in path.parent.glob(f".{glob.escape(path.name)}{OLD}*") if any(old.iterdir())]
    return max(olds, key=lambda old: old.stat().st_mtime, default=None)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # not every file system has links
        shutil.copy2(source, target)


def _sync(path: Path) -> None:
    """Waits until a file, or which files a folder has, is on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within, an OSError names `path` where it does not name a file itself, as that of a full disk does not."""
    try:
        yield
    except SafetensorError as error:  # how safetensors tells of a full disk
        raise OSError(errno.EIO, first_line(error), str(path)) from error
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
