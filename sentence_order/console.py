"""Where the program speaks: one console on standard error, for log lines, tables and progress bars alike."""

import logging
import warnings
from logging.handlers import MemoryHandler
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

console = Console(stderr=True, highlight=False)


log = logging.getLogger("sentence_order")
_keeper = MemoryHandler(capacity=10_000, flushLevel=logging.CRITICAL, flushOnClose=False)


class ConsoleHandler(logging.Handler):
    """Prints log lines above a live progress bar, unbroken, so that paths in them can be copied."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(self.format(record), soft_wrap=True, markup=False)


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
    target = logging.FileHandler(file, encoding="utf-8")
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


def metric_table(title: str, metrics: dict[str, dict[str, float | None]]) -> Table:
    """A table of metrics with their intervals."""
    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, found in metrics.items():
        low, high = found["low"], found["high"]
        table.add_row(name, f"{found['value']:.3f}", "-" if low is None else f"{low:.3f} to {high:.3f}")
    return table
