"""Groups of documents, such as topics: results are given for each beside those for all documents."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from sentence_order.arrays import IntArray
from sentence_order.errors import printable

# The largest groups have results, and of these the largest have curves and columns: a column of ids has thousands.
MAX_GROUPS, MAX_SHOWN = 20, 8


def rows_by_group(groups: Iterable[str]) -> dict[str, IntArray]:
    """The documents of each group, the largest first, from the group of each document; none if all have the same."""
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        rows[group].append(row)
    largest = sorted(rows, key=lambda group: (-len(rows[group]), group))[:MAX_GROUPS]
    return {group: np.array(rows[group]) for group in largest} if len(rows) > 1 else {}


def group_label(group: str) -> str:
    """The name of a group on one line."""
    return printable(group) or "no group"
