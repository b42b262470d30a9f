"""Reads documents from a user's own files, one at a time; every complaint names the file and the line."""

import csv
import gzip
import json
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from sentence_order.errors import UserError, first_line

# The csv module refuses longer fields than 128 KiB by default; a document in one cell may be longer.
csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True)
class Document:
    """A document: its sentences in gold order (or, in `predict`, as given)."""

    id: str
    sentences: list[str]


@dataclass(frozen=True)
class Layout:
    """Where a file keeps a document's id and sentences; the fields are those of the `data` config group."""

    id_column: str = "id"
    sentences_column: str = "sentences"
    sentence_columns: list[str] = field(default_factory=list)
    text_column: str | None = None
    text_layout: str = "lines"


def read_documents(path: str, file_format: str, layout: Layout) -> Iterator[Document]:
    """Yields the documents of one file; `-` is standard input.

    Args:
        path: the file; a name that ends in `.gz` is unpacked on the way.
        file_format: "jsonl", "csv", "parquet" or "text".
        layout: the columns to read.

    Raises:
        UserError: the file is missing, empty, not UTF-8, or a record does not hold a document.
    """
    if path != "-" and (problem := find_path_problem(path)):
        raise UserError(f"{path}: {problem}" + ("; for standard input give -" if "pipe" in problem else ""))
    empty = True
    try:
        for document in READERS[file_format](path, layout):
            empty = False
            try:  # JSON can spell half a character, which no tokenizer takes
                "".join((document.id, *document.sentences)).encode()
            except UnicodeEncodeError as error:
                raise UserError(f"{path}: document {document.id!r} holds half a surrogate pair") from error
            yield document
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {first_line(error)}") from error
    if empty:
        raise UserError(f"{path}: the file holds no documents")


def find_path_problem(path: str) -> str | None:
    """Why a path cannot be read as a file, or None. A pipe is refused, since one without a writer would block."""
    if os.path.isfile(path):
        return None
    if os.path.isdir(path):
        return "a folder, not a file"
    return "a pipe or a device, not a file" if os.path.exists(path) else "no such file"


def document_from_record(record: dict[str, Any], layout: Layout, where: str) -> Document:
    """Makes a document of one JSON object, table row or hub record; `where` ("FILE:LINE") stands in for a missing id.

    Raises:
        UserError: a column is missing, or does not hold what it should.
    """
    identity = record.get(layout.id_column)
    if identity is not None and (isinstance(identity, bool) or not isinstance(identity, str | int)):
        raise UserError(f"{where}: field '{layout.id_column}' must be a string, not {_kind(identity)}")
    document_id = where if identity is None or identity == "" else str(identity)

    def cell(column: str) -> Any:
        if column not in record:
            raise UserError(f"{where}: no field '{column}' (available: {_names(list(record))})")
        return record[column]

    if layout.text_column is not None:
        text = cell(layout.text_column)
        if not isinstance(text, str):
            raise UserError(f"{where}: field '{layout.text_column}' must be text, not {_kind(text)}")
        return Document(document_id, split_sentences(text))
    if layout.sentence_columns:
        cells = [(column, cell(column)) for column in layout.sentence_columns]
        for column, value in cells:
            if value is not None and not isinstance(value, str):
                raise UserError(f"{where}: field '{column}' must be a string, not {_kind(value)}")
        return Document(document_id, [value or "" for _, value in cells])
    sentences = cell(layout.sentences_column)
    if not isinstance(sentences, list) or not all(isinstance(s, str) for s in sentences):
        raise UserError(f"{where}: field '{layout.sentences_column}' must be a list of strings, not {_kind(sentences)}")
    return Document(document_id, sentences)


def split_sentences(text: str) -> list[str]:
    """Splits running text into sentences (syntok)."""
    import syntok.segmenter as segmenter

    paragraphs = segmenter.process(text)
    return ["".join(token.spacing + token.value for token in sentence).strip() for p in paragraphs for sentence in p]


def _read_jsonl(path: str, layout: Layout) -> Iterator[Document]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            record = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:  # also a number of thousands of digits
            raise UserError(f"{where}: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise UserError(f"{where}: must be a JSON object, not {_kind(record)}")
        yield document_from_record(record, layout, where)


def _read_csv(path: str, layout: Layout) -> Iterator[Document]:
    rows = csv.DictReader((line for _, line in _lines(path)), strict=True)
    listed = not layout.sentence_columns and layout.text_column is None
    try:
        _check_distinct(list(rows.fieldnames or []), f"{path}:{rows.line_num}")
        for row in rows:
            where = f"{path}:{rows.line_num}"
            if None in row:
                raise UserError(f"{where}: more cells than the header has columns")
            record: dict[str, Any] = {column: value for column, value in row.items() if value is not None}
            if listed and layout.sentences_column in record:
                record[layout.sentences_column] = _json_list(record[layout.sentences_column], where, layout)
            yield document_from_record(record, layout, where)
    except csv.Error as error:
        raise UserError(f"{path}:{rows.reader.line_num}: not CSV: {error}") from error


def _json_list(text: str, where: str, layout: Layout) -> Any:
    """A table cell that holds a whole document holds it as a JSON list."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{where}: column '{layout.sentences_column}' must hold a JSON list of strings; for one column a sentence "
            "set sentence_columns=[...], for running text set text_column=..."
        ) from error


def _read_parquet(path: str, layout: Layout) -> Iterator[Document]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = {layout.id_column, layout.sentences_column, layout.text_column, *layout.sentence_columns}
    row = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as table:
            names = table.schema_arrow.names
            _check_distinct(names, path)
            columns = [name for name in names if name in wanted] or names
            for batch in table.iter_batches(columns=columns):
                for record in batch.to_pylist():
                    row += 1
                    yield document_from_record(record, layout, f"{path}:{row}")
    except (pa.ArrowException, UnicodeDecodeError) as error:  # damage may show in the text alone
        raise UserError(f"{path}: not a parquet file, or damaged: {first_line(error)}") from error


def _read_text(path: str, layout: Layout) -> Iterator[Document]:
    """Documents stand apart by blank lines; within one, a line is a sentence or the lines are running text."""
    block: list[str] = []
    start = 1

    def document() -> Document:
        sentences = block if layout.text_layout == "lines" else split_sentences("\n".join(block))
        return Document(f"{path}:{start}", list(sentences))

    for number, line in _lines(path):
        if line.strip():
            if not block:
                start = number
            block.append(line.strip())
        elif block:
            yield document()
            block = []
    if block:
        yield document()


READERS = {"jsonl": _read_jsonl, "csv": _read_csv, "parquet": _read_parquet, "text": _read_text}


def _lines(path: str) -> Iterator[tuple[int, str]]:
    """Numbered lines of a UTF-8 file, line ends kept, without a byte order mark."""
    with _open(path) as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise UserError(f"{path}:{number}: not UTF-8: {error.reason} at byte {error.start}") from error


def _open(path: str) -> AbstractContextManager[IO[bytes]]:
    if path == "-":
        return nullcontext(sys.stdin.buffer)
    return cast(IO[bytes], gzip.open(path)) if path.endswith(".gz") else Path(path).open("rb")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a field that appears twice is an error, since either value could be meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"field '{_twice([name for name, _ in pairs])}' appears twice")
    return found


def _check_distinct(columns: list[str], where: str) -> None:
    if len(set(columns)) < len(columns):
        raise UserError(f"{where}: column '{_twice(columns)}' appears twice")


def _twice(names: list[str]) -> str:
    return _names([next(name for number, name in enumerate(names) if name in names[:number])])


def _names(names: list[str], most: int = 20) -> str:
    """Names of fields on one line: files may hold any, and any number of them."""
    shown = [repr(str(name))[1:-1] for name in names[:most]]
    return ", ".join([*shown, *([f"and {len(names) - most:,} more"] if len(names) > most else [])]) or "none"


def _kind(value: Any) -> str:
    names = {dict: "an object", str: "a string", bool: "true or false", int: "a number", float: "a number"}
    if value is None:
        return "null"
    if isinstance(value, list):
        odd = next((item for item in value if not isinstance(item, str)), None)
        return "a list" if odd is None and None not in value else f"a list that holds {_kind(odd)}"
    return names.get(type(value), type(value).__name__)
