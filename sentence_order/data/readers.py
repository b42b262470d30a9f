"""Reads documents from a user's own files, one at a time; every complaint names the file and the line."""

import csv
import gzip
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from typing import IO, Any, NoReturn, cast

from sentence_order.config.schema import DataConfig, PredictConfig
from sentence_order.data.sentences import split_sentences
from sentence_order.errors import UserError, first_line

# A longer line, cell or text is refused: a small packed file can hold one that fills all memory.
MAX_RECORD_BYTES = 2**26
# The csv module refuses longer fields than 128 KiB by default; a document in one cell may be longer.
csv.field_size_limit(MAX_RECORD_BYTES)


@dataclass(frozen=True)
class Document:
    """A document: its sentences in gold order (or, in `predict`, as given)."""

    id: str
    sentences: list[str]
    where: str = field(default="", compare=False)  # for messages: file and line, and the id if it has its own


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


OnFault = Callable[[UserError], None]


def stop_at_fault(fault: UserError) -> NoReturn:
    """Raises the fault."""
    raise fault


def read_documents(
    path: str, file_format: str, layout: Layout, on_fault: OnFault = stop_at_fault
) -> Iterator[Document]:
    """Yields the documents of one file, in one of the formats of `READERS`.

    `-` is standard input, and a file whose name ends in `.gz` is unpacked on the way. A record that is not UTF-8 or
    does not hold a document is passed to `on_fault`, and if that returns, left out. Raises UserError if the file is
    missing, damaged or without documents.
    """
    if path != "-" and (problem := find_path_problem(path)):
        raise UserError(f"{path}: {problem}" + ("; for standard input give -" if "pipe" in problem else ""))
    empty = True
    try:
        for document in READERS[file_format](path, layout, on_fault):
            empty = False
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

    Raises UserError, which names both, if a column is missing, or does not hold what it should.
    """
    identity = record.get(layout.id_column)
    if identity is not None and (isinstance(identity, bool) or not isinstance(identity, str | int)):
        raise UserError(f"{where}: field '{layout.id_column}' must be a string, not {_kind(identity)}")
    document_id = where if identity in (None, "") else str(identity)
    if document_id != where:
        where = f"{where}: document {document_id!r}"

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
        sentences = split_sentences(cell(layout.text_column, str, "text"))
    elif layout.sentence_columns:
        sentences = [cell(column, str | None, "a string") or "" for column in layout.sentence_columns]
    else:
        sentences = cell(layout.sentences_column, list, "a list of strings")
    try:  # JSON can spell half a character, which no tokenizer takes
        "".join((document_id, *sentences)).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{where}: holds half a surrogate pair") from error
    return Document(document_id, sentences, where)


@contextmanager
def _faults_to(on_fault: OnFault) -> Iterator[None]:
    """Within the block a single record is read; a UserError ends the block and is passed to `on_fault`."""
    try:
        yield
    except UserError as fault:
        on_fault(fault)


def _read_jsonl(path: str, layout: Layout, on_fault: OnFault) -> Iterator[Document]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        with _faults_to(on_fault):
            _check_utf8(line, where)
            try:
                record = json.loads(line, object_pairs_hook=_object)
            except (ValueError, RecursionError) as error:  # also a number of thousands of digits
                raise UserError(f"{where}: not JSON: {error}") from error
            if not isinstance(record, dict):
                raise UserError(f"{where}: must be a JSON object, not {_kind(record)}")
            yield document_from_record(record, layout, where)


def _read_csv(path: str, layout: Layout, on_fault: OnFault) -> Iterator[Document]:
    rows = csv.DictReader((line for _, line in _lines(path)), strict=True)
    try:
        names = list(rows.fieldnames or [])
    except csv.Error as error:
        raise UserError(f"{path}:1: not CSV: {error}") from error
    _check_utf8("".join(names), f"{path}:1")
    if twice := _find_twice(names):
        raise UserError(f"{path}:{rows.line_num}: column '{twice}' appears twice")

    while True:
        with _faults_to(on_fault):
            first = rows.reader.line_num + 1
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:  # the next row is looked for in the next line
                last = rows.reader.line_num
                begin = f", in a row that begins in line {first}" if last > first else ""
                raise UserError(f"{path}:{last}: not CSV: {error}{begin}") from error
            yield _document_from_row(row, layout, f"{path}:{rows.line_num}")


def _document_from_row(row: dict[Any, Any], layout: Layout, where: str) -> Document:
    if None in row:
        raise UserError(f"{where}: more cells than the header has columns")
    record: dict[str, Any] = {column: value for column, value in row.items() if value is not None}
    _check_utf8("".join(record.values()), where)
    listed = not layout.sentence_columns and layout.text_column is None
    if listed and layout.sentences_column in record:  # the whole document, as a JSON list
        try:
            record[layout.sentences_column] = json.loads(record[layout.sentences_column])
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{where}: column '{layout.sentences_column}' must hold a JSON list of strings; for one column "
                "a sentence set sentence_columns=[...], for running text set text_column=..."
            ) from error
    return document_from_record(record, layout, where)


def _read_parquet(path: str, layout: Layout, on_fault: OnFault) -> Iterator[Document]:
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
                with _faults_to(on_fault):
                    yield document_from_record(record, layout, f"{path}:{row}")
    except (pa.ArrowException, UnicodeDecodeError) as error:  # damage may show in the text alone
        raise UserError(f"{path}: not a parquet file, or damaged: {first_line(error)}") from error


def _read_text(path: str, layout: Layout, on_fault: OnFault) -> Iterator[Document]:
    """Documents stand apart by blank lines; within one, a line is a sentence or the lines are running text."""
    stripped = ((number, line.strip()) for number, line in _lines(path))
    for is_text, block in groupby(stripped, key=lambda numbered: numbered[1] != ""):
        if is_text:
            with _faults_to(on_fault):
                yield _document_from_lines(block, layout, path)


def _document_from_lines(block: Iterator[tuple[int, str]], layout: Layout, path: str) -> Document:
    where, lines, size = "", [], 0
    for number, line in block:
        _check_utf8(line, f"{path}:{number}")
        where = where or f"{path}:{number}"
        lines.append(line)
        size += sys.getsizeof(line)
        if size > MAX_RECORD_BYTES:
            raise UserError(f"{where}: {len(lines):,} lines without a blank one, which is too much for a document")
    return Document(where, lines if layout.text_layout == "lines" else split_sentences("\n".join(lines)), where)


READERS = {"jsonl": _read_jsonl, "csv": _read_csv, "parquet": _read_parquet, "text": _read_text}


def _lines(path: str) -> Iterator[tuple[int, str]]:
    """Numbered lines of a UTF-8 file, line ends kept, without a byte order mark.

    What is not UTF-8 passes, for a record to be refused by `_check_utf8` without an end to the reading.
    """
    with _open(path) as stream:
        number = 0
        while raw := stream.readline(MAX_RECORD_BYTES + 1):
            number += 1
            if len(raw) > MAX_RECORD_BYTES:
                raise UserError(f"{path}:{number}: a line of more than {MAX_RECORD_BYTES >> 20} MiB")
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")


def _check_utf8(text: str, where: str) -> None:
    """Raises UserError if the bytes that `_lines` has read were not UTF-8."""
    if not text.isascii():
        try:
            text.encode("utf-8", "surrogateescape").decode()
        except UnicodeDecodeError as error:
            raise UserError(f"{where}: not UTF-8: {error.reason} at byte {error.start}") from error


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
