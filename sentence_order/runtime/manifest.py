"""The manifest of a checkpoint, by which a damaged or missing file is noticed."""

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

MANIFEST, CARD_FILE = "SHA256SUMS", "README.md"


def find_corruption(folder: Path, required: Collection[str] = (), optional: Collection[str] = ()) -> str | None:
    """Compares a folder's files with its manifest: what differs, or None. A folder without a manifest passes.

    The `required` files must be listed, and the `optional` ones if they are there; others may be anyone's. Raises
    PermissionError.
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
        there = [name for name in optional if (folder / name).exists()]
        if unlisted := [name for name in (*required, *there) if name not in digests]:
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


def write_manifest(folder: Path) -> None:
    """Lists the digests of a folder's files, as `sha256sum --check` reads them, but for the card: it may be edited."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name not in (MANIFEST, CARD_FILE)]
    with (folder / MANIFEST).open("w", encoding="utf-8") as manifest:
        for file in files:
            with file.open("rb") as stream:
                manifest.write(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {file.name}\n")
