"""Files of results: written, read again, and matched document by document; without torch, so that reports are quick."""

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sentence_order.arrays import IntArray
from sentence_order.data.records import find_path_problem
from sentence_order.errors import UserError, first_line
from sentence_order.runtime.files import atomic_file

# See `counts.document_counts`.
COUNTS = ("sentences", "correct", "first", "last", "inversions", "squared_displacement", "common")


def read_results(path: str | Path, split: str) -> dict[str, Any]:
    """The entry of a split in a results file, or in that of a run's folder. Raises UserError if there is none."""
    file = Path(path) / "results.json" if os.path.isdir(path) else Path(path)
    if problem := find_path_problem(str(file)):
        raise UserError(f"{file}: cannot be read: {problem}")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))[split]
        if missing := {"text", *COUNTS} - set(found["per_document"]):
            raise ValueError(f"no {min(missing)!r}, which an earlier version did not record")
        lengths = {name: len(values) for name, values in found["per_document"].items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"its lists have different lengths: {lengths}")
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: no per-document results under {split!r}: {first_line(error)}") from error
    return dict(found)


def shared_documents(results: Sequence[dict[str, Any]]) -> tuple[list[str], list[dict[str, IntArray]]]:
    """The documents that several results of a split have in common, by their texts: the group of each, as the first of
    the results that have groups says, and the counts of each result.

    Where a text repeats, the first is paired with the first, and so on. Raises UserError if there are none.
    """
    lists = [found["per_document"] for found in results]
    rows_of = [_rows_by_text(own["text"]) for own in lists]
    shared = [text for text in rows_of[0] if all(text in rows for rows in rows_of)]
    if not shared:
        raise UserError("the results have no document in common, by its text")
    chosen = [[rows[text] for text in shared] for rows in rows_of]
    counts = [{name: np.array(own[name])[rows] for name in COUNTS} for own, rows in zip(lists, chosen, strict=True)]
    groups = ([own["group"][row] for row in rows] for own, rows in zip(lists, chosen, strict=True) if "group" in own)
    return next(groups, [""] * len(shared)), counts


def _rows_by_text(texts: Sequence[str]) -> dict[tuple[str, int], int]:
    """The row of each text and, if it repeats, of its second, third, ... occurrence."""
    seen: Counter[str] = Counter()
    rows = {}
    for row, text in enumerate(texts):
        rows[text, seen[text]] = row
        seen[text] += 1
    return rows


def as_json(content: dict[str, Any]) -> str:
    """Indented JSON, with each list of numbers or strings on one line."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[\n\s+([^\[\]{}]*?)\n\s+\]", lambda found: "[" + re.sub(r",\n +", ", ", found[1]) + "]", text)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file, complete or not at all."""
    with atomic_file(path) as stream:
        stream.write(as_json(content) + "\n")
