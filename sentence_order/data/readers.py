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
from itertools import groupby
from typing import IO, Any, cast

from sentence_order.config.schema import DataConfig, PredictConfig
from sentence_order.data.sentences import split_sentences
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

    @classmethod
    def of(cls, config: DataConfig | PredictConfig) -> "Layout":
        columns = list(config.sentence_columns)
        return cls(config.id_column, config.sentences_column, columns, config.text_column, config.text_layout.value)


def read_documents(path: str, file_format: str, layout: Layout) -> Iterator[Document]:
    """Yields the documents of one file, in one of the formats of `READERS`.

    `-` is standard input, and a file whose name ends in `.gz` is unpacked on the way. Raises UserError if the file is
    missing, empty, not UTF-8, or a record does not hold a document.
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

    Raises UserError if a column is missing, or does not hold what it should.
    """
    identity = record.get(layout.id_column)
    if identity is not None and (isinstance(identity, bool) or not isinstance(identity, str | int)):
        raise UserError(f"{where}: field '{layout.id_column}' must be a string, not {_kind(identity)}")
    document_id = where if identity in (None, "") else str(identity)

    text_columns = [] if layout.text_column is None else [layout.text_column]
    for column in text_columns or layout.sentence_columns or [layout.sentences_column]:
        if column not in record:
            raise UserError(f"{where}: no field '{column}' (available: {_names(list(record))})")

    def cell(column: str, accepted: Any, description: str) -> Any:
        value = record[column]
        if not isinstance(value, accepted) or (accepted is list and not all(isinstance(s, str) for s in value)):
            raise UserError(f"{where}: field '{column}' must be {description}, not {_kind(value)}")
        return value

    if layout.text_column is not None:
        return Document(document_id, split_sentences(cell(layout.text_column, str, "text")))
    if layout.sentence_columns:
        return Document(document_id, [cell(column, str | None, "a string") or "" for column in layout.sentence_columns])
    return Document(document_id, cell(layout.sentences_column, list, "a list of strings"))


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
        if twice := _find_twice(list(rows.fieldnames or [])):
            raise UserError(f"{path}:{rows.line_num}: column '{twice}' appears twice")
        for row in rows:
            where = f"{path}:{rows.line_num}"
            if None in row:
                raise UserError(f"{where}: more cells than the header has columns")
            record: dict[str, Any] = {column: value for column, value in row.items() if value is not None}
            if listed and layout.sentences_column in record:  # the whole document, as a JSON list
                try:
                    record[layout.sentences_column] = json.loads(record[layout.sentences_column])
                except (ValueError, RecursionError) as error:
                    raise UserError(
                        f"{where}: column '{layout.sentences_column}' must hold a JSON list of strings; for one column "
                        "a sentence set sentence_columns=[...], for running text set text_column=..."
                    ) from error
            yield document_from_record(record, layout, where)
    except csv.Error as error:
        raise UserError(f"{path}:{rows.reader.line_num}: not CSV: {error}") from error


def _read_parquet(path: str, layout: Layout) -> Iterator[Document]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = {layout.id_column, layout.sentences_column, layout.text_column, *layout.sentence_columns}
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as table:
            names = table.schema_arrow.names
            if twice := _find_twice(names):
                raise UserError(f"{path}: column '{twice}' appears twice")
            columns = [name for name in names if name in wanted] or names
            records = (record for batch in table.iter_batches(columns=columns) for record in batch.to_pylist())
            for row, record in enumerate(records, start=1):
                yield document_from_record(record, layout, f"{path}:{row}")
    except (pa.ArrowException, UnicodeDecodeError) as error:  # damage may show in the text alone
        raise UserError(f"{path}: not a parquet file, or damaged: {first_line(error)}") from error


def _read_text(path: str, layout: Layout) -> Iterator[Document]:
    """Documents stand apart by blank lines; within one, a line is a sentence or the lines are running text."""
    stripped = ((number, line.strip()) for number, line in _lines(path))
    for is_text, block in groupby(stripped, key=lambda numbered: numbered[1] != ""):
        if is_text:
            numbers, lines = zip(*block, strict=True)
            sentences = list(lines) if layout.text_layout == "lines" else split_sentences("\n".join(lines))
            yield Document(f"{path}:{numbers[0]}", sentences)


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
    return cast(IO[bytes], gzip.open(path)) if path.endswith(".gz") else open(path, "rb")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a field that appears twice is an error, since either value could be meant."""
    if twice := _find_twice([name for name, _ in pairs]):
        raise ValueError(f"field '{twice}' appears twice")
    return dict(pairs)


def _find_twice(names: list[str]) -> str | None:
    """The first name that stands in the list before, as it is shown in messages."""
    if len(set(names)) == len(names):
        return None
    return _names([next(name for number, name in enumerate(names) if name in names[:number])])


def _names(names: list[str]) -> str:
    """Names of fields on one line: files may hold any, and any number of them."""
    shown = [repr(str(name))[1:-1] for name in names[:20]]
    return ", ".join([*shown, *([f"and {len(names) - 20:,} more"] if len(names) > 20 else [])]) or "none"


def _kind(value: Any) -> str:
    names = {dict: "an object", str: "a string", bool: "true or false", int: "a number", float: "a number"}
    if value is None:
        return "null"
    if isinstance(value, list):
        odd = [item for item in value if not isinstance(item, str)]
        return f"a list that holds {_kind(odd[0])}" if odd else "a list"
    return names.get(type(value), type(value).__name__)
