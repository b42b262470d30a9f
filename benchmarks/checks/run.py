"""Runs each check in a process of its own, and reports how it ended."""

import json
import os
import shutil
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchmarks.checks.setup import Setup
from benchmarks.forks import fork
from sentence_order.errors import first_line
from sentence_order.runtime.console import set_up_logging

# Beginnings of the names of checks that time nothing, two of which may run at once.
MAY_OVERLAP = ("experiment/", "parts/")
LOG_LINES = 60  # of what a failed check has printed
HUNG_LINES = 10  # of what each process has printed that a hanging check had started
STUCK = 10.0  # seconds after which a killed process is abandoned: it may be stuck in a driver


class NothingToCheckError(Exception):
    """There is nothing to check; the message is the reason."""


@dataclass(frozen=True)
class Report:
    """What a check finds, sent to the process that prints it as soon as it is known.

    A fault does not end a check: a device is at hand for minutes, and one run is to find all that it can.
    """

    pipe: Connection

    def note(self, text: str, **figures: Any) -> None:
        """Prints a line, and adds figures to the JSON file, where NaN is a string."""
        self.pipe.send(("note", text, json.loads(json.dumps(figures), parse_constant=str)))

    def progress(self) -> None:
        """Reports that the check is not hanging."""
        self.pipe.send(("progress", "", {}))

    def fault(self, text: str) -> None:
        """Reports what is wrong; the check has failed."""
        self.pipe.send(("fault", text, {}))

    def expect(self, condition: bool, fault: str) -> None:
        """Reports a fault unless the condition is true."""
        if not condition:
            self.fault(fault)


Check = Callable[[Setup, Report], None]


@dataclass
class Line:
    """How a check ended.

    Attributes:
        status: "passed", "failed" or "not run": what had no time, or nothing to check, is neither of the others.
        log: where it has failed, the end of what its process has printed; if it hung, of all that it had started.
    """

    name: str
    status: str = "not run"
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)


def run_checks(
    checks: dict[str, Check], setup: Setup, deadline: float, patience: float, show: Callable[[str], None]
) -> Generator[Line, None, None]:
    """Runs checks, each in an empty folder. Where neither is timed, one is started while the one before it runs.

    Args:
        deadline: on the clock of `time.monotonic`, when all ends.
        patience: seconds without a report after which a check is killed and has failed.
        show: called with the name of the check that is waited for.
    """
    waiting, running = deque(checks.items()), deque[_Running]()
    try:
        while waiting or running:
            while waiting and time.monotonic() < deadline and _may_join(waiting[0][0], running):
                running.append(_Running.start(*waiting.popleft(), setup))
            if not running:
                yield Line(waiting.popleft()[0], notes=["not started: out of time"])
                continue
            show(running[0].line.name)
            yield running[0].finish(deadline, patience)
            running.popleft()
    finally:
        for check in running:
            check.kill()


def _may_join(name: str, running: "deque[_Running]") -> bool:
    """Whether a check may start now."""
    both = [name, *(check.line.name for check in running)]
    return not running or (len(both) == 2 and all(one.startswith(MAY_OVERLAP) for one in both))


@dataclass
class _Running:
    """The process of a check."""

    line: Line
    process: BaseProcess
    receiver: Connection
    folder: Path
    started: float

    @classmethod
    def start(cls, name: str, check: Check, setup: Setup) -> "_Running":
        folder = setup.folder / name.replace("/", "_")
        folder.mkdir()
        receiver, sender = Pipe(duplex=False)
        work = partial(_run, check, replace(setup, folder=folder), Report(sender))
        process = fork(work, folder.with_suffix(".log"), own_group=True)
        sender.close()  # the other end of it is the child's, and closes with the child
        return cls(Line(name), process, receiver, folder, time.monotonic())

    def finish(self, deadline: float, patience: float) -> Line:
        """Waits for its end."""
        line = self.line
        line.status = self._receive(deadline, patience)
        self.kill()
        if line.status == "passed" and line.faults:
            line.status = "failed"
        if line.status == "failed" and (log := self.folder.with_suffix(".log")).exists():
            line.log += _read_end(log, LOG_LINES)
        line.seconds = round(time.monotonic() - self.started, 1)
        shutil.rmtree(self.folder, ignore_errors=True)  # checkpoints of all lines together would be many
        return line

    def _receive(self, deadline: float, patience: float) -> str:
        """Receives the reports of the check until it ends; returns its status."""
        line, heard = self.line, time.monotonic()
        while True:
            now = time.monotonic()
            if now >= deadline:
                line.notes.append("stopped: out of time")
                return "failed" if line.faults else "not run"
            if now >= heard + patience:
                line.faults.append(f"no progress for {patience:.0f} s; killed")
                for log in sorted(self.folder.glob("*.log")):
                    line.log += [f"--- {log.name}", *_read_end(log, HUNG_LINES)]
                return "failed"
            try:
                alive = self.process.is_alive()
                if not self.receiver.poll(0.2 if alive else 0.0):
                    if alive:
                        continue
                    raise EOFError
                kind, text, figures = self.receiver.recv()
            except EOFError:
                self.process.join(STUCK)
                line.faults.append(f"its process died ({_describe(self.process.exitcode)})")
                return "failed"
            heard = time.monotonic()
            if kind == "fault":
                line.faults.append(text)
            elif text:
                line.notes.append(text)
            line.figures |= figures
            if kind in ("passed", "failed", "not run"):
                return str(kind)

    def kill(self) -> None:
        """Ends it, if it has not ended, with all that it has started."""
        assert self.process.pid is not None
        with suppress(ProcessLookupError):  # it has no group yet, or any more
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join(STUCK)


def _read_end(log: Path, lines: int) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]


def _describe(code: int | None) -> str:
    """How a process ended, by its exit code."""
    if code is None or code >= 0:
        return f"exit code {code}"
    return signal.Signals(-code).name


def _run(check: Check, setup: Setup, report: Report) -> None:
    """The process of a check."""
    set_up_logging()
    try:
        check(setup, report)
        report.pipe.send(("passed", "", {}))
    except NothingToCheckError as reason:
        report.pipe.send(("not run", str(reason), {}))
    except Exception as error:
        traceback.print_exc()
        report.fault(f"{type(error).__name__}: {first_line(error)}")
        report.pipe.send(("failed", "", {}))
