"""Processes forked from this one, so that none waits for the imports again; each writes to a file of its own.

A process that has asked CUDA for anything cannot be forked: children may, their parent must not.
"""

import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import scipy.stats  # noqa: F401 - this and the next three, so that forks have them

import sentence_order.evaluation.evaluate_checkpoint
import sentence_order.inference.predict_file
import sentence_order.training.run  # noqa: F401

_FORK = multiprocessing.get_context("fork")


def fork(work: Callable[[], object], log: Path, *, own_group: bool = False) -> BaseProcess:
    """Starts `work` in a process of its own.

    Args:
        log: the file that its standard output and error are added to.
        own_group: it leads a process group, by which it can be killed together with all that it starts.
    """
    process = _FORK.Process(target=_enter, args=(work, log, own_group))
    process.start()
    return process


def fork_command(
    name: str, overrides: list[str], log: Path, before: Callable[[], object] = lambda: None
) -> BaseProcess:
    """Starts `python -m sentence_order.<name> overrides`.

    Args:
        before: called in the new process first.
    """

    def work() -> None:
        before()
        sys.argv = [name, *overrides]
        importlib.import_module(f"sentence_order.{name}").main()

    return fork(work, log)


def wait_for_exit(process: BaseProcess) -> int:
    """Waits for the end of a process; returns its exit code, or the negative number of the signal that ended it."""
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def print_log(log: Path) -> None:
    """Prints the output of a process, for readers of this one's log."""
    print(f"--- {log.name}\n{log.read_text(encoding='utf-8', errors='replace') if log.exists() else ''}", flush=True)


def read_last_line(log: Path) -> str:
    """The last line of a process's output."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1].strip() if lines else "it printed nothing"


def _enter(work: Callable[[], object], log: Path, own_group: bool) -> None:
    if own_group:
        os.setpgid(0, 0)
    for number in (signal.SIGTERM, signal.SIGHUP):  # not the parent's handlers
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(output, 1)
    os.dup2(output, 2)
    work()
