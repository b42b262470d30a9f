"""Reads records from JSON: a line each, an array of them, pandas' forms, lists of sentences, or nested in objects."""

import ast
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import IO, Any
from warnings import catch_warnings

from sentence_order.data.formats import check_format
from sentence_order.data.layout import Layout
from sentence_order.data.lists import parse_list
from sentence_order.data.records import (
    OnFault,
    Record,
    check_utf8,
    faults_to,
    find_twice,
    kind_of,
    names_of,
    number_lines,
)
from sentence_order.data.streams import FileError, open_text
from sentence_order.errors import UserError

# A JSON document that is not one of lines is read at once, if it is not much larger than its file; packed text is a
# tenth of its size, and a small file can hold one that fills all memory.
MAX_RATIO, MIN_CHARACTERS_ALLOWED = 50, 2**26
# An array of anything but texts, or one that is spread over lines.
ARRAY_START = re.compile(r"\s*\[\s*(?:\{|\[|\n|.*,\s*\n)")
SPREAD_OBJECT_START = re.compile(r"\s*\{[^\S\n]*\n\s*\"")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a field that appears twice is an error, since either value could be meant."""
    if twice := find_twice([name for name, _ in pairs]):
        raise ValueError(f"field '{twice}' appears twice")
    return dict(pairs)


DECODER = json.JSONDecoder(object_pairs_hook=_object)
BETWEEN = re.compile(r"[\s\ufeff,]*")


def read_json(path: str, layout: Layout, on_fault: OnFault, all_columns: bool = False) -> Iterator[tuple[str, Record]]:
    """Yields each record with its place: "FILE:LINE", or "FILE:NUMBER" if it is not one line of the file."""
    with open_text(path, layout) as (start, stream):
        check_format(path, start, "jsonl", layout)
        if ARRAY_START.match(start) or SPREAD_OBJECT_START.match(start):
            values = _parse_values(path, stream, layout.prefix)
            found = chain.from_iterable(expand(value, layout, path) for value in values)
            for number, record in enumerate(found, start=1):
                yield f"{path}:{number}", record
            return
        for number, line in number_lines(path, stream):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            with faults_to(on_fault):
                check_utf8(line, where, layout.prefix)
                records = list(expand(_parse_line(line, where), layout, where))
                for count, record in enumerate(records, start=1):
                    yield where if len(records) == 1 else f"{path}:{count}", record


def _parse_line(line: str, where: str) -> Any:
    try:
        return DECODER.decode(line)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        if line.lstrip().startswith("[") and (sentences := parse_list(line)) is not None:
            return sentences  # as Python or numpy spells it
        if line.lstrip().startswith("{'"):  # as Python does
            with suppress(ValueError, SyntaxError, MemoryError, RecursionError), catch_warnings(action="ignore"):
                return ast.literal_eval(line.strip())
        raise UserError(f"{where}: not JSON: {error}") from error


def _parse_values(path: str, stream: IO[str], prefix: str) -> Iterator[Any]:
    """The values that a JSON document consists of: one, or several with white space or commas between them."""
    size = 0 if path == "-" else os.path.getsize(path)
    limit = max(MIN_CHARACTERS_ALLOWED, MAX_RATIO * size)
    text = stream.read(limit + 1)
    if len(text) > limit:
        raise FileError(f"{path}: more than {limit >> 20} MiB of JSON at once; write a record per line")
    check_utf8(text, path, prefix)
    place = BETWEEN.match(text).end()  # type: ignore[union-attr]
    while place < len(text):
        try:
            value, place = DECODER.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, getattr(error, "pos", place)) + 1
            raise FileError(f"{path}:{line}: not JSON: {error}") from error
        yield value
        place = BETWEEN.match(text, place).end()  # type: ignore[union-attr]


def expand(value: Any, layout: Layout, where: str) -> Iterator[Record]:
    """The records that a JSON value holds; a list of texts is one. Raises UserError if it holds none."""
    values = [value] if layout.records is None else _follow(value, layout, where)
    for item in _flatten(values):
        if isinstance(item, list):
            inner = [part for part in item if isinstance(part, list)]  # of a row without names, the list in it
            yield {layout.sentences_column: inner[0] if len(inner) == 1 else item}
        elif isinstance(item, dict):
            yield from _rows_of_frame(item, layout) or [item]
        else:
            raise UserError(f"{where}: must be a JSON object, not {kind_of(item)}")


def _follow(value: Any, layout: Layout, where: str) -> list[Any]:
    """What stands at the end of the path `records`; lists on the way are flattened."""
    found = [value]
    for name in str(layout.records).split("."):
        found = list(_flatten(found))
        for item in found:
            if not isinstance(item, dict) or name not in item:
                names = names_of(list(item) if isinstance(item, dict) else [])
                raise UserError(f"{where}: {layout.prefix}records: no field '{name}' (available: {names})")
        found = [item[name] for item in found]
    return found


def _flatten(values: list[Any]) -> Iterator[Any]:
    """What stands in lists of lists and of objects, however deep; other lists as they are."""
    stack, end = [iter(values)], object()
    while stack:
        item = next(stack[-1], end)
        if item is end:
            stack.pop()
        elif isinstance(item, list) and all(isinstance(inner, list | dict) for inner in item):
            stack.append(iter(item))
        else:
            yield item


def _rows_of_frame(value: Record, layout: Layout) -> list[Record]:
    """The rows of a table as `pandas.DataFrame.to_json` writes it in any orient; none for others."""
    names, inner = list(value), list(value.values())
    if not all(isinstance(item, dict | list) for item in inner):
        return []
    is_frame = bool(inner) and all(isinstance(item, dict) and item.keys() == inner[0].keys() for item in inner)
    if layout.has_columns(names) or (is_frame and all(map(str.isdecimal, inner[0]))):  # columns
        return [{name: column[row] for name, column in value.items()} for row in inner[0]] if is_frame else []
    columns, data = value.get("columns"), value.get("data")
    if isinstance(data, list) and isinstance(columns, list):  # split
        return [dict(zip(map(str, columns), row, strict=False)) for row in data if isinstance(row, list)]
    if isinstance(data, list) and "schema" in value:  # table
        return [row for row in data if isinstance(row, dict)]
    is_index = all(isinstance(row, dict) and layout.has_columns(list(row)) for row in inner)
    is_index |= is_frame and all(map(str.isdecimal, names))
    return [{layout.id_column: name, **row} for name, row in value.items()] if is_index else []
