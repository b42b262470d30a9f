"""The format of a file, by its name or by its beginning: jsonl, csv, parquet or text."""

import csv
import re
from pathlib import Path

from sentence_order.data.layout import Layout
from sentence_order.data.lists import parse_list
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
# An object with a field, as JSON or Python spells it, in lists or not; and a list that goes on in the next line.
OBJECT_START = re.compile(r"[\[\s]*\{\s*(?:\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')\s*:")
LIST_START = re.compile(r"\s*\[(?:[\[\s]*\n|[\[\s]*(?:\"(?:[^\"\\\n]|\\.)*\",[^\S\n]*)+\n)")
DELIMITERS = (",", ";", "\t", "|")
# What may stand before a table: blank lines, and a line for Excel that names the delimiter.
PREAMBLE = re.compile(r"(?:[^\S\r\n]*(?:\r\n?|\n))*(?:\"?sep=(.)\"?[^\S\r\n]*(?:\r\n?|\n))?", re.IGNORECASE)
COLUMN_NAME = re.compile(r"[^\W\d]\w{0,29}(?:[ .(-]{1,2}\w{1,30}\)?){0,2}")
# A name that is hardly the first word of prose.
FIELD_NAME = re.compile(
    r".*[\d_].*|[a-z]+[A-Z].*|(?i:id|idx|index|(?:sub)?title|name|text|story|stories|sents?|sentences?|doc|document|"
    r"article|abstract|body|content|summary|label|order|position|number|lines?|steps?|directions|topic|split|source)"
)
NUM_LINES_SEARCHED = 50
# Stands between sentences in files with a document per line.
SEPARATOR = re.compile(r"<eos>", re.IGNORECASE)
BEFORE_SEPARATOR = re.compile(r"\s*(?!<eos>)\S[^\n]*?<eos>", re.IGNORECASE)


def format_by_name(path: str) -> str | None:
    """The format that a file's name shows."""
    return SUFFIXES.get(Path(PACKED_SUFFIX.sub("", path)).suffix.lower())


def has_separator(start: str) -> bool:
    """True if at least half of the first lines of a file, which it begins with, have a sentence and `<eos>` behind."""
    lines = [line for line in start.splitlines()[:NUM_LINES_SEARCHED] if line.strip()]
    return bool(lines) and 2 * sum(BEFORE_SEPARATOR.match(line) is not None for line in lines) >= len(lines)


def find_format(start: str) -> str:
    """The format of a file, by its beginning: jsonl, csv or text."""
    if is_json(start):
        return "jsonl"
    return "csv" if not has_separator(start) and find_columns(start) else "text"


def is_json(start: str) -> bool:
    """True if a file begins with an object, or with a list of texts or lists, as JSON or Python spells it."""
    if OBJECT_START.match(start) or LIST_START.match(start):
        return True
    line, end, _ = start.lstrip().partition("\n")
    if not line.startswith("["):
        return False
    return any(isinstance(item, str | list) for item in parse_list(line.rstrip(", \r")) or []) or (
        not end and len(line) >= 2**14 and line.startswith(('["', "['", '[["'))
    )


def find_columns(start: str) -> list[str]:
    """The names in a table's header; none if the beginning of a file does not look like a table.

    Either most are names as of fields, or they are three at least, and as many cells stand in each of four rows.
    """
    for delimiter in DELIMITERS:
        rows = split_rows(start, delimiter) or [[]]
        rows = rows[:-1] if len(rows) > 2 else rows  # the last one may be cut
        names = [name.strip() for name in rows[0]]
        named = [name for name in names[:1] if name] + names[1:]
        is_header = all(map(COLUMN_NAME.fullmatch, named)) and len({*named}) == len(named)
        has_text = any(" " in cell.strip() or not cell.isascii() for row in rows[1:] for cell in row)
        is_spaced = names != rows[0]
        if not (is_header and has_text and len(names) > 1) or (is_spaced and delimiter == ","):
            continue
        if 2 * sum(FIELD_NAME.fullmatch(name) is not None for name in named) >= len(named):
            if all(not any(row[len(names) :]) for row in rows) and any(len(row) > 1 for row in rows[1:]):
                return named
        elif len(names) > 2 and len(rows) > 2 and all(len(row) == len(names) for row in rows) and not is_spaced:
            return named
    return []


def split_rows(start: str, delimiter: str) -> list[list[str]]:
    """The first rows of a table, which a file begins with; none if they are not CSV."""
    lines = PREAMBLE.sub("", start, count=1).splitlines(keepends=True)[:NUM_LINES_SEARCHED]
    try:
        return [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return []


def find_delimiter(start: str, layout: Layout) -> str:
    """The one that is set, or that parts a table's header into the columns that are read, or else into the most."""
    if layout.delimiter is not None:
        return "\t" if layout.delimiter in ("tab", "\\t") else layout.delimiter
    if (preamble := PREAMBLE.match(start)) and preamble[1]:
        return preamble[1]
    headers = {delimiter: (split_rows(start, delimiter) or [[]])[0] for delimiter in DELIMITERS}
    fitting = (delimiter for delimiter, names in headers.items() if layout.has_columns([*map(str.strip, names)]))
    return next(fitting, max(headers, key=lambda delimiter: len(headers[delimiter])))


def check_format(path: str, start: str, expected: str, layout: Layout) -> None:
    """Raises UserError, with the key that reads the file, if its beginning is that of another format than expected.

    For text, as which any file can be read, neither may its name be that of another format and its first line that of
    a table or of JSON.
    """
    if layout.any_text:
        return
    found, named = find_format(start), format_by_name(path)
    marked = found == "text" and has_separator(start)
    way = "data={}" if layout.prefix else "format={}"
    insist = f"; {layout.as_any_text}" if expected == "text" else ""
    if found != expected and (found != "text" or marked):
        columns = ", ".join(find_columns(start)[:20])
        what = {"jsonl": "JSON", "csv": f"a table with the columns {columns}", "text": "<eos> between sentences"}
        wanted = {"jsonl": "JSON", "csv": "a table", "parquet": "Parquet", "text": "plain text"}
        raise UserError(f"{path}: holds {what[found]}, not {wanted[expected]}; {way.format(found)} reads it{insist}")
    if expected == "text" and not marked and named in ("csv", "jsonl", "parquet"):
        line = start.lstrip().partition("\n")[0].strip()
        if line[:1] in "{[" if named == "jsonl" else all(map(COLUMN_NAME.fullmatch, re.split(r"[,;\t|]", line))):
            raise UserError(f"{path}: for a file of this name: {way.format(named)}{insist}")
