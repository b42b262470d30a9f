"""A file or folder is whole or not there."""

import errno
import subprocess
from pathlib import Path

import pytest
from safetensors import SafetensorError

from sentence_order import files
from sentence_order.errors import UserError
from sentence_order.files import MANIFEST, atomic_file, atomic_folder, check_output, damage, settle


def test_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "file.txt"
    with atomic_file(path) as stream:
        stream.write("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_broken_file_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
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


def test_outputs_that_cannot_be_are_told_before_the_work(tmp_path: Path) -> None:
    check_output("scores", None)
    check_output("scores", str(tmp_path / "new" / "file"))
    (tmp_path / "file").touch()
    for output in (str(tmp_path), str(tmp_path / "file" / "below")):
        with pytest.raises(UserError, match="scores"):
            check_output("scores", output)


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
    """A full disk is told without a name by the system, and in a way of its own by safetensors."""
    for error in (OSError(errno.ENOSPC, "No space left on device"), SafetensorError("No space left on device")):
        with (
            pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/some'"),
            atomic_folder(tmp_path / "some"),
        ):
            raise error


def test_folder_is_revised_without_touching_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint"
    with atomic_folder(path) as fresh:
        (fresh / "weights").write_text("large")
        (fresh / "config").write_text("old")
    weights = (path / "weights").stat().st_ino
    with pytest.raises(OSError, match="full"), atomic_folder(path, revise=True) as fresh:  # noqa: PT012
        with atomic_file(fresh / "config") as stream:
            stream.write("half")
        raise OSError("disk full")
    assert (path / "config").read_text() == "old"
    with monkeypatch.context() as patches:  # all is written, and cannot be synced
        patches.setattr(files, "_sync", lambda inner: (_ for _ in ()).throw(OSError(errno.ENOSPC, "disk full")))
        with (
            pytest.raises(OSError, match="full"),
            atomic_folder(path, revise=True) as fresh,
            (fresh / "more").open("w") as stream,
        ):
            stream.write("more")
    assert damage(path) is None
    with atomic_folder(path, revise=True) as fresh, atomic_file(fresh / "config") as stream:
        stream.write("new")
    assert (path / "config").read_text() == "new"
    assert (path / "weights").stat().st_ino == weights
    assert damage(path) is None


def test_manifest_tells_every_damage(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"

    def write() -> None:
        with atomic_folder(path) as fresh:
            (fresh / "weights").write_bytes(bytes(range(256)))
            (fresh / "README.md").write_text("what it is")

    write()
    assert damage(path) is None
    assert (
        subprocess.run(["sha256sum", "--check", MANIFEST], cwd=path, capture_output=True, check=False).returncode == 0
    )
    (path / "README.md").write_text("edited by its user")
    assert damage(path) is None
    for cut in (b"", bytes(range(255)), bytes(range(1, 256)) + b"\0"):
        (path / "weights").write_bytes(cut)
        assert damage(path) == f"weights is not as it was written, by {MANIFEST}"
    (path / "weights").unlink()
    assert damage(path) == f"there is no weights, which {MANIFEST} lists"
    write()
    (path / MANIFEST).write_text("0  ../../elsewhere\n")
    assert "there is no ../../elsewhere" in str(damage(path))
    for broken in (b"\xff\xfe", b"no digest\n"):
        (path / MANIFEST).write_bytes(broken)
        assert MANIFEST in str(damage(path))
    (path / MANIFEST).unlink()
    assert damage(path) is None


def test_what_killed_writers_left_is_put_right(tmp_path: Path) -> None:
    path = tmp_path / "last"
    for place in (".last.old.z1", ".last.x1y2"):  # killed between its two renames
        (tmp_path / place).mkdir()
        (tmp_path / place / "content").write_text(place)
    (tmp_path / "lasting").mkdir()
    settle(path)
    assert (path / "content").read_text() == ".last.old.z1"
    (tmp_path / ".last.old.z2").mkdir()  # killed after them
    (tmp_path / ".last.old.z2" / "content").touch()
    (tmp_path / ".last.file").touch()
    settle(path)
    assert (path / "content").read_text() == ".last.old.z1"
    assert names(tmp_path) == ["last", "lasting"]
