"""Kills training processes where it hurts, resumes them, and compares their end with that of a run that was let alone.

    python -m tests.survival [--kills 60] [--seed 0]

Each run is killed some times by SIGKILL, in the middle of a write or a computation (`faults.py`) that is drawn from all
that the unbroken run passes through, so that nothing depends on the speed of the machine; and it is started again by
the same command with `resume=auto`. After each death every checkpoint that is there must be whole, and the next start
must resume from the last one. At its end a run's weights, optimizer, metrics, results and TensorBoard curves must be
those of the unbroken one, to the last bit.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sentence_order.runtime.files import find_backup, find_corruption
from sentence_order.training.state import STATE_FILE, read_state
from tests.records import CLOCK_TAGS, lines_without_clock

STEPS = 24
SMALL = (
    *("debug=smoke", "data.limit_train=100", f"trainer.max_steps={STEPS}", "trainer.save_every=3"),
    *("encoder.tiny_width=48", "output_dir=run", "resume=auto"),
)
# All that a state holds is used by one of them or the other.
RUNS = {
    "dropout, moving average, gradual unfreezing": (
        *("model.dropout=0.1", "optim.ema=0.9", "freeze.schedule=[0:all,1:half,1.5:none]", "trainer.accumulate=2"),
    ),
    "frozen prefix from the cache": ("freeze=bottom_half", "cache.dir=cache"),
}
# How long to wait for a process that hangs.
PATIENCE = 600

Start = Callable[[Path, list[str]], "subprocess.CompletedProcess[str]"]


@dataclass
class Tally:
    """What has happened so far."""

    kills: Counter[str] = field(default_factory=Counter)
    steps_lost: list[int] = field(default_factory=list)
    starts: int = 0


def start(folder: Path, words: list[str]) -> "subprocess.CompletedProcess[str]":
    """Starts `tests.faults` in a folder, and waits for its end."""
    line = [sys.executable, "-m", "tests.faults", *words]
    path = os.pathsep.join([str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def run_unbroken(folder: Path, overrides: tuple[str, ...], start: Start = start) -> dict[str, int]:
    """Lets a run alone; returns how often it passes each point."""
    folder.mkdir(parents=True)
    done = start(folder, ["count", *SMALL, *overrides])
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return counts


def torment(
    folder: Path,
    overrides: tuple[str, ...],
    kills: int,
    passed: dict[str, int],
    dice: random.Random,
    tally: Tally,
    start: Start = start,
) -> None:
    """Kills a run up to so many times, and lets it end.

    Args:
        passed: how often the unbroken run passes each point.
    """
    folder.mkdir(parents=True)
    for _ in range(kills):
        saved = saved_step(folder)
        point = dice.choice(sorted(passed))
        left = passed[point] * (STEPS - (saved or 0)) // STEPS  # about so often will it be passed again
        fault = f"kill:{point}:{dice.randint(1, max(1, left))}"
        done = start(folder, [fault, *SMALL, *overrides])
        check_start(done.stderr, saved, tally)
        if done.returncode == 0:  # the point was not passed so often, and the run has ended
            return
        assert done.returncode == -9, f"{fault}\n{done.stderr}"
        tally.kills[point] += 1
        check_remains(folder, f"{fault}\n{done.stderr}", tally)
    saved = saved_step(folder)
    done = start(folder, ["none", *SMALL, *overrides])
    check_start(done.stderr, saved, tally)
    assert done.returncode == 0, done.stderr


def saved_step(folder: Path) -> int | None:
    """The step that a run has saved, also if it was killed between two renames; None if there is none."""
    last = folder / "run" / "checkpoints" / "last"
    found = last if last.exists() else find_backup(last)
    state = read_state(found) if found else None
    return int(state["trainer"]["step"]) if state else None


def check_start(err: str, saved: int | None, tally: Tally) -> None:
    """A start must resume from what was saved."""
    tally.starts += 1
    resumed = re.search(r"resuming from step (\d+)", err)
    if resumed or "workers:" in err:  # it has come so far as to say so
        assert (int(resumed[1]) if resumed else None) == saved, f"saved was step {saved}\n{err}"


def check_remains(folder: Path, err: str, tally: Tally) -> None:
    """What a killed run leaves under a checkpoint's name must be whole."""
    checkpoints = folder / "run" / "checkpoints"
    for name in ("best", "last"):
        if (checkpoints / name).exists():
            problem = find_corruption(checkpoints / name)
            assert problem is None, f"{name}: {problem}\n{err}"
            assert (checkpoints / name / "SHA256SUMS").exists()
    metrics = folder / "run" / "metrics.jsonl"
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    whole = [json.loads(line)["step"] for line in lines if line.endswith("}")]
    tally.steps_lost.append(max([0, *whole]) - (saved_step(folder) or 0))


def compare(folder: Path, reference: Path) -> None:
    """A tormented run must end with what the unbroken one ends with."""
    states = [state_of(place) for place in (folder, reference)]
    assert states[0].keys() == states[1].keys()
    for key in states[0]:
        assert equal(states[0][key], states[1][key]), f"{STATE_FILE} differs in {key}"
    runs = (folder / "run", reference / "run")
    for name in ("best/model.safetensors", "best/config.json", "best/validation.json", "last/model.safetensors"):
        files = [run / "checkpoints" / name for run in runs]
        assert files[0].read_bytes() == files[1].read_bytes(), f"{name} differs"
    assert lines_without_clock(runs[0]) == lines_without_clock(runs[1]), "metrics.jsonl differs"
    assert curves_of(runs[0]) == curves_of(runs[1]), "TensorBoard's curves differ"
    results = [json.loads((run / "results.json").read_text(encoding="utf-8")) for run in runs]
    for split in ("validation", "test"):
        assert results[0][split] == results[1][split], f"results.json differs in {split}"


def state_of(folder: Path) -> dict[str, Any]:
    """What a run has saved at its end, but for what is measured by the clock: flat, by name."""
    state = read_state(folder / "run" / "checkpoints" / "last")
    assert state is not None
    del state["logged_bytes"]  # of numbers that are measured by the clock
    flat = {}
    for name, value in state.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        flat.update({f"{name}.{part}": each for part, each in parts if part not in ("seconds", "previous_seconds")})
    return flat


def equal(one: Any, other: Any) -> bool:
    """Equality to the last bit, of tensors too."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def curves_of(run: Path) -> dict[str, dict[int, float]]:
    """The points that TensorBoard shows of each tag, by step: of several at a step, the last one."""
    events = EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not CLOCK_TAGS.match(tag)]
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in tags}


def main() -> None:
    """Torments runs of both kinds by turns, and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60, help="how many in all, or a few more")
    parser.add_argument("--seed", type=int, default=0, help="of where to kill")
    parser.add_argument("--each", type=int, default=6, help="kills a run")
    arguments = parser.parse_args()
    dice, tally, runs = random.Random(arguments.seed), Tally(), 0
    with tempfile.TemporaryDirectory() as place:
        passed = {name: run_unbroken(Path(place) / name, overrides) for name, overrides in RUNS.items()}
        while tally.kills.total() < arguments.kills:
            for name, overrides in RUNS.items():
                folder = Path(place) / f"{name} {runs}"
                torment(folder, overrides, arguments.each, passed[name], dice, tally)
                compare(folder, Path(place) / name)
                runs += 1
                print(f"{name}: ended as the unbroken run; {tally.kills.total()} kills so far", flush=True)
    print(f"\n{runs} runs, {tally.starts} starts, {tally.kills.total()} kills:")
    for point, times in sorted(tally.kills.items()):
        print(f"  {point}: {times}")
    print(f"steps logged but not saved at a kill: {max(tally.steps_lost)} at most (trainer.save_every=3)")


if __name__ == "__main__":
    main()
