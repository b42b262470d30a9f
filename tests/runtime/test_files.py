"""A file or folder is complete or not there."""

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from safetensors import SafetensorError

from sentence_order.errors import UserError
from sentence_order.runtime.files import (
    BACKUP,
    MODEL_TYPE,
    UNFINISHED,
    atomic_file,
    atomic_folder,
    cache_folder,
    check_output,
    find_backup,
    oserrors_with_path,
    recover_interrupted_write,
)
from sentence_order.runtime.manifest import MANIFEST, find_corruption


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


def test_outputs_whose_name_is_too_long_are_refused(tmp_path: Path) -> None:
    check_output("output", tmp_path / ("x" * 200))
    for length in (250, 300):
        with pytest.raises(UserError, match="output: the name"):
            check_output("output", tmp_path / ("x" * length))


def test_links_are_written_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "file")
    with atomic_file(tmp_path / "link") as stream:
        stream.write("whole")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "file").read_text() == "whole"


def test_files_of_killed_writers_are_removed_by_the_next_one_alone(tmp_path: Path) -> None:
    """Not those of a living writer, nor files of others whose names are similar."""
    (tmp_path / f".out.abcd1234{UNFINISHED}").write_text("of a killed writer")
    (tmp_path / ".out.swp").write_text("of an editor")
    with atomic_file(tmp_path / "out") as one, atomic_file(tmp_path / "out") as other:
        one.write("one")
        other.write("other")
    assert (tmp_path / "out").read_text() == "one"
    assert names(tmp_path) == [".out.swp", "out"]


def write_checkpoint(path: Path, **files: str) -> None:
    with atomic_folder(path) as fresh:
        (fresh / "config.json").write_text(json.dumps({"model_type": MODEL_TYPE}))
        for name, content in files.items():
            (fresh / name).write_text(content)


def names(folder: Path) -> list[str]:
    return sorted(inner.name for inner in folder.iterdir())


def test_folder_replaces_the_old_one_or_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    for content in ("first", "second"):
        write_checkpoint(path, **{content: ""})
        assert names(path) == [MANIFEST, "config.json", content]
    with pytest.raises(OSError, match="full"), atomic_folder(path) as fresh:  # noqa: PT012
        (fresh / "third").touch()
        raise OSError("disk full")
    assert names(path) == [MANIFEST, "config.json", "second"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("config", [None, '{"model_type": "bert"}', "[]", "{"])
def test_folders_of_others_are_never_replaced(tmp_path: Path, config: str | None) -> None:
    path = tmp_path / "best"
    path.mkdir()
    (path / "thesis_weights.bin").write_text("weeks of work")
    if config is not None:
        (path / "config.json").write_text(config)
    for name in (f".best{BACKUP}mine", f".best{BACKUP}abcd1234", ".best.backup"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "work").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileExistsError, match="not a checkpoint"):
        write_checkpoint(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_files_of_others_in_a_checkpoint_stay_there(tmp_path: Path) -> None:
    path = tmp_path / "best"
    write_checkpoint(path, weights="old", obsolete="")
    (path / "notes.txt").write_text("mine")
    write_checkpoint(path, weights="new")
    assert (path / "weights").read_text() == "new"
    assert (path / "notes.txt").read_text() == "mine"
    assert names(path) == [MANIFEST, "config.json", "notes.txt", "weights"]
    assert find_corruption(path, ["weights"]) is None


def test_backup_with_a_damaged_manifest_loses_no_file_of_others(tmp_path: Path) -> None:
    path = tmp_path / "best"
    write_checkpoint(path, weights="old")
    (path / "notes.txt").write_text("mine")
    (path / MANIFEST).write_text("no digest")
    write_checkpoint(path, weights="new")
    assert (path / "weights").read_text() == "new"
    assert (path / "notes.txt").read_text() == "mine"
    assert names(tmp_path) == ["best"]


def test_backup_that_was_removed_in_part_goes_with_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last"
    write_checkpoint(path, weights="old")

    def stop_in_the_middle(folder: Path, **_: object) -> None:
        (folder / "config.json").unlink(missing_ok=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patches:
        patches.setattr(shutil, "rmtree", stop_in_the_middle)
        with pytest.raises(KeyboardInterrupt):
            write_checkpoint(path, weights="new")
    assert len(names(tmp_path)) == 2
    recover_interrupted_write(path)
    assert names(tmp_path) == ["last"]
    assert (path / "weights").read_text() == "new"


def test_links_to_checkpoints_are_not_replaced(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "elsewhere", weights="old")
    (tmp_path / "last").symlink_to("elsewhere")
    (tmp_path / "best").symlink_to("nothing")
    for name in ("last", "best"):
        with pytest.raises(FileExistsError, match="a link, or not a checkpoint"):
            write_checkpoint(tmp_path / name, weights="new")
    assert names(tmp_path) == ["best", "elsewhere", "last"]
    assert (tmp_path / "last" / "weights").read_text() == "old"


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_checkpoints_have_default_permissions(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "best"
    before = os.umask(umask)
    try:
        with atomic_folder(path) as fresh:
            (fresh / "model.safetensors").touch(0o600)  # as safetensors makes it
            (fresh / "tokenizer").mkdir(0o700)
    finally:
        os.umask(before)
    for inner in (path, path / "tokenizer"):
        assert inner.stat().st_mode & 0o777 == 0o777 & ~umask
    for inner in (path / "model.safetensors", path / MANIFEST):
        assert inner.stat().st_mode & 0o777 == 0o666 & ~umask


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
    write_checkpoint(path, weights="old")
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
        write_checkpoint(path, weights="".join(map(chr, range(32, 127))), **{"README.md": "what it is"})

    write()
    assert find_corruption(path) is None
    assert (
        subprocess.run(["sha256sum", "--check", MANIFEST], cwd=path, capture_output=True, check=False).returncode == 0
    )
    (path / "README.md").write_text("edited by its user")
    assert find_corruption(path) is None
    for cut in (b"", bytes(range(32, 126)), bytes(range(33, 127)) + b"\0"):
        (path / "weights").write_bytes(cut)
        assert str(find_corruption(path)).startswith("weights ")
    (path / "weights").unlink()
    assert "weights is missing" in str(find_corruption(path))
    write()
    (path / MANIFEST).write_text("0  ../../elsewhere\n")
    assert "../../elsewhere" in str(find_corruption(path))
    for broken in (b"\xff\xfe", b"no digest\n", b""):
        (path / MANIFEST).write_bytes(broken)
        assert MANIFEST in str(find_corruption(path, ["weights"]))
    (path / MANIFEST).write_text("0  config.json\n0\tweights\n")
    assert "its line 2 is not 'DIGEST  NAME'" in str(find_corruption(path))
    (path / MANIFEST).unlink()
    assert find_corruption(path) is None


def test_manifest_of_binary_mode_is_read(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    write_checkpoint(path, weights="1")
    command = ["sha256sum", "--binary", "config.json", "weights"]
    sums = subprocess.run(command, cwd=path, capture_output=True, check=True, text=True).stdout
    assert " *weights" in sums
    (path / MANIFEST).write_text(sums)
    assert find_corruption(path, ["weights"]) is None
    (path / "weights").write_text("2")
    assert "weights does not match" in str(find_corruption(path))


def test_manifest_that_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe without a writer would block, and a device may never end."""
    path = tmp_path / "checkpoint"
    write_checkpoint(path)
    manifest = path / MANIFEST
    for make in (
        lambda: os.mkfifo(manifest),
        lambda: manifest.symlink_to("/dev/zero"),
        lambda: manifest.symlink_to("nothing"),
    ):
        manifest.unlink()
        make()
        assert "it is not a file" in str(find_corruption(path))
    manifest.unlink()
    with manifest.open("wb") as stream:
        stream.truncate(2**40)
    assert "more than" in str(find_corruption(path))


def test_what_killed_writers_left_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "last"
    backup, second = f".last{BACKUP}z1z1z1z1", f".last{BACKUP}z2z2z2z2"
    for place in (backup, f".last.x1y2z3_4{UNFINISHED}"):  # killed between its two renames
        write_checkpoint(tmp_path / place, content=place)
    (tmp_path / "lasting").mkdir()
    assert find_backup(path) == tmp_path / backup
    recover_interrupted_write(path)
    assert (path / "content").read_text() == backup
    write_checkpoint(tmp_path / second, content="older")  # killed after them
    (tmp_path / f".last.abcdefgh{UNFINISHED}").touch()
    recover_interrupted_write(path)
    assert (path / "content").read_text() == backup
    assert names(tmp_path) == ["last", "lasting"]


def test_manifest_lists_what_a_checkpoint_needs(tmp_path: Path) -> None:
    """A manifest that was emptied or cut, as by a lost power, does not pass."""
    path = tmp_path / "checkpoint"
    write_checkpoint(path, a_weights="1", b_documents="2")
    lines = (path / MANIFEST).read_text().splitlines(keepends=True)
    (path / ".gitattributes").touch()  # as git and the hub add it
    files = ["a_weights"], ["b_documents"]
    assert find_corruption(path, *files) is None
    for kept in range(2):
        (path / MANIFEST).write_text("".join(lines[:kept]))
        assert "does not list" in str(find_corruption(path, *files))
    (path / "b_documents").unlink()
    assert find_corruption(path, *files) is None


def test_missing_permission_is_no_corruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint"
    write_checkpoint(path)

    def refuse(self: Path, mode: str = "r", **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom no permission stops
    with pytest.raises(PermissionError):
        find_corruption(path)


def test_an_open_stream_is_written_to_as_it_is(tmp_path: Path) -> None:
    """Such as /dev/stdout, behind which there may be a file that the shell appends to."""
    (tmp_path / "all").write_text("mine\n")
    with (tmp_path / "all").open("a") as file, atomic_file(Path(f"/dev/fd/{file.fileno()}")) as stream:
        stream.write("one\n")
    assert (tmp_path / "all").read_text() == "mine\none\n"
    assert names(tmp_path) == ["all"]


def test_a_file_that_is_write_protected_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").touch(0o444)
    may_write = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path / "out") and may_write(path, mode))
    with pytest.raises(UserError, match=r"output: .*out is write-protected"):
        check_output("output", tmp_path / "out")


def test_an_error_names_the_file_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted", source, None, str(target))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="not permitted") as caught, atomic_file(tmp_path / "out") as stream:
        stream.write("x")
    assert caught.value.filename == str(tmp_path / "out")


def test_a_home_folder_that_is_not_known_is_one_line() -> None:
    with pytest.raises(UserError, match=r"cache\.dir: ~nobody-here/cache: .* SENTENCE_ORDER_CACHE"):
        cache_folder("~nobody-here/cache")
