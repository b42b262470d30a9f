"""JSON is read in every form in which people and libraries write records."""

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sentence_order.data import json_records
from sentence_order.data.layout import Layout
from sentence_order.data.readers import read_documents
from sentence_order.errors import UserError

ROWS = [{"id": "a", "sentences": ["He ate.", "He left."]}, {"id": "b", "sentences": ["She came.", "She sat."]}]
SENTENCES = [row["sentences"] for row in ROWS]


def read(folder: Path, text: str, **layout: Any) -> dict[str, list[str]]:
    (folder / "file").write_text(text, encoding="utf-8")
    found = read_documents(str(folder / "file"), "jsonl", Layout(**layout))
    return {document.id.removeprefix(f"{folder}/"): document.sentences for document in found}


@pytest.mark.parametrize("orient", ["records", "columns", "index", "split", "table"])
@pytest.mark.parametrize("indent", [None, 2])
def test_every_orient_of_pandas_is_read(tmp_path: Path, orient: Any, indent: int | None) -> None:
    lists = pd.DataFrame(ROWS).to_json(orient=orient, indent=indent)
    assert read(tmp_path, lists) == {"a": SENTENCES[0], "b": SENTENCES[1]}
    wide = pd.DataFrame([{"id": row["id"], "s1": row["sentences"][0], "s2": row["sentences"][1]} for row in ROWS])
    assert read(tmp_path, wide.to_json(orient=orient, indent=indent), sentence_columns=["s1", "s2"]) == {
        "a": SENTENCES[0],
        "b": SENTENCES[1],
    }


@pytest.mark.parametrize("orient", ["columns", "index", "split", "table"])
def test_the_columns_of_pandas_are_proposed(tmp_path: Path, orient: Any) -> None:
    lists = pd.DataFrame([{"id": row["id"], "sents": row["sentences"]} for row in ROWS])
    with pytest.raises(UserError, match=r"\(available: .*id, sents\); set data\.sentences_column=sents$"):
        read(tmp_path, lists.to_json(orient=orient))
    wide = pd.DataFrame([{"s1": row["sentences"][0], "s2": row["sentences"][1]} for row in ROWS])
    with pytest.raises(UserError, match=r"s1, s2\); set 'data\.sentence_columns=\[s1,s2\]'$"):
        read(tmp_path, wide.to_json(orient=orient))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=1),
        "\n".join(json.dumps(row, indent=2) for row in ROWS),
        ",\n".join(json.dumps(row, indent=2) for row in ROWS),
        "\n".join(json.dumps([row]) for row in ROWS),
        "\n".join(map(repr, ROWS)),
        "\ufeff" + json.dumps(ROWS, indent=1),
    ],
)
def test_arrays_and_objects_over_several_lines_are_read(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {"a": SENTENCES[0], "b": SENTENCES[1]}


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(map(json.dumps, SENTENCES)),
        "\n".join(map(repr, SENTENCES)),
        json.dumps(SENTENCES),
        json.dumps(SENTENCES, indent=1),
        "".join(json.dumps(sentences) + ",\n" for sentences in SENTENCES),
        json.dumps([[row["id"], row["sentences"]] for row in ROWS]),
    ],
)
def test_lists_without_names_are_documents(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {"file:1": SENTENCES[0], "file:2": SENTENCES[1]}
    assert read(tmp_path, json.dumps(SENTENCES[0], indent=1)) == {"file:1": SENTENCES[0]}


def test_a_path_leads_to_nested_records(tmp_path: Path) -> None:
    nested = {"version": 1, "data": {"parts": [[ROWS[0]], [[ROWS[1]]]]}}
    for text in (json.dumps(nested), json.dumps(nested, indent=1), json.dumps([nested])):
        assert read(tmp_path, text, records="data.parts") == {"a": SENTENCES[0], "b": SENTENCES[1]}
    lists = json.dumps({"data": [{"s": SENTENCES[0]}, {"s": SENTENCES[1]}]})
    assert read(tmp_path, lists, records="data.s") == {"file:1": SENTENCES[0], "file:2": SENTENCES[1]}
    with pytest.raises(UserError, match=r"data\.records: no field 'part' \(available: parts\)"):
        read(tmp_path, json.dumps(nested), records="data.part")
    with pytest.raises(UserError, match=r"\(available: version, data\); set data\.records=data"):
        read(tmp_path, json.dumps({"version": 1, "data": ROWS}))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[{"sentences": ["a"]},\n {"sentences": }]', "file:2: not JSON"),
        ("[\n" + "[" * 100_000, "file:1: not JSON"),
        ('[{"sentences": ["a"]}, 3]', "file:1: field 'sentences' must be a list of strings"),
        ("[]", "the file holds no documents"),
        ("[\n1, 2]", "field 'sentences' must be a list of strings"),
        ("null", "must be a JSON object, not null"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        read(tmp_path, text)


def test_the_size_of_a_document_at_once_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packed file may be one of gigabytes; one that is not packed is no larger than itself."""
    monkeypatch.setattr(json_records, "MIN_CHARACTERS_ALLOWED", 2**16)
    (tmp_path / "packed").write_bytes(gzip.compress(b"[\n" + b" " * 2**24))
    tracemalloc.start()
    with pytest.raises(UserError, match="of JSON at once; write a record per line"):
        list(read_documents(str(tmp_path / "packed"), "jsonl", Layout()))
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    rows = [{"sentences": [f"He came, {n}.", "He left."]} for n in range(2000)]
    assert len(read(tmp_path, json.dumps(rows))) == 2000
