"""One console on standard error for log lines, tables and progress bars."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sentence_order.errors import printable

console = Console(stderr=True, highlight=False)
if not console.is_terminal and "COLUMNS" not in os.environ:
    console.width = 100  # for a log file or a pipe, where `rich` would take 80

log = logging.getLogger("sentence_order")
# Without a terminal, a log line after this time takes the place of a progress bar.
LINE_SECONDS = 30.0
NOTEBOOK_SECONDS = 0.5
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


class _Forward(logging.Handler):
    """Passes lines on to the handlers that a program has set up, as far as its levels allow."""

    def __init__(self, handlers: list[logging.Handler], propagates: bool) -> None:
        super().__init__(log.getEffectiveLevel())
        self.targets, self.propagates = handlers, propagates

    def emit(self, record: logging.LogRecord) -> None:
        for handler in self.targets:
            if record.levelno >= handler.level:
                handler.handle(record)
        if self.propagates and log.parent is not None:
            log.parent.callHandlers(record)


def log_error_to_file(message: str) -> None:
    """Adds a line to the run's log file, if that can be written, but not to the console."""
    record = logging.LogRecord(log.name, logging.ERROR, __file__, 0, message, None, None)
    for handler in log.handlers:
        if isinstance(handler, _LogFile):
            with suppress(OSError):
                handler.emit(record)


def set_up_logging(log_file_follows: bool = False, warnings_only: bool = False, quiet: bool = False) -> None:
    """Sends the package's log lines to the console and, if a file follows, to a buffer until `add_log_file`.

    With `warnings_only` the console shows neither the other lines nor tables; if it is `quiet`, as that of a process
    for which another one reports, it shows nothing.
    """
    # What is for the log file alone is logged as DEBUG.
    handler = logging.StreamHandler() if warnings_only else _ConsoleHandler()
    handler.setLevel(logging.WARNING if warnings_only else logging.INFO)
    handler.setFormatter(_Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    console.quiet = warnings_only or quiet
    _send_to(handler, *([_buffer] if log_file_follows else []))
    _mute_libraries()


def _send_to(*handlers: logging.Handler) -> None:
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.handlers = [*handlers]


def _mute_libraries() -> None:
    """Keeps the own progress bars and notes of the libraries that we use out of the output."""
    if (transformers := sys.modules.get("transformers")) is not None:
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
    if (datasets := sys.modules.get("datasets")) is not None:
        datasets.logging.set_verbosity_error()
        if not console.is_terminal:
            datasets.disable_progress_bars()
    warnings.filterwarnings("ignore", module=r"torch\.utils\.data")  # pin_memory without an accelerator, and the like


def _is_disabled(logger: object) -> bool:
    return isinstance(logger, logging.Logger) and logger.disabled


def _set_disabled(loggers: list[Any], disabled: bool) -> None:
    for logger in loggers:
        logger.disabled = disabled


@contextmanager
def logging_of_program() -> Iterator[None]:
    """Within the block, log lines go to a run's log file, and to where the program that trains has its logs.

    If it has configured no logging, they go to the console. Afterwards all is as it was before.
    """
    transformers, datasets = sys.modules["transformers"], sys.modules["datasets"]
    handlers, propagate, level, quiet = [*log.handlers], log.propagate, log.level, console.quiet
    # As `logging.config` does by default, with those of all modules that were imported before.
    disabled = [own for name, own in log.manager.loggerDict.items() if name.startswith(log.name) and _is_disabled(own)]
    verbosities = [(library.logging, library.logging.get_verbosity()) for library in (transformers, datasets)]
    bars = [transformers.utils.logging.is_progress_bar_enabled(), not datasets.are_progress_bars_disabled()]

    try:
        _set_disabled(disabled, False)
        with warnings.catch_warnings():
            if log.hasHandlers():
                console.quiet = level > logging.INFO or bool(disabled)
                _send_to(*([] if disabled else [_Forward(handlers, propagate)]), _buffer)
                _mute_libraries()
            else:
                set_up_logging(log_file_follows=True)
            yield
    finally:
        for handler in log.handlers:
            if isinstance(handler, _LogFile):
                handler.close()
        _buffer.buffer.clear()  # if it ended before it had a file
        log.handlers, log.propagate, console.quiet = handlers, propagate, quiet
        log.setLevel(level)
        _set_disabled(disabled, True)
        for library, verbosity in verbosities:
            library.set_verbosity(verbosity)
        if bars[0]:
            transformers.logging.enable_progress_bar()
        if bars[1]:
            datasets.enable_progress_bars()


def add_log_file(file: Path) -> None:
    """Writes the log lines to a file as well, those since the start included."""
    target = _LogFile(file, encoding="utf-8")
    target.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    _buffer.setTarget(target)
    _buffer.flush()
    log.removeHandler(_buffer)
    log.addHandler(target)


class _ProgressLines(Progress):
    """Progress as log lines, every `LINE_SECONDS`."""

    def __init__(self) -> None:
        super().__init__(console=console, disable=True, speed_estimate_period=600)
        self.last_line = self.get_time()

    def advance(self, task_id: Any, advance: float = 1) -> None:
        self.update(task_id, advance=advance)

    def update(self, task_id: Any, **changes: Any) -> None:
        super().update(task_id, **changes)
        if not self.is_due(task := self._tasks[task_id]):
            return
        self.last_line = self.get_time()
        total = f" of {task.total:,.0f} ({task.percentage:.0f}%)" if task.total else ""
        rate = f"{task.speed:,.1f} per second" if task.speed else ""
        left = f"about {timedelta(seconds=task.time_remaining)} left" if task.time_remaining else ""
        parts = [f"{task.fields['unit']} {task.completed:,.0f}{total}", task.fields["note"], rate, left]
        self.show(f"{task.description}: {', '.join(filter(None, parts))}")

    def is_due(self, task: Task) -> bool:
        return self.get_time() >= self.last_line + LINE_SECONDS

    def show(self, line: str) -> None:
        log.info("%s", line)


class _NotebookProgress(_ProgressLines):
    """Progress as a line below a notebook's cell that is replaced again and again, for which no widgets are needed.

    If it is transient, what is done at once leaves no line.
    """

    def __init__(self, transient: bool) -> None:
        super().__init__()
        self.transient = transient
        self.line: Any = None

    def is_due(self, task: Task) -> bool:
        is_last = task.finished and (self.line is not None or not self.transient)
        return is_last or self.get_time() >= self.last_line + NOTEBOOK_SECONDS

    def show(self, line: str) -> None:
        from IPython.display import display

        if self.line is None:
            self.line = display({"text/plain": line}, raw=True, display_id=True)
        else:
            self.line.update({"text/plain": line}, raw=True)


def progress_bar(transient: bool = False) -> Progress:
    """Progress bars or, without a terminal, lines; a task has the fields `unit` and `note`."""
    if console.is_jupyter:
        return _NotebookProgress(transient)
    if not console.is_terminal:
        return _ProgressLines()
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
