"""Tables of metrics for the console."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from sentence_order.data.groups import group_label
from sentence_order.errors import counted
from sentence_order.evaluation.metrics import MAIN_METRICS
from sentence_order.evaluation.statistics import format_interval

# So that tables are no wider than this, groups are columns only if there are at most three.
MAX_WIDTH, MAX_COLUMNS, COLUMN_WIDTH, LABEL_WIDTH = 100, 3, 11, 18
# What has a value and no interval.
SHARES = ("calibration_error", "pair_calibration_error", "changed_by_reshuffling")


def metric_table(title: str, found: Mapping[str, Any]) -> Table:
    """The metrics of a split's results (see `results.split_results`) with their intervals, and those of few groups."""
    groups = _few_groups(found)
    heads = ["value", "95 % interval", *(_label(row["group"], row) for row in groups)]
    table = _table(f"{title}: {counted(found['documents'], 'document')}", "metric", *heads)
    for column in table.columns[3:]:
        column.max_width = COLUMN_WIDTH
    for name, own in found.items():
        if name in SHARES or (isinstance(own, dict) and "value" in own):
            # Where no order is right, a model that is sure of none would look perfectly calibrated.
            is_defined = name != "calibration_error" or found["pmr"]["value"] > 0
            value, *by_group = (_number(row[name]) if is_defined and name in row else "-" for row in (found, *groups))
            table.add_row(name, value, "-" if name in SHARES else _bounds(own), *by_group)
    return table


def baseline_table(found: Mapping[str, Any]) -> Table:
    """The main metrics of a split's results beside those of its `baselines`, and tau in few groups."""
    groups = _few_groups(found)
    table = _table("against baselines", "", *MAIN_METRICS, *(f"tau, {_label(row['group'], row)}" for row in groups))
    for name, own in {"model": found, **found["baselines"]}.items():
        values = [own[metric] for metric in MAIN_METRICS] + [row["tau"] for row in _few_groups(own)]
        table.add_row(name.replace("_", " "), *map(_number, values))
    return table


def breakdown_table(found: Mapping[str, Any], width: int) -> Table:
    """Those of a split's metrics by group, by number of sentences and by position that are given.

    Positions count from 1, as in the pictures. In a terminal that is too narrow for them, intervals are left out.
    """
    show = format_interval if width >= MAX_WIDTH else _number
    parts = {
        "by group": [(row["group"], row) for row in found.get("by_group", [])],
        "by sentences": [(f"{row['sentences']} sentences", row) for row in found.get("by_sentences", [])],
        "by position": [(f"position {row['position'] + 1}", row) for row in found.get("by_position", [])],
    }
    table = _table(", ".join(name for name, rows in parts.items() if rows), "(documents)", *MAIN_METRICS)
    table.columns[0].no_wrap, table.columns[0].max_width = False, LABEL_WIDTH
    for rows in parts.values():
        for label, row in rows:
            cells = (show(row[name]) for name in MAIN_METRICS if name in row)
            table.add_row(_label(label, row), *cells)
        table.add_section()
    return table


def decoder_table(found: Mapping[str, Any]) -> Table:
    """Every decoder's main metrics with intervals, its mean objective and its speed."""
    table = _table("decoders", "decoder", *MAIN_METRICS, "objective", "documents/s")
    for name, row in found.items():
        cells = [format_interval(row[metric]) for metric in MAIN_METRICS]
        rate = row["documents"] / max(row["seconds"], 1e-9)
        table.add_row(name, *cells, f"{row['objective']:.3f}", f"{rate:,.0f}")
    return table


def comparison_table(title: str, found: Mapping[str, Any]) -> Table:
    """Two results and their difference, metric by metric."""
    table = _table(title, "metric", "A", "B", "B - A", "95 % interval", "p")
    for name, row in found.items():
        difference = row["difference"]
        p = "-" if row["p"] is None else f"{row['p']:.4f}"
        name = escape(name)  # which may be that of a group
        table.add_row(name, f"{row['a']:.3f}", f"{row['b']:.3f}", f"{difference['value']:+.3f}", _bounds(difference), p)
    return table


def _few_groups(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The results by group, unless these are too many to be columns."""
    groups = found.get("by_group", [])
    return groups if len(groups) <= MAX_COLUMNS else []


def _label(name: str, row: Mapping[str, Any]) -> str:
    """The name of a part of the documents, which may hold what rich would take for markup, and their number."""
    return escape(f"{group_label(name)} ({row['documents']:,})")


def _number(value: float | Mapping[str, float]) -> str:
    """A value, which may have an interval."""
    return f"{value['value'] if isinstance(value, Mapping) else value:.3f}"


def _bounds(found: Mapping[str, float | None]) -> str:
    """The bounds of an interval, or a dash if there is none."""
    low, high = found["low"], found["high"]
    return "-" if low is None else f"{low:.3f} to {high:.3f}"


def _table(title: str, label: str, *columns: str) -> Table:
    """A table of numbers, each row with a label before it."""
    table = Table(title=title, title_justify="left")
    table.add_column(label, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")  # a narrow terminal must not cut a number
    return table
