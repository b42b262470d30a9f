"""Files of every format are read, and every fault is named with its line."""

import csv
import gzip
import json
import os
import tracemalloc
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentence_order.data import records
from sentence_order.data.documents import Document
from sentence_order.data.layout import Layout
from sentence_order.data.readers import read_documents, read_files
from sentence_order.data.records import read_parquet, stop_at_fault
from sentence_order.errors import UserError
from tests.data.test_streams import PACKERS

GOOD = {
    "jsonl": ('{"id": "a", "sentences": ["One.", "Two."]}\n\n{"id": 7, "sentences": ["Three."]}\n', Layout()),
    "csv": ('id,sentences\na,"[""One."", ""Two.""]"\n7,"[""Three.""]"\n', Layout()),
    "text": ("One.\nTwo.\n\n\nThree.", Layout()),
}


def read(path: Path, file_format: str, layout: Layout | None = None) -> list[Document]:
    return list(read_documents(str(path), file_format, layout or Layout()))


@pytest.mark.parametrize("file_format", GOOD)
@pytest.mark.parametrize("change", [str, lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n")])
def test_every_format_is_read(tmp_path: Path, file_format: str, change) -> None:
    text, layout = GOOD[file_format]
    path = tmp_path / "file"
    path.write_bytes(change(text).encode())
    documents = read(path, file_format, layout)
    assert [document.sentences for document in documents] == [["One.", "Two."], ["Three."]]
    if file_format != "text":
        assert [document.id for document in documents] == ["a", "7"]


def test_gzip_files_are_read_and_their_damage_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"sentences": ["x", "y"]}\n'))
    assert read(path, "jsonl") == [Document(f"{path}:1", ["x", "y"])]
    path.write_bytes(gzip.compress(b'{"sentences": ["x", "y"]}\n' * 99)[:-9])
    with pytest.raises(UserError, match="cannot be read"):
        read(path, "jsonl")
    damaged = bytearray(gzip.compress(b'{"sentences": ["x", "y"]}\n' * 99))
    damaged[10] = 0xFF  # the first byte of the stream: no such kind of block
    path.write_bytes(damaged)
    with pytest.raises(UserError, match="cannot be read"):
        read(path, "jsonl")


def test_a_column_may_hold_each_sentence(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text('storyid,title,s1,s2,s3\nx1,T,First.,"Second, still.",\n')
    layout = Layout(id_column="storyid", sentence_columns=["s1", "s2", "s3"])
    assert read(path, "csv", layout) == [Document("x1", ["First.", "Second, still.", ""])]


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "parquet"])
def test_groups_are_texts_or_numbers_and_may_be_blank(tmp_path: Path, file_format: str) -> None:
    path, groups = tmp_path / "file", ["Art \n history", "7", "  ", None]
    rows = [{"id": f"d{k}", "sentences": '["x", "y"]', "topic": group} for k, group in enumerate(groups)]
    if file_format == "jsonl":
        rows[1]["topic"] = 7  # type: ignore[dict-item]
        path.write_text("\n".join(map(json.dumps, rows)))
    elif file_format == "csv":
        with path.open("w", newline="") as stream:
            table = csv.DictWriter(stream, rows[0])
            table.writeheader()
            table.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    documents = read(path, file_format, Layout(group_column="topic"))
    assert [document.group for document in documents] == ["Art history", "7", "", ""]
    assert {document.group for document in read(path, file_format)} == {""}
    with pytest.raises(UserError, match=r":\d: .*no field 'topics' \(available: .*topic\); .*data\.group_column"):
        read(path, file_format, Layout(group_column="topics"))


@pytest.mark.parametrize("group", [["a"], {"a": 1}])
def test_a_list_or_an_object_is_no_group(tmp_path: Path, group: object) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text(json.dumps({"sentences": ["x", "y"], "topic": group}))
    with pytest.raises(
        UserError, match=r"file\.jsonl:1: field 'topic' must be text or a number, as data\.group_column"
    ):
        read(path, "jsonl", Layout(group_column="topic"))


def test_parquet_files_are_read_and_their_faults_named(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"id": ["a"], "sentences": [["x", "y"]], "other": [1]}), path)
    assert read(path, "parquet") == [Document("a", ["x", "y"])]
    for columns in (["id", "sentences", "sentences"], ["id", "id", "sentences"]):
        arrays = [pa.array([["x", "y"]] if name == "sentences" else ["a"]) for name in columns]
        pq.write_table(pa.Table.from_arrays(arrays, names=columns), path)
        with pytest.raises(UserError, match=f"'{columns[1]}'"):
            read(path, "parquet")
    pq.write_table(pa.table({"id": [True], "sentences": [["x", "y"]]}), path)
    with pytest.raises(UserError, match="'id'"):
        read(path, "parquet")
    pq.write_table(pa.table({"id": ["a"], "sentences": [["x", "y"]], "order": [[1, 0]]}), path)
    with pytest.raises(UserError, match=r"no field 'ordr' \(available: id, sentences, order\)"):
        read(path, "parquet", Layout(gold_order_column="ordr"))
    path.write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="parquet"):
        read(path, "parquet")


def test_a_text_that_a_parquet_file_holds_once_for_many_rows_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array(["x y. " * 200_000]))
    pq.write_table(pa.table({"text": texts}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 20_000
    tracemalloc.start()
    records = read_parquet(str(path), Layout(text_column="text"), stop_at_fault)
    assert sum(len(record["text"]) for _, record in islice(records, 40)) == 40_000_000
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


def test_running_text_is_split_into_sentences(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("Mr. Brown had a plan. It cost $3.50 to carry out!\nNobody liked it.\n\nRain fell. It stopped.\n")
    documents = read(path, "text", Layout(text_layout="paragraphs"))
    assert [document.sentences for document in documents] == [
        ["Mr. Brown had a plan.", "It cost $3.50 to carry out!", "Nobody liked it."],
        ["Rain fell.", "It stopped."],
    ]


@pytest.mark.parametrize(
    ("file_format", "content", "named"),
    [
        ("jsonl", b"", "no documents"),
        ("jsonl", b'{"sentences": ["a"]}\n{"sentences"', ":2: not JSON"),
        ("jsonl", b"[1]\n", ":1: "),
        ("jsonl", b'{"text": "a"}\n', ":1: no field 'sentences'"),
        ("jsonl", b'{"sentences": "a"}\n', ":1: field 'sentences'"),
        ("jsonl", b'{"sentences": ["a", 3]}\n', ":1: field 'sentences'"),
        ("jsonl", b'{"sentences": null}\n', "not null"),
        ("jsonl", b'{"id": [], "sentences": ["a"]}\n', ":1: field 'id'"),
        ("jsonl", b'{"id": true, "sentences": ["a"]}\n', ":1: field 'id'"),
        ("jsonl", b'{"id": 1.5, "sentences": ["a"]}\n', ":1: field 'id'"),
        ("jsonl", b'{"id": Infinity, "sentences": ["a"]}\n', ":1: field 'id'"),
        ("jsonl", b'{"sentences": ["a"], "sentences": ["b"]}\n', ":1: not JSON: field 'sentences'"),
        ("jsonl", b'{"a\\nb": 1, "\\ud800": 2}\n', ": a\\nb, \\ud800)"),
        ("jsonl", json.dumps({f"k{n}": n for n in range(999)}).encode(), "k19, and 979 more)"),
        ("csv", b"id,s,s\n1,a,b\n", ":1: column 's'"),
        ("csv", b'id,s\n1,"a"b\n', ":2: not CSV"),
        ("jsonl", b'\n{"sentences": ["\xc3\xa9\xff"]}\n', ":2: not UTF-8"),
        ("jsonl", b'[{"sentences": ["a"]},\n {"sentences": }]', ":2: not JSON"),
        ("jsonl", b"[" * 100_000 + b"\n", ":1: not JSON"),
        ("jsonl", b'{"sentences": ["a \\ud800", "b"]}\n', "surrogate"),
        ("jsonl", b'{"id": ' + b"9" * 5000 + b', "sentences": []}\n', ":1: not JSON"),
        ("csv", b"", "no documents"),
        ("csv", b"id,sentences\n", "no documents"),
        ("csv", b"id,text\na,b\n", ":2: document 'a': no field 'sentences'"),
        ("csv", b"id,sentences\na,hello\n", ":2: document 'a': field 'sentences'"),
        ("csv", b"caf\xe9,s\n1,\xc3\xa9\n", ":1: not UTF-8"),
        ("csv", b"id,sentences\n1,[]\n2,caf\xe9\xc3\xa9\n", ":3: not UTF-8"),
        ("csv", b'id,sentences\na,"[""x""\nb,[]\n', "in a row that begins in line 2"),
        ("csv", b"id,sentences\na,[],extra\n", ":2: "),
        ("csv", b'id,sentences\na,"[""x""\n', "not CSV"),
        ("text", b"\n \n", "no documents"),
        ("text", b"\xc3\xa9\n\xe9\n", ":2: not UTF-8"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, file_format: str, content: bytes, named: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read(path, file_format)
    assert str(caught.value).startswith(str(path))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file_format", "content", "lines"),
    [
        (
            "jsonl",
            b'{\n{"sentences": ["\xc3\xa9\xff"]}\n{"sentences": ["\\ud800"]}\n{"sentences": ["x"]}\n7\n',
            [1, 2, 3, 5],
        ),
        ("csv", b'id,sentences\na,[]\nb,"x"y\n\xe9\xc3\xa9,[]\nd,"[""x""]"\ne,[],z\nf,z\n', [3, 4, 6, 7]),
        ("text", b"\xff\nx\n\nx\n\n\nx\ny\xc3\xa9\xff", [1, 8]),
    ],
)
def test_reading_goes_on_behind_a_faulty_record(
    tmp_path: Path, file_format: str, content: bytes, lines: list[int]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    faults: list[UserError] = []
    documents = list(read_documents(str(path), file_format, Layout(), faults.append))
    assert [str(fault).removeprefix(f"{path}:").split(":")[0] for fault in faults] == [str(line) for line in lines]
    assert documents[-1].sentences == ["x"]


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "text"])
@pytest.mark.parametrize(
    ("line", "packer"), [(b"x", "gz"), (b'"x\n', "gz"), (b"x\n", "gz"), (b"x", "bz2"), (b"x", "zip"), (b"x\n", "zip")]
)
def test_what_one_record_takes_is_bounded(
    tmp_path: Path, file_format: str, line: bytes, packer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packed file of three megabytes may hold a line, a cell or a paragraph of gigabytes."""
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 2**16)
    before = csv.field_size_limit(2**16)
    path = tmp_path / "file.packed"
    path.write_bytes(PACKERS[packer](b"id\n" + line * 2**24))
    tracemalloc.start()
    with pytest.raises(UserError, match=r"file\.packed:\d+: "):
        read(path, file_format)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()
    csv.field_size_limit(before)


@pytest.mark.parametrize(
    ("file_format", "content"),
    [("jsonl", '{"sentences": ["%s"]}\n'), ("csv", 'sentences\n"[""%s""]"\n"[""x""]"\n'), ("text", "x\n%s\n\nx\n")],
)
def test_a_line_that_is_too_long_is_not_left_out(
    tmp_path: Path, file_format: str, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing more is read behind it."""
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 99)
    path = tmp_path / "file"
    path.write_text(content % (100 * "x"))
    faults: list[UserError] = []
    with pytest.raises(UserError, match=r"file:\d: a line of more than"):
        list(read_documents(str(path), file_format, Layout(), faults.append))
    assert not faults


def test_a_file_without_documents_is_left_out_if_others_have_some(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, text in {"a.txt": "He came.\n", "b.txt": "", "c.txt": "\n"}.items():
        (tmp_path / name).write_text(text)
    files = [(str(path), "text") for path in sorted(tmp_path.iterdir())]
    assert len(list(read_files(files, Layout(), only_first=True))) == 1
    with caplog.at_level("WARNING", "sentence_order"):
        assert len(list(read_files(files, Layout()))) == 1
    assert caplog.messages == [f"left out: {path}: the file holds no documents" for path, _ in files[1:]]
    for only_first in (True, False):
        with pytest.raises(UserError, match=r"b\.txt: the file holds no documents"):
            list(read_files(files[1:], Layout(), only_first=only_first))


def test_a_document_is_not_torn_by_the_end_of_a_file(tmp_path: Path) -> None:
    for name, place in {"a.csv": 1, "b.csv": 2}.items():
        (tmp_path / name).write_text(f"doc,place,text\n{name},0,x\nmid,{place},He came.\n")
    layout = Layout(document_column="doc", position_column="place", text_column="text")
    with pytest.raises(UserError, match=r"data\.document_column: 'mid' has rows in .*a\.csv and .*b\.csv"):
        list(read_files([(str(path), "csv") for path in sorted(tmp_path.iterdir())], layout))


def test_paths_that_are_not_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "nothing", "text")
    with pytest.raises(UserError, match="folder"):
        read(tmp_path, "text")
    with pytest.raises(UserError, match="no such file"):
        read(Path("x" * 5000), "text")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "circle", "text")


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), Path("/dev/zero")):
        with pytest.raises(UserError, match="pipe"):
            read(path, "text")


def test_byte_order_marks_of_joined_files_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "joined.txt").write_text("\ufeffOne.\nTwo.\n\n\ufeffThree.\nFour.\n", encoding="utf-8")
    found = [document.sentences for document in read_documents(str(tmp_path / "joined.txt"), "text", Layout())]
    assert found == [["One.", "Two."], ["Three.", "Four."]]
