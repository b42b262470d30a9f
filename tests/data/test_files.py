"""The files of a split are those of its paths, globs, folders and lists; others are named with the reason."""

from pathlib import Path
from typing import Any

import pytest

from sentence_order.config.schema import DataConfig, Source
from sentence_order.data.files import check_data_files, find_data_files, match_files
from sentence_order.data.streams import find_path_problem
from sentence_order.errors import UserError
from tests.permissions import no_permission


def test_missing_permission_is_told_from_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("open", "private/sub"):
        Path(folder).mkdir(parents=True)
        Path(folder, "file.jsonl").touch()
    patterns = ("private/sub/*", "private/**/*.jsonl", "*/sub/file.jsonl", "*/*.jsonl", "**/file.jsonl", "open/*")
    matches = [match_files(pattern) for pattern in patterns]
    with no_permission(Path("private")):
        for path in ("private", "private/sub", "private/sub/file.jsonl"):
            assert find_path_problem(path) == "permission denied"
        for path in ("nothing", "open/file.jsonl/below", "open/nothing"):
            assert find_path_problem(path) == "no such file"
        for pattern in patterns[:-1]:
            assert "private" in match_files(pattern)
        assert match_files("open/*") == ["open/file.jsonl"]
    with no_permission(Path("open/file.jsonl")):
        assert find_path_problem("open/file.jsonl") == "permission denied"
    file = "private/sub/file.jsonl"
    assert matches == [[file], [file], [file], ["open/file.jsonl"], ["open/file.jsonl", file], ["open/file.jsonl"]]


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("corpus/b", "corpus/a", "corpus/.hidden", "corpus/sub/c", "more/d.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("He came.\nHe left.\n")
    Path("split").write_text("b\n\na\n")
    Path("wrong").write_text("a\nnone\n")


@pytest.mark.usefixtures("corpus")
@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("corpus", ["corpus/a", "corpus/b"]),
        ("corpus/", ["corpus/a", "corpus/b"]),
        ("corpus/**/*", ["corpus/a", "corpus/b", "corpus/sub/c"]),
        (["more/*.txt", "corpus/b", "corpus"], ["more/d.txt", "corpus/b", "corpus/a"]),
    ],
)
def test_folders_and_lists_name_files(value: Any, found: list[str]) -> None:
    config = DataConfig(Source.text, train=value)
    assert find_data_files(config, "train") == found
    check_data_files(config, ["train"])


@pytest.mark.usefixtures("corpus")
def test_a_file_may_list_the_names_of_files_in_a_folder() -> None:
    config = DataConfig(Source.text, train="split", folder="corpus")
    assert find_data_files(config, "train") == ["corpus/b", "corpus/a"]
    config.folder = "mo*/*.txt"
    Path("split").write_text("re\n")
    with pytest.raises(UserError, match=r"split:1: more/re\.txt: no such file"):
        find_data_files(config, "train")
    config = DataConfig(Source.text, train="split", folder="more/*.txt")
    Path("split").write_text("d\n")
    assert find_data_files(config, "train") == ["more/d.txt"]
    config = DataConfig(Source.text, train="wrong", folder="corpus")
    with pytest.raises(UserError, match=r"data\.train: wrong:2: corpus/none: no such file; data\.folder=corpus"):
        find_data_files(config, "train")


@pytest.mark.usefixtures("corpus")
@pytest.mark.parametrize(
    ("value", "named"),
    [
        ([], "data.train: an empty list; give a file, a glob, a folder or a list of these"),
        (["corpus", "none"], "data.train: none: no such file; give a file, a glob, a folder"),
        ("more/..", "data.train: more/..: a folder without files; more/../**/* names those in its folders"),
        (["none*"], "data.train: no file matches none*"),
    ],
)
def test_what_names_no_file_is_refused(value: Any, named: str) -> None:
    for path in ("split", "wrong"):
        Path(path).unlink()
    with pytest.raises(UserError) as caught:
        find_data_files(DataConfig(Source.text, train=value), "train")
    assert str(caught.value).startswith(named)
