"""The format of a file, by its name or by its beginning: jsonl, csv, parquet or text."""

import csv
import re
from pathlib import Path

from sentence_order.data.layout import Layout
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
    if JSON_START.match(start):
        return "jsonl"
    return "csv" if not has_separator(start) and find_columns(start) else "text"


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
        has_text = any(" " in cell.strip() or not cell.isascii() for row in rows[1:] for cell in row)
        if is_header and has_text and len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows):
            return named
    return []


def check_format(path: str, start: str, expected: str, layout: Layout) -> None:
    """Raises UserError, with the key that reads the file, if its beginning is that of another format than expected.

    For text, as which any file can be read, neither may its name be that of another format.
    """
    found, named = find_format(start), format_by_name(path)
    way = "data={}" if layout.prefix else "format={}"
    if layout.is_any_text or (has_separator(start) and expected == "text"):
        return
    if found != expected and (found != "text" or has_separator(start)):
        columns = ", ".join(find_columns(start)[:20])
        what = {"jsonl": "JSON", "csv": f"a table with the columns {columns}", "text": f"{SEPARATOR} between sentences"}
        wanted = {"jsonl": "JSON", "csv": "a table", "parquet": "Parquet", "text": "plain text"}
        raise UserError(f"{path}: holds {what[found]}, not {wanted[expected]}; {way.format(found)} reads it")
    if expected == "text" and named not in (None, "text"):
        raise UserError(f"{path}: for a file of this name: {way.format(named)}")
