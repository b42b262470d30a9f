"""Makes documents of records: of each one, or of all that have the same value in a column."""

import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any

from sentence_order.config.commands import as_typed
from sentence_order.data.gold_order import are_numbers, find_gold_orders, is_blank, read_numbers, restore_gold_order
from sentence_order.data.layout import Layout, suggest_keys
from sentence_order.data.lists import parse_list
from sentence_order.data.records import OnFault, Record, faults_to, kind_of, names_of
from sentence_order.data.sentences import split_sentences
from sentence_order.data.streams import FileError
from sentence_order.errors import UserError

# Records of a file that are searched for columns with gold orders.
NUM_SEARCHED = 1000
# Of a file with a row per sentence, which are put into order in memory.
MAX_BYTES_OF_ROWS = 2**33


def nothing_to_order(count: int, prefix: str = "") -> str:
    """The complaint about documents without an order; the prefix is that of a `Layout`."""
    none = "the only document does not have" if count == 1 else f"none of the {count:,} documents has"
    return (
        f"{none} two sentences or more; nothing to order (running text is split into "
        f"sentences with {prefix}text_layout=paragraphs, or documents, one in each line; in tables with "
        f"{prefix}text_column=NAME)"
    )


@dataclass(frozen=True)
class Document:
    """A document: its sentences in gold order (or, in `predict`, as given)."""

    id: str
    sentences: list[str]
    group: str = ""  # by which results are told apart; empty for none
    where: str = field(default="", compare=False)  # for messages: file and line, and the id if it has its own


def documents_from_records(
    found: Iterable[tuple[str, Record]], layout: Layout, on_fault: OnFault
) -> Iterator[Document]:
    """The documents of records, which come with their places, by `document_from_record` or a row per sentence.

    Faults are passed to `on_fault`.
    """
    if layout.document_column is not None:
        yield from _documents_from_rows(found, layout, on_fault)
        return
    for where, record in found:
        with faults_to(on_fault):
            yield document_from_record(record, layout, where)


def _documents_from_rows(found: Iterable[tuple[str, Record]], layout: Layout, on_fault: OnFault) -> Iterator[Document]:
    rows: dict[str, list[tuple[float, Document]]] = {}
    size = 0
    for where, record in found:
        with faults_to(on_fault):
            position, sentence = _row_from_record(record, layout, where)
            rows.setdefault(sentence.id, []).append((position, sentence))
            size += sys.getsizeof(sentence.sentences[0]) + sys.getsizeof(where)
            if size > MAX_BYTES_OF_ROWS:
                raise FileError(f"{where}: more than {MAX_BYTES_OF_ROWS >> 30} GiB of sentences; use several files")

    for name, own in rows.items():
        where = f"{own[0][1].where}: document {name!r}"
        with faults_to(on_fault):
            own.sort(key=lambda row: row[0])
            for (position, _), (other, _) in pairwise(own):
                if position == other and layout.position_column is not None:
                    raise UserError(f"{where}: {layout.position_column} {position:g} appears twice")
            yield Document(name, [row.sentences[0] for _, row in own], own[0][1].group, where)


def _row_from_record(record: Record, layout: Layout, where: str) -> tuple[float, Document]:
    """The position of a sentence, and a document of it alone."""
    _check_columns(record, layout, where)
    column, position = str(layout.document_column), 0.0
    if (name := _read_name(record, column, where)) is None:
        raise UserError(f"{where}: field '{column}' is empty, which must name the document of the sentence")
    if layout.position_column is not None:
        value = record[layout.position_column]
        try:
            position = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            position = math.nan
        if math.isnan(position):
            raise UserError(f"{where}: field '{layout.position_column}' must be a number, not {str(value)[:40]!r}")
    sentence = _read_cell(record, str(layout.text_column), str | None, "a sentence", where) or ""
    group = _read_group(record, layout, where)
    check_encodable(where, name, sentence, group)
    return position, Document(name, [sentence], group, where)


def document_from_record(record: Record, layout: Layout, where: str) -> Document:
    """Makes a document of one JSON object, table row or hub record; `where` ("FILE:LINE") stands in for a missing id.

    Raises UserError, which names both, if a column is missing, or does not hold what it should.
    """
    document_id = _read_name(record, layout.id_column, where) or where
    if document_id != where:
        where = f"{where}: document {document_id!r}"
    _check_columns(record, layout, where)

    name = layout.text_column or ",".join(layout.sentence_columns) or layout.sentences_column
    if layout.text_column is not None:
        sentences = split_sentences(_read_cell(record, layout.text_column, str, "text", where))
    elif layout.sentence_columns:
        columns = layout.sentence_columns
        sentences = [_read_cell(record, column, str | None, "a string", where) or "" for column in columns]
    else:
        value = _read_cell(record, name, list | str, "a list of strings", where)
        sentences = _read_list(value, where, name, layout.prefix)
    group = _read_group(record, layout, where)
    check_encodable(where, document_id, group, *sentences)

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


def _check_columns(record: Record, layout: Layout, where: str) -> None:
    """Raises UserError, which names keys that would read the record, if it lacks a column."""
    for column in layout.columns:
        if column not in record and column != layout.id_column:
            hint = suggest_keys(record, layout)
            for key in ("document_column", "position_column", "group_column"):
                if column == getattr(layout, key):
                    hint = f"; it is named by {layout.prefix}{key}, which may be null"
            if column in (layout.gold_order_column, *layout.gold_order_columns):
                hint = ""
            raise UserError(f"{where}: no field '{column}' (available: {names_of(list(record))}){hint}")


def _read_cell(record: Record, column: str, accepted: Any, description: str, where: str) -> Any:
    value = record[column]
    value = None if value != value else value  # NaN, with which pandas marks what is missing
    if not isinstance(value, accepted):
        raise UserError(f"{where}: field '{column}' must be {description}, not {kind_of(value)}")
    return value


def _read_name(record: Record, column: str, where: str) -> str | None:
    """A text or a whole number, which pandas makes a float where others are missing; None for nothing."""
    value = record.get(column)
    if value is None or value != value or value == "":
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UserError(f"{where}: field '{column}' must be a string or a whole number, not {kind_of(value)}")
    return str(value)


def _read_group(record: Record, layout: Layout, where: str) -> str:
    if layout.group_column is None:
        return ""
    described = "text or a number, as data.group_column"
    group = _read_cell(record, layout.group_column, str | float | int | None, described, where)
    if isinstance(group, float) and group.is_integer():
        group = int(group)
    return "" if is_blank(group) else " ".join(str(group).split())


def check_encodable(where: str, *texts: str) -> None:
    """Raises UserError for half a character, which JSON and Python can spell, and no tokenizer takes."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{where}: holds half a surrogate pair") from error


def _read_list(value: list[Any] | str, where: str, name: str, prefix: str) -> list[str]:
    """A list of strings, or one as text; what is missing in it is an empty sentence."""
    sentences: Any = value
    if isinstance(value, str) and (sentences := parse_list(value)) is None:
        raise UserError(
            f"{where}: field '{name}' must hold a list of strings, or one as JSON, Python or numpy print it; for one "
            f"column per sentence set {prefix}sentence_columns=[...], for running text set "
            f"{as_typed(f'{prefix}text_column', name)}"
        )
    sentences = ["" if item is None or item != item else item for item in sentences]
    if not all(isinstance(sentence, str) for sentence in sentences):
        raise UserError(f"{where}: field '{name}' must be a list of strings, not {kind_of(sentences)}")
    return list(sentences)


def find_unused_gold_order(found: Iterable[tuple[str, Record]], layout: Layout) -> list[str]:
    """Advice about columns that look like gold orders of the first documents, and are not used."""
    if layout.gold_order_column or layout.gold_order_columns or layout.document_column:
        return []
    some = islice(found, NUM_SEARCHED)
    read = ((record, document_from_record(record, layout, where).sentences) for where, record in some)
    return find_gold_orders(read, layout.columns)


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
