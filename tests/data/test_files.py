"""Paths that cannot be read are named with the reason."""

from pathlib import Path

import pytest

from sentence_order.data.files import match_files
from sentence_order.data.streams import find_path_problem
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
