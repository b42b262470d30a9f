"""What a run does when its user or a cluster tells it to stop, or to save."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.survival import lines_of
from sentence_order.training.state import read_state

LONG = ("debug=smoke", "trainer.max_steps=5000", "trainer.eval_every=5000", "trainer.save_every=5000", "output_dir=run")
# A step of many seconds, in which Python comes to handle signals.
ONE_BY_ONE = ("trainer.batch_tokens=1", "trainer.accumulate=1000", "data.limit_train=1000")
# So many documents that a validation takes its time.
VALIDATING = (
    *("debug=smoke", "data.limit_validation=300", "trainer.max_steps=4", "trainer.eval_every=4"),
    *("trainer.log_every=2", "model.dropout=0.1", "output_dir=run"),
)


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "sentence_order.train", *arguments]
    return subprocess.Popen(line, cwd=folder, env=dict(os.environ), stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def says(folder: Path, what: str) -> bool:
    log = folder / "run" / "train.log"
    return log.exists() and what in log.read_text()


def has_trained(folder: Path, steps: int = 1) -> bool:
    lines = folder / "run" / "metrics.jsonl"
    return lines.exists() and lines.read_text().count("train/loss") > steps


def saved_step(folder: Path) -> int:
    state = read_state(folder / "run" / "checkpoints" / "last")
    assert state is not None
    return int(state["step"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_that_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, *LONG)
    wait_for(lambda: has_trained(tmp_path))
    process.send_signal(signal.SIGUSR1)  # save, and go on
    wait_for(lambda: says(tmp_path, "SIGUSR1: run/checkpoints/last holds step"))
    first = saved_step(tmp_path)
    told = time.monotonic()
    process.send_signal(number)
    process.send_signal(number)  # as a cluster and `torchrun` do both at once
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - told < 10
    assert process.returncode == 128 + number
    last = err.splitlines()[-1]
    step = saved_step(tmp_path)
    assert step > first > 0
    assert last.startswith(f"stopped by {number.name} after step {step}, which run/checkpoints/last holds; to go on: ")
    assert shlex.split(last.split("to go on: ")[1])[-3:] == ["-m", "sentence_order.train", "resume=run"]


def test_a_validation_is_broken_off_and_done_again(tmp_path: Path) -> None:
    (tmp_path / "straight").mkdir()
    assert start(tmp_path / "straight", *VALIDATING).wait(timeout=120) == 0
    process = start(tmp_path, *VALIDATING)
    wait_for(lambda: has_trained(tmp_path, steps=2))  # steps 1, 2, 4
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    state = read_state(tmp_path / "run" / "checkpoints" / "last")
    assert state is not None
    assert (state["step"], state["to_validate"]) == (4, True)
    assert "validation" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    again = start(tmp_path, "resume=run", "trainer.save_every=2")
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert "run: goes on with other settings: trainer.save_every: 5 there, 2 here" in err
    assert "resumed: from step 4" in err
    assert lines_of(tmp_path) == lines_of(tmp_path / "straight")
    for name in ("best", "last"):
        weights = Path("run", "checkpoints", name, "model.safetensors")
        assert (tmp_path / weights).read_bytes() == (tmp_path / "straight" / weights).read_bytes()


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, *LONG, *ONE_BY_ONE)
    wait_for(lambda: says(tmp_path, "workers: 0"))
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    wait_for(lambda: says(tmp_path, "SIGINT: finishing the step and saving; once more to stop at once"))
    time.sleep(1.1)
    told = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - told < 5
    assert process.returncode == 130
    assert err.splitlines()[-1] == "stopped at once by a second signal, SIGINT"
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_before_the_first_step_there_is_nothing_to_save(tmp_path: Path) -> None:
    process = start(tmp_path, "debug=smoke", "data.limit_train=100000", "output_dir=run")
    assert process.stderr is not None
    while "device: " not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "stopped by SIGTERM; nothing was begun yet"
