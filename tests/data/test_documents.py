"""Documents are made of records: of each one, or of a record per sentence."""

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sentence_order.data.documents import document_from_record
from sentence_order.data.layout import Layout
from sentence_order.data.readers import read_documents
from sentence_order.errors import UserError

ROWS = [
    {"story": "b", "place": 2, "text": "She sat."},
    {"story": "a", "place": 1, "text": "He left."},
    {"story": "a", "place": 0, "text": "He came."},
    {"story": "b", "place": 1, "text": "She came."},
    {"story": "b", "place": 10, "text": "She rose."},
]
PER_SENTENCE = Layout(document_column="story", position_column="place", text_column="text")


def write(folder: Path, rows: list[dict[str, Any]], file_format: str) -> str:
    path = folder / file_format
    table = pd.DataFrame(rows)
    if file_format == "jsonl":
        table.to_json(path, orient="records", lines=True)
    elif file_format == "csv":
        table.to_csv(path)
    else:
        table.to_parquet(path)
    return str(path)


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("kind", [int, float])
def test_rows_of_a_sentence_become_documents(tmp_path: Path, file_format: str, kind: Any) -> None:
    path = write(tmp_path, [{**row, "place": kind(row["place"])} for row in ROWS], file_format)
    documents = list(read_documents(path, file_format, PER_SENTENCE))
    assert [(document.id, document.sentences) for document in documents] == [
        ("b", ["She came.", "She sat.", "She rose."]),
        ("a", ["He came.", "He left."]),
    ]
    as_they_stand = Layout(document_column="story", text_column="text")
    documents = list(read_documents(path, file_format, as_they_stand))
    assert [document.sentences for document in documents] == [
        ["She sat.", "She came.", "She rose."],
        ["He left.", "He came."],
    ]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"place": "first"}, ":6: field 'place' must be a number, not 'first'"),
        ({"place": None}, ":6: field 'place' must be a number"),
        ({"place": 2}, "document 'b': place 2 appears twice"),
        ({"story": ""}, ":6: field 'story' is empty"),
        ({"text": ["x"]}, ":6: field 'text' must be a sentence, not a list"),
    ],
)
def test_faults_of_rows_are_named(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    path = tmp_path / "file"
    path.write_text("\n".join(json.dumps(row) for row in [*ROWS, {"story": "b", "place": 11, "text": "End."} | change]))
    with pytest.raises(UserError, match=named):
        list(read_documents(str(path), "jsonl", PER_SENTENCE))
    faults: list[UserError] = []
    assert len(list(read_documents(str(path), "jsonl", PER_SENTENCE, faults.append))) == 2 - ("twice" in named)
    assert len(faults) == 1


def test_missing_columns_of_rows_are_named() -> None:
    with pytest.raises(UserError, match=r"no field 'place' .*named by data\.position_column, which may be null"):
        list(read_documents_of([{"story": "a", "text": "x y"}]))


def read_documents_of(rows: list[dict[str, Any]]) -> Any:
    from sentence_order.data.documents import documents_from_records
    from sentence_order.data.records import stop_at_fault

    return documents_from_records(((f"f:{n}", row) for n, row in enumerate(rows)), PER_SENTENCE, stop_at_fault)


def test_what_pandas_makes_of_missing_values_is_read() -> None:
    layout = Layout(group_column="topic")
    record = {"id": 3.0, "sentences": ["He came.", None, math.nan, "He left."], "topic": 2.0}
    document = document_from_record(record, layout, "f:1")
    assert (document.id, document.group) == ("3", "2")
    assert document.sentences == ["He came.", "", "", "He left."]
    assert document_from_record({**record, "id": math.nan, "topic": math.nan}, layout, "f:1").id == "f:1"
    wide = Layout(sentence_columns=["s1", "s2"])
    assert document_from_record({"s1": "He came.", "s2": math.nan}, wide, "f:1").sentences == ["He came.", ""]
