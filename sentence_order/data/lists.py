"""Lists of sentences that a table holds as text, as JSON, Python or numpy spell them."""

import ast
import json
import re
import warnings
from typing import Any

OPENING = re.compile(r"\s*(?:array\(\s*)?[\[(]\s*")
CLOSING = re.compile(r"\s*(?:,\s*)?[\])]\s*(?:(?:,\s*dtype=[^)]*)?\)\s*)?")
SEPARATOR = re.compile(r"\s*,\s*|\s+")
STRING = r"'[^'\\]*(?:\\.[^'\\]*)*'|\"[^\"\\]*(?:\\.[^\"\\]*)*\""
ITEM = re.compile(rf"(np\.str_\()?[uU]?({STRING})(?(1)\))|None|nan|NaN|null", re.DOTALL)


def parse_list(text: str) -> list[Any] | None:
    """The list that a text spells, or None if it spells none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return _parse_literal(text)
    return found if isinstance(found, list) else None


def _parse_literal(text: str) -> list[Any] | None:
    """A list of strings as Python or numpy print it.

    Python's own parser does not serve: it would join numpy's `['a' 'b']` into one string.
    """
    if (opening := OPENING.match(text)) is None:
        return None
    items: list[Any] = []
    place = opening.end()
    while not CLOSING.fullmatch(text, place):
        separator = SEPARATOR.match(text, place) if items else opening
        if separator is None or (item := ITEM.match(text, separator.end())) is None:
            return None
        try:
            with warnings.catch_warnings(action="ignore"):  # of escapes that Python does not know
                items.append(None if item[2] is None else ast.literal_eval(item[2]))
        except (ValueError, SyntaxError):  # a line end within quotes
            return None
        place = item.end()
    return items
