"""Files that are either complete or absent, and where the cache is kept."""

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
# Of a file's name; file systems allow 255, and until a file is complete its name is longer.
MAX_NAME_BYTES = 240
# In the name of a folder that is about to be replaced.
BACKUP = ".old."


def check_output(key: str, output: str | Path | None) -> None:
    """Raises UserError, before any work is done, if the file cannot be written."""
    if output is None:
        return
    if os.path.isdir(output):
        raise UserError(f"{key}: {output} is a folder; name a file")
    if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in Path(output).parts):
        raise UserError(f"{key}: {output}: a name of more than {MAX_NAME_BYTES} bytes; choose a shorter one")
    check_writable(key, Path(output).parent)


def check_writable(key: str, folder: Path) -> None:
    """Raises UserError if `folder`, or the nearest one above it that exists, cannot be written to."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if os.path.exists(parent))
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"{key}: {folder} cannot be written to")


def set_default_permissions(path: Path) -> None:
    """Gives a file the permissions of any new one; temporary files are made for their owner alone."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)


def cache_folder() -> Path:
    """`$SENTENCE_ORDER_CACHE`, or `sentence_order` in the user's folder for caches."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("SENTENCE_ORDER_CACHE") or f"{caches}/sentence_order")


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[str]]:
    """Opens a text file that appears under its name when the block ends without an exception, and not before.

    A pipe or a device that exists is written to directly. An OSError names the file.
    """
    with oserrors_with_path(path):
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
            set_default_permissions(Path(name))
            os.replace(name, path)
            _sync(path.parent)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Makes a folder that replaces an older one of its name when the block ends without an exception.

    It gets a manifest of its files (see `find_corruption`) and is on the disk before the older one is touched. After an
    OSError, which names the folder, the older one is as it was; `recover_interrupted_write` repairs what a killed
    writer leaves.
    """
    with oserrors_with_path(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        recover_interrupted_write(path)
        fresh = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield fresh
            _write_manifest(fresh)
            for inner in (*fresh.rglob("*"), fresh):
                _sync(inner)
            fresh.chmod(0o755)
            # A name of its own: an earlier backup may still be there, while another process reads it.
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}{BACKUP}"))
            if path.exists():
                path.rename(old)
            fresh.rename(path)
            _sync(path.parent)
            shutil.rmtree(old, ignore_errors=True)
        except BaseException:
            recover_interrupted_write(path)  # also if it was stopped between the two renames
            raise


def recover_interrupted_write(path: Path) -> None:
    """Repairs what a killed writer of the file or folder `path` left: afterwards the last complete one is there."""
    if not path.exists() and (old := find_backup(path)) is not None:
        old.rename(path)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def find_corruption(folder: Path) -> str | None:
    """Compares a folder's files with its manifest: what differs, or None. A folder without a manifest passes."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        return None
    try:
        lines = [line.split("  ", 1) for line in manifest.read_text(encoding="utf-8").splitlines()]
        for digest, name in lines:
            file = folder / name
            if Path(name).name != name or not file.is_file():
                return f"{name} is missing, which {MANIFEST} lists"
            with file.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != digest:
                    return f"{name} does not match its checksum in {MANIFEST}"
    except (OSError, ValueError) as error:
        return f"{MANIFEST} cannot be read: {error}"
    return None


def _write_manifest(folder: Path) -> None:
    """Lists the digests of a folder's files, as `sha256sum --check` reads them; its README may be edited later."""
    with (folder / MANIFEST).open("w", encoding="utf-8") as manifest:
        for file in sorted(folder.iterdir()):
            if file.is_file() and file.name not in (MANIFEST, "README.md"):
                with file.open("rb") as stream:
                    manifest.write(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {file.name}\n")


def find_backup(path: Path) -> Path | None:
    """The folder that was `path` until its writer was killed between the two renames."""
    backups = [old for old in path.parent.glob(f".{glob.escape(path.name)}{BACKUP}*") if any(old.iterdir())]
    return max(backups, key=lambda old: old.stat().st_mtime, default=None)


def _sync(path: Path) -> None:
    """Waits until a file, or the list of files of a folder, is on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def oserrors_with_path(path: Path) -> Iterator[None]:
    """Adds `path` to an OSError that names no file, such as that of a full disk."""
    try:
        yield
    except SafetensorError as error:  # what safetensors raises for a full disk
        raise OSError(errno.EIO, first_line(error), str(path)) from error
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
