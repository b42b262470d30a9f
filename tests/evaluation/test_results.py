"""What results.json holds, and how it is read again."""

import json
import re
import runpy
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

import sentence_order
from sentence_order.errors import UserError
from sentence_order.evaluation.results import COUNTS, as_json, provenance, read_results, shared_documents, write_json


def result(*texts: str) -> dict[str, Any]:
    """Results of documents whose counts are their places in the list, so that they can be told apart."""
    counts = {name: list(range(len(texts))) for name in COUNTS}
    ids = [str(number) for number in range(len(texts))]
    return {"per_document": {"id": ids, "text": list(texts), **counts}}


def test_versions_are_recorded() -> None:
    versions = provenance()["versions"]
    assert versions["torch"].startswith("2.")
    assert versions["sentence-order"] == sentence_order.__version__


def test_the_version_is_unknown_in_a_source_tree_that_was_never_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", find_version)
    package = runpy.run_path(sentence_order.__file__)
    assert package["__version__"] == "unknown"
    assert package["version_text"]() == "sentence-order version unknown (torch unknown, hydra-core unknown)"


def test_json_has_a_list_on_one_line_and_the_same_content() -> None:
    content = {"a": [1, 2.5, "x, y"], "b": {"rows": [{"c": [True, None]}], "none": []}, "text": "é\n"}
    text = as_json(content)
    assert json.loads(text) == content
    assert '"a": [1, 2.5, "x, y"]' in text
    with pytest.raises(ValueError, match="JSON"):
        as_json({"value": float("nan")})


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    content = {"test": result("a", "b")}
    write_json(tmp_path / "sub" / "results.json", content)
    assert read_results(tmp_path / "sub" / "results.json", "test") == content["test"]
    assert read_results(tmp_path / "sub", "test") == content["test"]  # of a run's folder


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"test": 3}', '{"test": {"per_document": {"text": []}}}', '{"other": {}}', "[" * 100_000],
)
def test_what_holds_no_results_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(content)
    with pytest.raises(UserError, match=re.escape(str(file))):
        read_results(file, "test")
    with pytest.raises(UserError, match=r"missing\.json"):
        read_results(tmp_path / "missing.json", "test")


def test_documents_are_matched_by_their_texts_and_not_by_their_ids() -> None:
    groups, counts = shared_documents([result("a", "b", "c", "d"), result("d", "x", "b")])
    assert groups == ["", ""]
    assert [each["correct"].tolist() for each in counts] == [[1, 3], [2, 0]]
    with pytest.raises(UserError, match="no document in common"):
        shared_documents([result("a", "b"), result("x", "y")])


def test_of_repeated_texts_the_first_is_matched_with_the_first() -> None:
    groups, counts = shared_documents([result("a", "b", "a", "a"), result("b", "a", "a")])
    assert len(groups) == 3
    assert [each["correct"].tolist() for each in counts] == [[0, 1, 2], [1, 0, 2]]


def test_groups_are_those_of_the_first_result_that_has_them() -> None:
    one, other, last = result("a", "b", "c"), result("c", "a"), result("a", "c")
    other["per_document"]["group"], last["per_document"]["group"] = ["new", "known"], ["x", "y"]
    groups, _ = shared_documents([one, other, last])
    assert groups == ["known", "new"]
