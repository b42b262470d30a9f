"""Files are known by their content: unpacked, decoded, or named for what they are."""

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from sentence_order.data.layout import Layout
from sentence_order.data.readers import describe_dialects, read_documents
from sentence_order.data.streams import sniff_encoding
from sentence_order.errors import UserError

CONTENT = b'{"id": "a", "sentences": ["He ate.", "He left."]}\n' * 99


def zipped(content: bytes, *names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("stories.jsonl", "__MACOSX/._stories.jsonl", "folder/"):
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("stories.jsonl"), io.BytesIO(content))
    return stream.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
}


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("file", ["stories.jsonl", "stories.jsonl.{}"])
def test_packed_files_are_read_under_any_name(tmp_path: Path, name: str, file: str) -> None:
    path = tmp_path / file.format(name)
    path.write_bytes(PACKERS[name](CONTENT))
    assert len(list(read_documents(str(path), "jsonl", Layout()))) == 99
    path.write_bytes(PACKERS[name](CONTENT)[:-9])
    with pytest.raises(UserError, match="cannot be read"):
        list(read_documents(str(path), "jsonl", Layout()))


def content_of(write: Callable[[io.BytesIO], None]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


TABLE = pa.table({"id": ["a"], "sentences": [["x", "y"]]})
OTHERS = {
    "an Excel workbook": zipped(b"x", "[Content_Types].xml", "xl/workbook.xml"),
    "an Excel workbook or another Office document": zipped(b"x", "mimetype", "content.xml"),
    "an old Excel workbook": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
    "a zip archive of 2 files": zipped(b"x", "a.txt", "b.txt"),
    "a zip archive of 0 files": zipped(b"x", ".DS_Store"),
    "a zip archive of 0 files, not": b"PK\5\6" + bytes(18),
    "a zip archive on standard input or within": zipped(zipped(b"x", "a.txt"), "a.zip"),
    "a Parquet file, not text; data=parquet": content_of(lambda stream: pq.write_table(TABLE, stream)),
    "an Arrow or Feather file": content_of(lambda stream: pyarrow.feather.write_feather(TABLE, stream)),
    "a Python pickle": pickle.dumps([["x", "y"]]),
    "a numpy array": content_of(lambda stream: np.save(stream, np.array(["x", "y"]))),
    "a tar archive": tarred(CONTENT),
    "a tar archive; unpack": gzip.compress(tarred(CONTENT)),
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
    "a binary file, not text; .* set data.encoding": b"SQLite format 3\0\x10\0\1\1\0@  " + bytes(900),
    "a binary file": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)),
    "a web page or XML": b"<?xml version='1.0'?>\n<stories><s>He came.</s></stories>",
    "a web page": b"\n<!DOCTYPE html>\n<html><body><p>Quota exceeded</p></body></html>",
    "a web page or XML, not data: if": b'<doc id="7" title="Cake">\nHe came.\n</doc>\n',
    "a web page or XML, not data": b"<tr>\n<td>Quota exceeded</td>\n</tr>\n",
}


@pytest.mark.parametrize("named", OTHERS)
@pytest.mark.parametrize("file_format", ["jsonl", "csv", "text"])
def test_what_is_no_text_is_named(tmp_path: Path, file_format: str, named: str) -> None:
    (tmp_path / "stories").write_bytes(OTHERS[named])
    with pytest.raises(UserError, match=f"stories: {named}"):
        list(read_documents(str(tmp_path / "stories"), file_format, Layout()))


def test_what_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "stories.parquet").write_bytes(OTHERS["a pointer of Git LFS"])
    with pytest.raises(UserError, match=r"not a Parquet file, or damaged: a pointer of Git LFS.*git lfs pull"):
        list(read_documents(str(tmp_path / "stories.parquet"), "parquet", Layout()))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_are_found_out(tmp_path: Path, encoding: str, line_end: str) -> None:
    path = tmp_path / "stories.csv"
    path.write_bytes(line_end.join(["id,s1,s2", "a,He ate at the café.,“I left.”", ""]).encode(encoding))
    layout = Layout(sentence_columns=["s1", "s2"])
    assert [d.sentences for d in read_documents(str(path), "csv", layout)] == [["He ate at the café.", "“I left.”"]]
    if encoding in ("utf-16", "cp1252"):
        found = describe_dialects([(str(path), "csv")], layout)
        assert list(found) == [f"{path} read as {encoding}; data.encoding sets it"]


def test_other_encodings_are_named_by_a_key(tmp_path: Path) -> None:
    path = tmp_path / "stories.txt"
    path.write_bytes("Он пришёл.\nМы поели.\n".encode("cp1251"))  # noqa: RUF001
    with pytest.raises(UserError, match=r"stories\.txt:1: not UTF-8: .*; data\.encoding=cp1252 or another name"):
        list(read_documents(str(path), "text", Layout()))
    (document,) = read_documents(str(path), "text", Layout(encoding="cp1251"))
    assert document.sentences == ["Он пришёл.", "Мы поели."]
    with pytest.raises(UserError, match=r"not utf-16: .*; data\.encoding"):
        list(read_documents(str(path), "text", Layout(encoding="utf-16")))


def test_a_typed_encoding_is_not_taken_for_a_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "stories.txt"
    path.write_bytes("他来了。\n一 他走了。\n".encode("utf-16-le"))
    (document,) = read_documents(str(path), "text", Layout(encoding="utf-16-le"))
    assert document.sentences == ["他来了。", "一 他走了。"]


def test_damaged_utf8_is_not_taken_for_another_encoding() -> None:
    assert sniff_encoding("Ein Café und ein Haus.\n".encode() + b"\xe9 x") == "utf-8"
    assert sniff_encoding(b"A caf\xe9 and a house.") == "cp1252"
    assert sniff_encoding("He said: “the café” again.".encode("cp1252")) == "cp1252"
    for end in range(4):
        assert sniff_encoding(b"x" * 2**16 + "\U0001f642".encode()[:end]) == "utf-8"
