"""Where the program speaks: one console on standard error, for log lines, tables and progress bars alike."""

import logging
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from sentence_order.metrics import MAIN_METRICS

console = Console(stderr=True, highlight=False)


log = logging.getLogger("sentence_order")
_keeper = MemoryHandler(capacity=10_000, flushLevel=logging.CRITICAL, flushOnClose=False)


class ConsoleHandler(logging.Handler):
    """Prints log lines above a live progress bar, unbroken, so that paths in them can be copied."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(self.format(record), soft_wrap=True, markup=False)


class _LogFile(logging.FileHandler):
    """A full disk stops the run, as everywhere, in place of a traceback a line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        error = sys.exc_info()[1]
        assert error is not None
        raise error


def to_log_file(message: str) -> None:
    """Adds a line to the run's log file that is told on the console otherwise; as far as that can be written to."""
    record = logging.LogRecord(log.name, logging.ERROR, __file__, 0, message, None, None)
    for handler in log.handlers:
        if isinstance(handler, _LogFile):
            with suppress(OSError):
                handler.emit(record)


def be_silent() -> None:
    """Leaves it to another process to speak for this one too."""
    console.quiet = True


def set_up_logging() -> None:
    """Sends the package's log lines to the console, and keeps them for the file that `log_to` may name."""
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers.clear()
    handler = ConsoleHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    log.addHandler(handler)
    log.addHandler(_keeper)
    quiet_libraries()


def log_to(file: Path) -> None:
    """Writes the log lines, those since the start included, to a file as well."""
    target = _LogFile(file, encoding="utf-8")
    target.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _keeper.setTarget(target)
    _keeper.flush()
    log.removeHandler(_keeper)
    log.addHandler(target)


def quiet_libraries() -> None:
    """Keeps the libraries' own bars and notes, which speak of weights they load, out of the run's output."""
    import datasets
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.logging.set_verbosity_error()
    if not console.is_terminal:
        datasets.disable_progress_bars()
    warnings.filterwarnings("ignore", module=r"torch\.utils\.data")  # pin_memory without an accelerator, and the like


def progress_bar(transient: bool = False) -> Progress:
    """Bars with counts, elapsed and remaining time; a task has the fields `unit` and `note` (what is being watched).

    Transient bars are gone when they are done.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        TextColumn("<"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=transient,
    )


def metric_table(title: str, found: Mapping[str, Any]) -> Table:
    """The metrics of a split's results (see `results.split_results`) with their intervals."""
    table = _table(f"{title}: {found['documents']:,} documents", "metric", "value", "95 % interval")
    for name, value in found.items():
        if isinstance(value, dict) and "value" in value:
            table.add_row(name, f"{value['value']:.3f}", interval(value))
    for name in ("calibration_error", "changed_by_reshuffling"):
        if name in found:
            table.add_row(name, f"{found[name]:.3f}", "-")
    return table


def breakdown_table(found: Mapping[str, Any]) -> Table:
    """Where a split's documents are right: by their number of sentences, and by position from the first."""
    table = _table("by number of sentences, and by position", "", "documents", *MAIN_METRICS)
    for row in found["by_sentences"]:
        cells = [_with_interval(row[name]) for name in MAIN_METRICS]
        table.add_row(f"{row['sentences']} sentences", f"{row['documents']:,}", *cells)
    table.add_section()
    for row in found["by_position"]:
        table.add_row(f"position {row['position']}", f"{row['documents']:,}", _with_interval(row["accuracy"]))
    return table


def decoder_table(title: str, found: Mapping[str, Any]) -> Table:
    """Every decoder's main metrics with intervals, its mean objective and its speed."""
    table = _table(title, "decoder", *MAIN_METRICS, "objective", "documents/s")
    for name, row in found.items():
        cells = [_with_interval(row[metric]) for metric in MAIN_METRICS]
        rate = row["documents"] / max(row["seconds"], 1e-9)
        table.add_row(name, *cells, f"{row['objective']:.3f}", f"{rate:,.0f}")
    return table


def comparison_table(title: str, found: Mapping[str, Any]) -> Table:
    """Two results and their difference, metric by metric."""
    table = _table(title, "metric", "A", "B", "B - A", "95 % interval", "p")
    for name, row in found.items():
        difference = row["difference"]
        p = "-" if row["p"] is None else f"{row['p']:.4f}"
        table.add_row(
            name, f"{row['a']:.3f}", f"{row['b']:.3f}", f"{difference['value']:+.3f}", interval(difference), p
        )
    return table


def interval(found: Mapping[str, float | None]) -> str:
    """The ends of an interval, or a dash where there is none."""
    low, high = found["low"], found["high"]
    return "-" if low is None else f"{low:.3f} to {high:.3f}"


def _with_interval(found: Mapping[str, float | None]) -> str:
    return f"{found['value']:.3f} ({interval(found)})"


def _table(title: str, label: str, *columns: str) -> Table:
    """A table of numbers, each row with a label before it."""
    table = Table(title=title, title_justify="left")
    table.add_column(label, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")  # in a narrow terminal too, no word loses its end
    return table
