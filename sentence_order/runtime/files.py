"""Files that are either complete or absent, and where the cache is kept."""

import errno
import fcntl
import glob
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

import xxhash
from safetensors import SafetensorError

from sentence_order.errors import UserError, first_line
from sentence_order.runtime.manifest import CARD_FILE, MANIFEST, read_manifest, write_manifest

# The type of our models, in the `config.json` of their checkpoints.
MODEL_TYPE = "sentence-orderer"
# In the names of files and folders that are not complete yet, and of a folder that is about to be replaced.
UNFINISHED, BACKUP = ".unfinished", ".old."
# The part of such a name that `tempfile` draws, as a pattern.
RANDOM = "[a-z0-9_]" * 8


def check_output(key: str, output: str | Path | None) -> None:
    """Raises UserError, before any work is done, if the file cannot be written."""
    if output is None or is_stream(output):
        return
    path = Path(os.path.realpath(output))
    try:
        os.lstat(path.with_name(f".{path.name}.{8 * 'x'}{UNFINISHED}"))  # its name while it is written
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"{key}: the name of {output} is too long") from error
    if path.is_dir() or str(output).endswith("/"):
        raise UserError(f"{key}: {output} is a folder; name a file")
    if path.exists() and not os.access(path, os.W_OK):
        raise UserError(f"{key}: {output} is write-protected")
    check_writable(key, path.parent)


def is_stream(path: str | Path) -> bool:
    """True if a path that exists is written to as it is: a pipe, a device, or an open stream such as /dev/stdout."""
    is_open = os.path.abspath(path).startswith(("/dev/std", "/dev/fd/", "/proc/"))
    return os.path.exists(path) and (is_open or not os.path.isfile(path)) and not os.path.isdir(path)


def check_writable(key: str, folder: Path) -> None:
    """Raises UserError if `folder`, or the nearest one above it that exists, cannot be written to."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if os.path.lexists(parent))
    if not os.path.exists(there):
        raise UserError(f"{key}: {there} is a link to {os.readlink(there)}, which does not exist")
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"{key}: {folder} cannot be written to")


def set_default_permissions(path: Path) -> None:
    """Gives a file or folder the permissions of any new one; temporary ones are made for their owner alone."""
    umask = os.umask(0)
    os.umask(umask)
    mode = path.stat().st_mode
    inherited = stat.S_IMODE(mode) & ~0o777  # such as the group of the folder above
    path.chmod(inherited | (0o777 if stat.S_ISDIR(mode) else 0o666) & ~umask)


def digest_file(path: str | Path) -> str:
    """A digest of a file's content."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, xxhash.xxh3_128).hexdigest()


def cache_folder(given: str | Path | None = None) -> Path:
    """The `given` one, `$SENTENCE_ORDER_CACHE`, or `sentence_order` in the user's folder for caches.

    Raises UserError if the user has no home folder.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(given or os.environ.get("SENTENCE_ORDER_CACHE") or f"{caches}/sentence_order")
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise UserError(f"cache.dir: {folder}: {error} Name a folder by cache.dir or SENTENCE_ORDER_CACHE.") from error


@contextmanager
def atomic_file(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Opens a file that appears under its name when the block ends without an exception, and not before.

    A stream (see `is_stream`) is written to directly, and a link is followed. An OSError names the file.
    """
    encoding = "utf-8" if mode == "w" else None
    with oserrors_with_path(path):
        if is_stream(path):
            with path.open("a" if mode == "w" else "ab", encoding=encoding) as stream:  # what is there stays there
                yield stream
            return
        path = Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(path)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED)
        try:
            with os.fdopen(handle, mode, encoding=encoding) as stream:
                with suppress(OSError):  # some file systems have no locks
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # shows that its writer is alive
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
    """Makes the folder of a checkpoint, which replaces an older one when the block ends without an exception.

    It gets a manifest of its files (see `manifest.py`) and is on the disk before the older one is touched. After an
    OSError, which names the folder, the older one is as it was; `recover_interrupted_write` repairs what a killed
    writer leaves. A folder that is no checkpoint of this program is never replaced, and files that others have put into
    one stay there.
    """
    with oserrors_with_path(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        recover_interrupted_write(path)
        if not is_replaceable(path):
            raise FileExistsError(errno.EEXIST, "a link, or not a checkpoint of this program; it is not replaced")
        fresh = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED))
        try:
            yield fresh
            write_manifest(fresh)
            for inner in (*fresh.rglob("*"), fresh):
                set_default_permissions(inner)
                _sync(inner)
            # A name of its own: an earlier backup may still be there, while another process reads it.
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}{BACKUP}"))
            if path.exists():
                path.rename(old)
            fresh.rename(path)
            _sync(path.parent)
            _discard_backup(old, path)
        except BaseException:
            recover_interrupted_write(path)  # also if it was stopped between the two renames
            raise


def recover_interrupted_write(path: Path) -> None:
    """Repairs what a killed writer of the file or folder `path` left: afterwards the last complete one is there."""
    if not path.exists() and (old := find_backup(path)) is not None:
        old.rename(path)
    for old in path.parent.glob(f".{glob.escape(path.name)}{BACKUP}{RANDOM}"):
        if is_replaceable(old):
            _discard_backup(old, path)
    _remove_unfinished(path)


def _remove_unfinished(path: Path) -> None:
    """Removes what killed writers of `path` have left; a living one holds a lock on its file."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.{RANDOM}{UNFINISHED}"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
            continue
        with suppress(OSError), leftover.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()


def _discard_backup(old: Path, path: Path) -> None:
    """Removes a folder that `path` has replaced; files in it that this program has not written move there."""
    try:
        listed = read_manifest(old)
    except (OSError, ValueError):  # there is none, or it is damaged: any file may be someone else's
        listed = {}
    for entry in old.iterdir():
        if entry.name not in listed and not os.path.lexists(path / entry.name):
            entry.rename(path / entry.name)
    _remove_folder(old, path)


def remove_checkpoint(path: Path) -> None:
    """Removes the folder of a checkpoint, unless files of others are in it, or may be."""
    try:
        own = {*read_manifest(path), MANIFEST, CARD_FILE}
    except (OSError, ValueError):
        return
    if own >= {entry.name for entry in path.iterdir()}:
        _remove_folder(path, path)


def _remove_folder(folder: Path, path: Path) -> None:
    """Removes a folder; if this is stopped, the next writer of `path` removes what is left, by its new name."""
    with suppress(OSError):
        folder = folder.rename(path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}"))
    shutil.rmtree(folder, ignore_errors=True)


def is_replaceable(path: Path) -> bool:
    """True if there is nothing at `path`, or an empty folder, or a checkpoint of this program, and no link to one."""
    if not os.path.lexists(path):
        return True
    return not path.is_symlink() and path.is_dir() and (not any(path.iterdir()) or is_checkpoint(path))


def is_checkpoint(folder: Path) -> bool:
    """True if a folder is a checkpoint of this program, also if its config is damaged."""
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    except OSError:
        return False
    except (ValueError, RecursionError):
        return (folder / MANIFEST).is_file()
    return isinstance(config, dict) and config.get("model_type") == MODEL_TYPE


def find_backup(path: Path) -> Path | None:
    """The folder that was `path` until its writer was killed between the two renames."""
    found = path.parent.glob(f".{glob.escape(path.name)}{BACKUP}{RANDOM}")
    backups = [old for old in found if is_replaceable(old) and any(old.iterdir())]
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
    """Adds `path` to an OSError that names no file, such as that of a full disk, or one that is not complete yet."""
    try:
        yield
    except SafetensorError as error:  # what safetensors raises for a full disk
        raise OSError(errno.EIO, first_line(error), str(path)) from error
    except OSError as error:
        is_hidden = str(error.filename).endswith(UNFINISHED)  # a name that its user does not know
        if error.errno is None or not (error.filename is None or is_hidden):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
