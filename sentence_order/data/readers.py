"""Reads documents from a user's own files, one at a time."""

import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from enum import Enum
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from sentence_order.config.schema import DataConfig, PredictConfig
from sentence_order.data import records
from sentence_order.data.gold_order import are_numbers, find_gold_orders, is_blank, read_numbers, restore_gold_order
from sentence_order.data.sentences import split_sentences
from sentence_order.errors import UserError, first_line

# Records of a file that are searched for columns with gold orders.
NUM_SEARCHED = 1000
RECORD_READERS = {"jsonl": records.read_jsonl, "csv": records.read_csv, "parquet": records.read_parquet}
SUFFIXES = {".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet", ".txt": "text"}


def format_by_name(path: str) -> str | None:
    """The format that a file's name shows."""
    return SUFFIXES.get(Path(path.removesuffix(".gz")).suffix)


def nothing_to_order(count: int, prefix: str = "") -> str:
    """The complaint about documents without an order; the prefix is that of a `Layout`."""
    none = "the only document does not have" if count == 1 else f"none of the {count:,} documents has"
    return (
        f"{none} two sentences or more; nothing to order (running text is split into "
        f"sentences with {prefix}text_layout=paragraphs or, in tables, {prefix}text_column=NAME)"
    )


@dataclass(frozen=True)
class Document:
    """A document: its sentences in gold order (or, in `predict`, as given)."""

    id: str
    sentences: list[str]
    group: str = ""  # by which results are told apart; empty for none
    where: str = field(default="", compare=False)  # for messages: file and line, and the id if it has its own


@dataclass(frozen=True)
class Layout:
    """Where a file keeps a document's id and sentences; the fields are those of the `data` config group.

    The prefix is that of their keys, for messages: `predict` has them without a group.
    """

    id_column: str = "id"
    sentences_column: str = "sentences"
    sentence_columns: list[str] = field(default_factory=list)
    text_column: str | None = None
    text_layout: str = "lines"
    gold_order_column: str | None = None
    gold_order_columns: list[str] = field(default_factory=list)
    gold_order: str = "order"
    gold_order_base: int = 0
    group_column: str | None = None
    prefix: str = "data."

    @classmethod
    def of(cls, config: DataConfig | PredictConfig) -> "Layout":
        found = {item.name: getattr(config, item.name) for item in fields(cls) if hasattr(config, item.name)}
        plain = {name: value.value if isinstance(value, Enum) else value for name, value in found.items()}
        return cls(**plain, prefix="data." if isinstance(config, DataConfig) else "")

    @property
    def columns(self) -> list[str]:
        """The columns of a table that are read."""
        text_columns = [] if self.text_column is None else [self.text_column]
        gold = self.gold_order_columns or ([] if self.gold_order_column is None else [self.gold_order_column])
        sentences = text_columns or self.sentence_columns or [self.sentences_column]
        return [self.id_column, *sentences, *gold, *([] if self.group_column is None else [self.group_column])]

    def choose_columns(self, names: list[str]) -> list[str]:
        """Those of a table's columns that are read; all if one is missing, which the complaint then lists."""
        if set(self.columns) - {self.id_column} <= set(names):
            return [name for name in names if name in self.columns]
        return names


def read_documents(
    path: str, file_format: str, layout: Layout, on_fault: records.OnFault = records.stop_at_fault
) -> Iterator[Document]:
    """Yields the documents of one file: jsonl, csv, parquet or text.

    `-` is standard input, and a file whose name ends in `.gz` is unpacked on the way. A record that is not UTF-8 or
    does not hold a document is passed to `on_fault`, and if that returns, left out. Raises UserError if the file is
    missing, damaged or without documents.
    """
    if path != "-" and (problem := records.find_path_problem(path)):
        raise UserError(f"{path}: {problem}")
    empty, faulty = True, 0

    def count_fault(fault: UserError) -> None:
        nonlocal faulty
        faulty += 1
        on_fault(fault)

    with _failures_as_user_errors(path):
        if file_format == "text":
            documents = _read_text(path, layout, count_fault)
        else:
            documents = _read_table(path, file_format, layout, count_fault)
        for document in refuse_numbers(documents, layout.prefix):
            empty = False
            yield document
    if empty:
        reason = f"all {faulty:,} documents are faulty" if faulty else "the file holds no documents"
        raise UserError(f"{path}: {reason}")


def refuse_numbers(documents: Iterable[Document], prefix: str) -> Iterator[Document]:
    """The documents. Raises UserError if the first one that has an order consists of small numbers.

    The prefix is that of a `Layout`.
    """
    is_first = True
    for document in documents:
        real = [sentence for sentence in document.sentences if sentence.strip()]
        if is_first and are_numbers(real):
            raise UserError(
                f"{document.where}: holds numbers, not sentences ({', '.join(real[:5])}); if they are a gold order, "
                f"name its column by {prefix}gold_order_column, or those with one number each by "
                f"{prefix}gold_order_columns"
            )
        is_first = is_first and len(real) < 2
        yield document


@contextmanager
def _failures_as_user_errors(path: str) -> Iterator[None]:
    """Within the block a file is read, which may be packed."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {first_line(error)}") from error


def document_from_record(record: records.Record, layout: Layout, where: str) -> Document:
    """Makes a document of one JSON object, table row or hub record; `where` ("FILE:LINE") stands in for a missing id.

    Raises UserError, which names both, if a column is missing, or does not hold what it should.
    """
    identity = record.get(layout.id_column)
    if identity is not None and (isinstance(identity, bool) or not isinstance(identity, str | int)):
        raise UserError(f"{where}: field '{layout.id_column}' must be a string, not {records.kind_of(identity)}")
    document_id = where if identity in (None, "") else str(identity)
    if document_id != where:
        where = f"{where}: document {document_id!r}"

    for column in layout.columns:
        if column not in record and column != layout.id_column:
            is_gold = column in (layout.gold_order_column, *layout.gold_order_columns)
            own = layout.prefix
            keys = f"{own}sentences_column=NAME, {own}sentence_columns=[NAME,...] or {own}text_column=NAME"
            hint = "" if is_gold else f"; the sentences are named by {keys}"
            if column == layout.group_column:
                hint = "; the group is named by data.group_column, which may be null"
            raise UserError(f"{where}: no field '{column}' (available: {records.names_of(list(record))}){hint}")

    def cell(column: str, accepted: Any, description: str) -> Any:
        value = record[column]
        if not isinstance(value, accepted):
            raise UserError(f"{where}: field '{column}' must be {description}, not {records.kind_of(value)}")
        return value

    name = layout.text_column or ",".join(layout.sentence_columns) or layout.sentences_column
    if layout.text_column is not None:
        sentences = split_sentences(cell(layout.text_column, str, "text"))
    elif layout.sentence_columns:
        sentences = [cell(column, str | None, "a string") or "" for column in layout.sentence_columns]
    else:
        sentences = _read_list(cell(name, list | str, "a list of strings"), where, name, layout.prefix)
    group, as_group = None, "text or a number, as data.group_column"
    if layout.group_column is not None:
        group = cell(layout.group_column, str | float | int | None, as_group)
    group = "" if is_blank(group) else " ".join(str(group).split())
    try:  # JSON can spell half a character, which no tokenizer takes
        "".join((document_id, group, *sentences)).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{where}: holds half a surrogate pair") from error

    how = layout.gold_order, layout.gold_order_base, where
    if layout.gold_order_column:
        numbers = record[layout.gold_order_column]
        real = [sentence for sentence in sentences if sentence.strip()]
        sentences = real if len(read_numbers(numbers) or []) == len(real) else sentences
        sentences = restore_gold_order(sentences, numbers, *how, layout.gold_order_column)
    elif columns := layout.gold_order_columns:
        pairs = [(sentence, record[column]) for sentence, column in zip(sentences, columns, strict=True)]
        pairs = [pair for pair in pairs if pair[0].strip() or not is_blank(pair[1])]  # both are blank, or neither
        sentences, numbers = [sentence for sentence, _ in pairs], [number for _, number in pairs]
        sentences = restore_gold_order(sentences, numbers, *how, ",".join(columns))
    return Document(document_id, sentences, group, where)


def _read_list(value: list[Any] | str, where: str, name: str, prefix: str) -> list[str]:
    """A list of strings, or one as JSON, as which a table may hold it."""
    sentences: Any = value
    if isinstance(value, str):
        try:
            sentences = json.loads(value)
        except (ValueError, RecursionError):
            sentences = None
        if not isinstance(sentences, list):
            raise UserError(
                f"{where}: field '{name}' must hold a list of strings, or one as JSON; for one column per sentence set "
                f"{prefix}sentence_columns=[...], for running text set {prefix}text_column=..."
            )
    if not all(isinstance(sentence, str) for sentence in sentences):
        raise UserError(f"{where}: field '{name}' must be a list of strings, not {records.kind_of(sentences)}")
    return list(sentences)


def find_unused_gold_order(found: Iterable[tuple[str, records.Record]], layout: Layout) -> list[str]:
    """Advice about columns that look like gold orders of the first documents, and are not used."""
    if layout.gold_order_column or layout.gold_order_columns:
        return []
    some = islice(found, NUM_SEARCHED)
    read = ((record, document_from_record(record, layout, where).sentences) for where, record in some)
    return find_gold_orders(read, layout.columns)


def find_unused_gold_order_of_file(path: str, file_format: str, layout: Layout) -> list[str]:
    """The same of a file. Raises UserError as `read_documents` does."""
    if file_format == "text":
        return []
    with _failures_as_user_errors(path):
        return find_unused_gold_order(RECORD_READERS[file_format](path, list, records.stop_at_fault), layout)


def _read_table(path: str, file_format: str, layout: Layout, on_fault: records.OnFault) -> Iterator[Document]:
    for where, record in RECORD_READERS[file_format](path, layout.choose_columns, on_fault):
        with records.faults_to(on_fault):
            yield document_from_record(record, layout, where)


def _read_text(path: str, layout: Layout, on_fault: records.OnFault) -> Iterator[Document]:
    """Documents stand apart by blank lines; within one, a line is a sentence or the lines are running text."""
    stripped = ((number, line.strip()) for number, line in records.read_lines(path))
    for is_text, block in groupby(stripped, key=lambda numbered: numbered[1] != ""):
        if is_text:
            with records.faults_to(on_fault):
                yield _document_from_lines(block, layout, path)


def _document_from_lines(block: Iterator[tuple[int, str]], layout: Layout, path: str) -> Document:
    where, lines, size = "", [], 0
    for number, line in block:
        records.check_utf8(line, f"{path}:{number}")
        where = where or f"{path}:{number}"
        lines.append(line)
        size += sys.getsizeof(line)
        if size > records.MAX_RECORD_BYTES:
            raise UserError(f"{where}: {len(lines):,} lines without a blank one, which is too much for a document")
    sentences = lines if layout.text_layout == "lines" else split_sentences("\n".join(lines))
    return Document(where, sentences, where=where)
