"""What a run does when its user or a cluster tells it to stop, or to save."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sentence_order.errors import Interrupted
from sentence_order.runtime.signals import Signals
from sentence_order.training.state import read_state

LONG = ("debug=smoke", "trainer.max_steps=5000", "trainer.eval_every=5000", "trainer.save_every=5000", "output_dir=run")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_stop_is_noted_while_deferred_and_raised_otherwise(number: signal.Signals) -> None:
    signals = Signals()
    with signals.caught(), signals.deferred():
        signal.raise_signal(number)
        assert signals.stop == number
        signal.raise_signal(number)  # one request often arrives twice
        assert signals.stop == number

    signals = Signals()
    with pytest.raises(Interrupted, match=number.name) as caught, signals.caught():
        signal.raise_signal(number)
    assert caught.value.signal == number


def test_signal_to_save_is_noted() -> None:
    signals = Signals()
    before = signal.getsignal(signal.SIGUSR1)
    with signals.caught():
        assert not signals.save
        signal.raise_signal(signal.SIGUSR1)
        assert signals.save
    assert signals.stop is None
    assert signal.getsignal(signal.SIGUSR1) is before


SECOND = """
import signal
from sentence_order.runtime import signals

signals.DUPLICATE_SECONDS = 0.0
arrived = signals.Signals()
with arrived.caught(), arrived.deferred():
    signal.raise_signal(signal.SIGTERM)
    print("first", flush=True)
    signal.raise_signal(signal.SIGINT)
    print("second", flush=True)
"""


def test_second_signal_stops_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", SECOND], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 128 + signal.SIGINT
    assert done.stdout == "first\n"
    assert "SIGINT" in done.stderr
    assert "Traceback" not in done.stderr


def test_second_signal_stops_at_once_also_if_nobody_reads_standard_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", SECOND], stdout=subprocess.PIPE, stderr=writer, timeout=120)
    os.close(writer)
    assert (done.returncode, done.stdout) == (128 + signal.SIGINT, b"first\n")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts trainings, and kills those that are left at the end."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        line = [sys.executable, "-m", "sentence_order.train", *arguments]
        processes.append(subprocess.Popen(line, cwd=tmp_path, env=dict(os.environ), stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_trained(folder: Path) -> bool:
    lines = folder / "run" / "metrics.jsonl"
    return lines.exists() and lines.read_text().count("train/loss") > 1


def saved_step(folder: Path) -> int:
    state = read_state(folder / "run" / "checkpoints" / "last")
    return int(state["trainer"]["step"]) if state else 0


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_signal_ends_a_run_that_says_how_to_resume(start, tmp_path: Path, number: signal.Signals) -> None:
    process = start(*LONG)
    wait_for(lambda: has_trained(tmp_path))
    process.send_signal(signal.SIGUSR1)  # save, and continue
    wait_for(lambda: (tmp_path / "run" / "checkpoints" / "last").exists())
    first = saved_step(tmp_path)
    process.send_signal(number)
    process.send_signal(number)  # as a cluster and `torchrun` do both at once
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    last, step = err.splitlines()[-1], saved_step(tmp_path)
    assert 5000 > step > first > 0
    assert f"{number.name} after step {step}" in last
    assert "run/checkpoints/last" in last
    assert shlex.split(last)[-3:] == ["-m", "sentence_order.train", "resume=run"]


def test_before_the_first_step_there_is_nothing_to_save(start, tmp_path: Path) -> None:
    process = start("debug=smoke", "data.limit_train=100000", "output_dir=run")
    assert process.stderr is not None
    while "loading documents" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    assert "Traceback" not in err
    assert "SIGTERM" in err.splitlines()[-1]
    assert not (tmp_path / "run" / "checkpoints").exists()
