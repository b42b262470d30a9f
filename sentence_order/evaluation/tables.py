"""Tables of metrics for the console."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from sentence_order.evaluation.metrics import MAIN_METRICS
from sentence_order.evaluation.statistics import format_interval


def metric_table(title: str, found: Mapping[str, Any]) -> Table:
    """The metrics of a split's results (see `results.split_results`) with their intervals."""
    table = _table(f"{title}: {found['documents']:,} documents", "metric", "value", "95 % interval")
    for name, value in found.items():
        if isinstance(value, dict) and "value" in value:
            table.add_row(name, f"{value['value']:.3f}", _bounds(value))
    for name in ("calibration_error", "changed_by_reshuffling"):
        if name in found:
            table.add_row(name, f"{found[name]:.3f}", "-")
    return table


def baseline_table(found: Mapping[str, Any]) -> Table:
    """The main metrics of a split's results beside those of its `baselines` (see `baselines.baseline_counts`)."""
    table = _table("against baselines", "", *MAIN_METRICS)
    table.add_row("model", *(f"{found[name]['value']:.3f}" for name in MAIN_METRICS))
    for baseline, values in found["baselines"].items():
        table.add_row(baseline.replace("_", " "), *(f"{values[name]:.3f}" for name in MAIN_METRICS))
    return table


def breakdown_table(found: Mapping[str, Any]) -> Table:
    """A split's metrics by number of sentences, and its accuracy by position."""
    table = _table("by number of sentences, and by position", "", "documents", *MAIN_METRICS)
    for row in found["by_sentences"]:
        cells = [format_interval(row[name]) for name in MAIN_METRICS]
        table.add_row(f"{row['sentences']} sentences", f"{row['documents']:,}", *cells)
    table.add_section()
    for row in found["by_position"]:
        table.add_row(f"position {row['position'] + 1}", f"{row['documents']:,}", format_interval(row["accuracy"]))
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
        table.add_row(name, f"{row['a']:.3f}", f"{row['b']:.3f}", f"{difference['value']:+.3f}", _bounds(difference), p)
    return table


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
