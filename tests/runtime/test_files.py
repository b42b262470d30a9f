"""A file or folder is complete or not there."""

import errno
import os
import subprocess
from pathlib import Path

import pytest
from safetensors import SafetensorError

from sentence_order.errors import UserError
from sentence_order.runtime.files import (
    BACKUP,
    MANIFEST,
    atomic_file,
    atomic_folder,
    check_output,
    find_backup,
    find_corruption,
    oserrors_with_path,
    recover_interrupted_write,
)


def test_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "file.txt"
    with atomic_file(path) as stream:
        stream.write("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), atomic_file(path) as stream:  # noqa: PT012
        stream.write("new")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_devices_are_written_to_and_never_replaced() -> None:
    with atomic_file(Path("/dev/null")) as stream:
        stream.write("gone")
    assert Path("/dev/null").is_char_device()


def test_outputs_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    check_output("output", None)
    check_output("output", str(tmp_path / "new" / "file"))
    (tmp_path / "file").touch()
    for output in (str(tmp_path), str(tmp_path / "file" / "below")):
        with pytest.raises(UserError, match="output: "):
            check_output("output", output)


def names(folder: Path) -> list[str]:
    return sorted(inner.name for inner in folder.iterdir())


def test_folder_replaces_the_old_one_or_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    for content in ("first", "second"):
        with atomic_folder(path) as fresh:
            (fresh / content).touch()
        assert names(path) == [MANIFEST, content]
    with pytest.raises(OSError, match="full"), atomic_folder(path) as fresh:  # noqa: PT012
        (fresh / "third").touch()
        raise OSError("disk full")
    assert names(path) == [MANIFEST, "second"]
    assert list(tmp_path.iterdir()) == [path]


def test_errors_name_the_file(tmp_path: Path) -> None:
    """The system reports a full disk without a name, and safetensors in a way of its own."""
    for error in (OSError(errno.ENOSPC, "No space left on device"), SafetensorError("No space left on device")):
        with (
            pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/some'"),
            atomic_folder(tmp_path / "some"),
        ):
            raise error
    named = FileNotFoundError(errno.ENOENT, "No such file", "its own name")
    with pytest.raises(FileNotFoundError, match="its own name"), oserrors_with_path(tmp_path):
        raise named


def full_disk(handle: int) -> None:
    raise OSError(errno.ENOSPC, "disk full")


def test_folder_that_cannot_be_synced_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint"
    with atomic_folder(path) as fresh:
        (fresh / "weights").write_text("old")
    with monkeypatch.context() as patches:
        patches.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="full"), atomic_folder(path) as fresh:
            (fresh / "weights").write_text("new")
    assert (path / "weights").read_text() == "old"
    assert find_corruption(path) is None
    assert list(tmp_path.iterdir()) == [path]


def test_manifest_shows_every_corruption(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"

    def write() -> None:
        with atomic_folder(path) as fresh:
            (fresh / "weights").write_bytes(bytes(range(256)))
            (fresh / "README.md").write_text("what it is")

    write()
    assert find_corruption(path) is None
    assert (
        subprocess.run(["sha256sum", "--check", MANIFEST], cwd=path, capture_output=True, check=False).returncode == 0
    )
    (path / "README.md").write_text("edited by its user")
    assert find_corruption(path) is None
    for cut in (b"", bytes(range(255)), bytes(range(1, 256)) + b"\0"):
        (path / "weights").write_bytes(cut)
        assert str(find_corruption(path)).startswith("weights ")
    (path / "weights").unlink()
    assert "weights is missing" in str(find_corruption(path))
    write()
    (path / MANIFEST).write_text("0  ../../elsewhere\n")
    assert "../../elsewhere" in str(find_corruption(path))
    for broken in (b"\xff\xfe", b"no digest\n"):
        (path / MANIFEST).write_bytes(broken)
        assert MANIFEST in str(find_corruption(path))
    (path / MANIFEST).unlink()
    assert find_corruption(path) is None


def test_what_killed_writers_left_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "last"
    backup = f".last{BACKUP}z1"
    for place in (backup, ".last.x1y2"):  # killed between its two renames
        (tmp_path / place).mkdir()
        (tmp_path / place / "content").write_text(place)
    (tmp_path / "lasting").mkdir()
    assert find_backup(path) == tmp_path / backup
    recover_interrupted_write(path)
    assert (path / "content").read_text() == backup
    (tmp_path / f".last{BACKUP}z2").mkdir()  # killed after them
    (tmp_path / f".last{BACKUP}z2" / "content").touch()
    (tmp_path / ".last.file").touch()
    recover_interrupted_write(path)
    assert (path / "content").read_text() == backup
    assert names(tmp_path) == ["last", "lasting"]
