"""The manifest of a checkpoint, by which a damaged or missing file is noticed."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

MANIFEST, CARD_FILE = "SHA256SUMS", "README.md"


def find_corruption(folder: Path, required: Iterable[str] = ()) -> str | None:
    """Compares a folder's files with its manifest: what differs, or None. A folder without a manifest passes.

    All files but the card, and the `required` ones at least, must be listed. Raises PermissionError.
    """
    if not (folder / MANIFEST).exists():
        return None
    try:
        digests = dict(read_manifest(folder))
        for name, digest in digests.items():
            file = folder / name
            if Path(name).name != name or not file.is_file():
                return f"{name} is missing, which {MANIFEST} lists"
            with file.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != digest:
                    return f"{name} does not match its checksum in {MANIFEST}"
        if unlisted := sorted({*required, *_files_to_list(folder)} - digests.keys()):
            return f"{MANIFEST} does not list {unlisted[0]}"
    except PermissionError:
        raise
    except (OSError, ValueError) as error:
        return f"{MANIFEST} cannot be read: {error}"
    return None


def read_manifest(folder: Path) -> Iterator[tuple[str, str]]:
    """The names and digests of a folder's files."""
    for line in (folder / MANIFEST).read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ", 1)
        yield name, digest


def _files_to_list(folder: Path) -> Iterator[str]:
    """All files that a manifest lists: not the card, which may be edited later, and not hidden files of other tools."""
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.name not in (MANIFEST, CARD_FILE) and not file.name.startswith("."):
            yield file.name


def write_manifest(folder: Path) -> None:
    """Lists the digests of a folder's files, as `sha256sum --check` reads them."""
    with (folder / MANIFEST).open("w", encoding="utf-8") as manifest:
        for name in _files_to_list(folder):
            with (folder / name).open("rb") as stream:
                manifest.write(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {name}\n")
