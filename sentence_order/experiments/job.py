"""The process of a sweep's job: the sweep starts it, shows its warnings and stops it; it stops with the sweep, too."""

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

from sentence_order.errors import Interrupted, TrainingError
from sentence_order.runtime.signals import handle_signals

# Set for the jobs of a sweep: how many of them read the same frozen prefix.
RUNS_VARIABLE = "SENTENCE_ORDER_RUNS_SHARING_CACHE"
# In the folder of a sweep: a file for each job that has failed. Not in the folder of the job, where another process may
# be training, or the results of another one lie.
FAILURES = "failures"
SEARCH_FILE = "optimization_results.yaml"  # which Hydra's plugins for searching write there
POLL_SECONDS = 0.2
INTERRUPTED = "the sweep was interrupted; run the same command again to resume it"


def is_job() -> bool:
    """True in the process of a job."""
    return RUNS_VARIABLE in os.environ


def num_runs_sharing_cache() -> int:
    """How many runs of a sweep read the same frozen prefix as this one; 1 outside of sweeps."""
    return int(os.environ.get(RUNS_VARIABLE, "1"))


def stop_with_parent() -> None:
    """In a job, stops this process when its sweep ends: a killed sweep closes the pipe on the standard input.

    Otherwise the job would go on beside the sweep that resumes.
    """

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)  # it finishes its step and saves

    if is_job():
        threading.Thread(target=wait, daemon=True).start()


@functools.cache  # once in a process
def prepare_worker() -> None:
    """In a process in which a launcher runs jobs: leaves signals to the jobs, and ends with the sweep.

    Its job then ends as well, see `stop_with_parent`.
    """
    sweep = os.getppid()

    def wait() -> None:
        while os.getppid() == sweep:
            time.sleep(POLL_SECONDS)
        os._exit(1)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # unlike SIG_IGN, the jobs do not inherit it
    threading.Thread(target=wait, daemon=True).start()


def stop_workers(number: int) -> None:
    """Passes a signal to stop to the jobs that a launcher runs in other processes, and waits until they have ended.

    Raises Interrupted.
    """
    workers = [worker for worker in _children(os.getpid()) if _children(worker)]
    for worker in workers:
        os.kill(worker, number)
    while any(map(_children, workers)):
        time.sleep(POLL_SECONDS)
    raise Interrupted(number, INTERRUPTED)


def _children(process: int) -> list[int]:
    """The processes that a process has started."""
    found: list[int] = []
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            found += map(int, file.read_text().split())
    return found


def train_in_subprocess(name: str, overrides: list[str], variables: Mapping[str, str], in_worker: bool) -> None:
    """Runs `train`, with some environment variables more, and shows its output, each line behind the job's name.

    Raises TrainingError if it fails or is killed, Interrupted if told to stop. In a worker (see `prepare_worker`) it
    then waits for the end of the sweep instead, so that no other job starts.
    """
    # In a session of its own, so that a terminal's Ctrl-C reaches the sweep alone, which forwards it.
    with subprocess.Popen(
        [sys.executable, "-m", "sentence_order.train", *overrides],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        forwarded: list[int] = []

        def forward(number: int, _: FrameType | None) -> None:
            process.send_signal(number)
            if number != signal.SIGUSR1:
                forwarded.append(number)

        # If this raises, the end of the job's standard input tells it to save and stop.
        with handle_signals(forward, forward):
            last_lines = show_output(name, process)
            code = process.wait()

    while forwarded and in_worker:
        signal.pause()
    if forwarded or code > 128:
        raise Interrupted(forwarded[0] if forwarded else code - 128, INTERRUPTED)
    if code < 0:
        raise TrainingError(f"its process was killed by signal {-code}")
    if code:
        lines = [*last_lines] or [f"exit code {code}"]
        errors = [line for line in lines if line.startswith("error: ")]
        raise TrainingError((errors or lines)[-1].removeprefix("error: "))


def print_line(message: str) -> None:
    """Prints a line of the sweep, between those of its jobs."""
    print(f"{time.strftime('%H:%M:%S')} sweep: {message}", file=sys.stderr, flush=True)


def show_output(name: str, process: "subprocess.Popen[bytes]") -> deque[str]:
    """Copies the output of a process to standard error, line by line; returns its last lines.

    An error, which ends it, is left to the caller.
    """
    assert process.stdout is not None
    last_lines: deque[str] = deque(maxlen=100)
    for raw in process.stdout:
        if line := raw.decode(errors="replace").rstrip():
            last_lines.append(line)
            if not line.startswith("error: "):
                print(f"[{name}] {line}", file=sys.stderr, flush=True)
    return last_lines
