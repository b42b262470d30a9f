"""A file or folder is whole or not there."""

from pathlib import Path

import pytest

from sentence_order.errors import UserError
from sentence_order.files import atomic_file, atomic_folder, check_output


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


def test_folder_replaces_the_old_one_or_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    for content in ("first", "second"):
        with atomic_folder(path) as fresh:
            (fresh / content).touch()
        assert [inner.name for inner in path.iterdir()] == [content]
    with pytest.raises(OSError, match="full"), atomic_folder(path) as fresh:  # noqa: PT012
        (fresh / "third").touch()
        raise OSError("disk full")
    assert [inner.name for inner in path.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [path]
