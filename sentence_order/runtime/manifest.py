"""The manifest of a checkpoint, by which a damaged or missing file is noticed."""

import hashlib
import os
import re
from collections.abc import Collection
from pathlib import Path

MANIFEST, CARD_FILE = "SHA256SUMS", "README.md"
# Far more than the few files of a checkpoint need.
MAX_MANIFEST_BYTES = 2**20


def find_corruption(folder: Path, required: Collection[str] = (), optional: Collection[str] = ()) -> str | None:
    """Compares a folder's files with its manifest: what differs, or None. A folder without a manifest passes.

    The `required` files must be listed, and the `optional` ones if they are there; others may be anyone's. Raises
    PermissionError.
    """
    if not os.path.lexists(folder / MANIFEST):
        return None
    try:
        digests = read_manifest(folder)
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


def read_manifest(folder: Path) -> dict[str, str]:
    """The digests of a folder's files by their names. Raises OSError, or ValueError if the manifest is not one."""
    file = folder / MANIFEST
    if not file.is_file():  # reading a pipe or a device may never end
        raise ValueError("it is not a file")
    if file.stat().st_size > MAX_MANIFEST_BYTES:
        raise ValueError(f"it has more than {MAX_MANIFEST_BYTES:,} bytes")

    digests = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        found = re.fullmatch(r"(\w+) [ *](.+)", line)  # the star is that of `sha256sum --binary`
        if found is None:
            raise ValueError(f"its line {number} is not 'DIGEST  NAME'")
        digests[found[2]] = found[1]
    return digests


def write_manifest(folder: Path) -> None:
    """Lists the digests of a folder's files, as `sha256sum --check` reads them, but for the card: it may be edited."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name not in (MANIFEST, CARD_FILE)]
    with (folder / MANIFEST).open("w", encoding="utf-8") as manifest:
        for file in files:
            with file.open("rb") as stream:
                manifest.write(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {file.name}\n")
