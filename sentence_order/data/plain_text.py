"""Reads documents from plain text, after a look at whether that is what a file holds."""

import csv
import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from sentence_order.data import records
from sentence_order.data.documents import Document
from sentence_order.data.layout import Layout
from sentence_order.data.sentences import split_sentences
from sentence_order.data.streams import open_text
from sentence_order.errors import UserError

SUFFIXES = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".txt": "text",
}
PACKED_SUFFIX = re.compile(r"\.(?:gz|bz2|xz|zip)$")
# A list of texts, lists or objects, or an object.
JSON_START = re.compile(r"\s*(?:\[\s*(?:['\"{]|\[\s*['\"{\[])|\{\s*[\"}])")
COLUMN_NAME = re.compile(r"[^\W\d]\w{0,29}(?:[ .-]\w{1,30}){0,2}")
NUM_LINES_SEARCHED = 50
# Stands between sentences in files with a document per line.
SEPARATOR = "<eos>"


def format_by_name(path: str) -> str | None:
    """The format that a file's name shows."""
    return SUFFIXES.get(Path(PACKED_SUFFIX.sub("", path)).suffix.lower())


def has_separator(start: str) -> bool:
    """True if the first line of a file, which it begins with, has sentences with `<eos>` between them."""
    return SEPARATOR in start.lstrip().partition("\n")[0]


def find_format(start: str) -> str:
    """The format of a file, by its beginning: jsonl, csv or text."""
    if has_separator(start):
        return "text"
    return "jsonl" if JSON_START.match(start) else "csv" if find_columns(start) else "text"


def find_columns(start: str) -> list[str]:
    """The names in a table's header; none if the beginning of a file does not look like a table."""
    lines = start.splitlines(keepends=True)[:NUM_LINES_SEARCHED]
    for delimiter in "\t,;":
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            continue
        rows = rows[:-1] if len(rows) > 2 else rows  # the last one may be cut
        named = [name for name in rows[0][:1] if name] + rows[0][1:] if rows else []
        is_header = all(map(COLUMN_NAME.fullmatch, named)) and len({*named}) == len(named)
        if len(rows) > 1 < len(rows[0]) and is_header and all(len(row) == len(rows[0]) for row in rows):
            return named
    return []


def check_plain_text(path: str, start: str, layout: Layout) -> None:
    """Raises UserError if a file's beginning or name is that of another format."""
    if layout.is_any_text or has_separator(start):
        return
    found, way = find_format(start), "data={}" if layout.prefix else "format={}"
    if found == "jsonl":
        raise UserError(f"{path}: holds JSON, not plain text; {way.format(found)} reads it")
    if found == "csv":
        columns = records.names_of(find_columns(start))
        raise UserError(f"{path}: a table with the columns {columns}, not plain text; {way.format(found)} reads it")
    if (named := format_by_name(path)) not in (None, "text"):
        raise UserError(f"{path}: for a file of this name: {way.format(named)}")


def read_text(path: str, layout: Layout, on_fault: records.OnFault) -> Iterator[Document]:
    """Documents stand apart by blank lines; within one, a line is a sentence or the lines are running text.

    If `<eos>` stands between sentences, a line is a document.
    """
    with open_text(path, layout) as (start, stream):
        check_plain_text(path, start, layout)
        lines = records.number_lines(path, stream)
        stripped = ((number, line.strip()) for number, line in lines)
        if has_separator(start) and not layout.is_any_text:
            for number, line in stripped:
                sentences = ((number, sentence.strip()) for sentence in line.split(SEPARATOR))
                with records.faults_to(on_fault):
                    if line:
                        yield _document_from_lines(sentences, layout, path)
            return
        for is_text, block in groupby(stripped, key=lambda numbered: numbered[1] != ""):
            if is_text:
                with records.faults_to(on_fault):
                    yield _document_from_lines(block, layout, path)


def _document_from_lines(block: Iterator[tuple[int, str]], layout: Layout, path: str) -> Document:
    where, lines, size = "", [], 0
    for number, line in block:
        records.check_utf8(line, f"{path}:{number}", layout.prefix)
        where = where or f"{path}:{number}"
        lines.append(line)
        size += sys.getsizeof(line)
        if size > records.MAX_RECORD_BYTES:
            raise UserError(f"{where}: {len(lines):,} lines without a blank one, which is too much for a document")
    sentences = lines if layout.text_layout == "lines" else split_sentences("\n".join(lines))
    return Document(where, sentences, where=where)
