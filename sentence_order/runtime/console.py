"""One console on standard error for log lines, tables and progress bars."""

import logging
import sys
import warnings
from contextlib import suppress
from logging.handlers import MemoryHandler
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sentence_order.errors import printable

console = Console(stderr=True, highlight=False)

log = logging.getLogger("sentence_order")
_buffer = MemoryHandler(capacity=10_000, flushLevel=logging.CRITICAL, flushOnClose=False)


class _ConsoleHandler(logging.Handler):
    """Prints log lines above a live progress bar, without line breaks, so that paths in them can be copied."""

    def emit(self, record: logging.LogRecord) -> None:
        style = "yellow" if record.levelno >= logging.WARNING else None
        console.print(self.format(record), style=style, soft_wrap=True, markup=False)


class _Formatter(logging.Formatter):
    """Marks warnings, and escapes control characters of names and texts from files; the lines of a traceback stay."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno == logging.WARNING and "%(levelname)" not in str(self._fmt):
            text = text.replace(record.message, f"warning: {record.message}", 1)
        return "\n".join(map(printable, [text] if record.args else text.split("\n")))


class _LogFile(logging.FileHandler):
    """Raises on a full disk, in place of printing a traceback for every line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        raise  # what `emit` has caught, which calls this in its handler


def log_error_to_file(message: str) -> None:
    """Adds a line to the run's log file, if that can be written, but not to the console."""
    record = logging.LogRecord(log.name, logging.ERROR, __file__, 0, message, None, None)
    for handler in log.handlers:
        if isinstance(handler, _LogFile):
            with suppress(OSError):
                handler.emit(record)


def set_up_logging(log_file_follows: bool = False) -> None:
    """Sends the package's log lines to the console and, if a file follows, to a buffer until `add_log_file`."""
    log.setLevel(logging.DEBUG)
    log.propagate = False
    handler = _ConsoleHandler(logging.INFO)  # what is for the log file alone is logged as DEBUG
    handler.setFormatter(_Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    log.handlers = [handler, *([_buffer] if log_file_follows else [])]

    # The libraries' own progress bars and notes stay out of the output.
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if (datasets := sys.modules.get("datasets")) is not None:  # which `predict` does without
        datasets.logging.set_verbosity_error()
        if not console.is_terminal:
            datasets.disable_progress_bars()
    warnings.filterwarnings("ignore", module=r"torch\.utils\.data")  # pin_memory without an accelerator, and the like


def add_log_file(file: Path) -> None:
    """Writes the log lines to a file as well, those since the start included."""
    target = _LogFile(file, encoding="utf-8")
    target.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    _buffer.setTarget(target)
    _buffer.flush()
    log.removeHandler(_buffer)
    log.addHandler(target)


def progress_bar(transient: bool = False) -> Progress:
    """Progress bars, which disappear at the end if they are transient; a task has the fields `unit` and `note`."""
    hidden = transient and not console.is_terminal  # in a file, it would leave an empty line
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
        disable=hidden,
    )
