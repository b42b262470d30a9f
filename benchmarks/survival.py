"""Kills training processes where it hurts, resumes them, and compares what they end with to a run that was let alone.

    scripts/bench_survival [--kills 60] [--seed 0]

Each run is killed some times, by SIGKILL, at a random moment or in the middle of a random write (`faults.py`), and is
started again by the same command with `resume=auto`. After each death the folder is looked at: every checkpoint that is
there must be whole, and the next start must go on from the last one. At its end a run's weights, optimizer, metrics and
TensorBoard curves must be those of the unbroken one, to the last bit.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.records import CLOCK_TAGS, lines_without_clock
from sentence_order.files import damage, put_aside
from sentence_order.training.state import STATE_FILE, read_state

SMALL = ("debug=smoke", "data.limit_train=100", "trainer.max_steps=24", "trainer.save_every=3", "encoder.tiny_width=48")
# All that a state holds is used by one of them or the other.
RUNS = {
    "dropout, moving average, gradual unfreezing": (
        *("model.dropout=0.1", "optim.ema=0.9", "freeze.schedule=[0:all,1:half,1.5:none]", "trainer.accumulate=2"),
    ),
    "frozen prefix from the cache": ("freeze=bottom_half", "cache.dir=cache"),
}


@dataclass
class Tally:
    """What has happened so far."""

    kills: Counter[str] = field(default_factory=Counter)
    steps_lost: list[int] = field(default_factory=list)
    starts: int = 0


def command(folder: Path, fault: str, overrides: tuple[str, ...]) -> "subprocess.Popen[str]":
    """Starts a run in `folder/run`, whose cache lies beside it."""
    line = [sys.executable, "-m", "benchmarks.faults", fault, *SMALL, *overrides, "output_dir=run", "resume=auto"]
    path = os.pathsep.join([str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def unbroken(folder: Path, overrides: tuple[str, ...]) -> tuple[dict[str, int], float]:
    """Lets a run alone; returns how often it passes each point, and how many seconds it takes."""
    folder.mkdir(parents=True)
    started = time.perf_counter()
    process = command(folder, "count", overrides)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1]), time.perf_counter() - started


def torment(
    folder: Path,
    overrides: tuple[str, ...],
    kills: int,
    passed: dict[str, int],
    seconds: float,
    dice: random.Random,
    tally: Tally,
) -> None:
    """Kills a run so many times, and lets it end."""
    folder.mkdir(parents=True)
    for _ in range(kills):
        at = saved_step(folder)
        if dice.random() < 0.4:
            fault, moment = "none", dice.uniform(1, seconds)
        else:
            point = dice.choice([point for point, times in passed.items() if times])
            fault, moment = f"kill:{point}:{dice.randint(1, passed[point])}", 10 * seconds
        process = command(folder, fault, overrides)
        try:
            _, err = process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            _, err = process.communicate()
        check_start(err, at, tally)
        if process.returncode == -9:
            tally.kills["at a random moment" if fault == "none" else f"in {fault.split(':')[1]}"] += 1
            look_at(folder, err, tally)
        else:
            assert process.returncode == 0, err  # the point was not passed again, and the run has ended
            return
    at = saved_step(folder)
    process = command(folder, "none", overrides)
    _, err = process.communicate()
    check_start(err, at, tally)
    assert process.returncode == 0, err


def saved_step(folder: Path) -> int | None:
    """The step that a run has saved; None where there is none, or the run was killed between two renames."""
    last = folder / "run" / "checkpoints" / "last"
    found = last if last.exists() else put_aside(last)
    state = read_state(found) if found else None
    return int(state["step"]) if state else None


def check_start(err: str, saved: int | None, tally: Tally) -> None:
    """A start must go on from what was saved."""
    tally.starts += 1
    resumed = re.search(r"resumed: from step (\d+)", err)
    if resumed or "validation: every" in err:  # it has come so far as to say so
        assert (int(resumed[1]) if resumed else None) == saved, f"saved was step {saved}\n{err}"


def look_at(folder: Path, err: str, tally: Tally) -> None:
    """What a killed run leaves must be whole under its name."""
    checkpoints = folder / "run" / "checkpoints"
    for name in ("best", "last"):
        if (checkpoints / name).exists():
            problem = damage(checkpoints / name)
            assert problem is None, f"{name}: {problem}\n{err}"
            assert (checkpoints / name / "SHA256SUMS").exists()
    lines = (
        (folder / "run" / "metrics.jsonl").read_text().splitlines()
        if (folder / "run" / "metrics.jsonl").exists()
        else []
    )
    whole = [json.loads(line)["step"] for line in lines if line.endswith("}")]
    tally.steps_lost.append(max([0, *whole]) - (saved_step(folder) or 0))


def compare(folder: Path, reference: Path) -> None:
    """What a tormented run ends with is what the unbroken one ends with."""
    one, other = (read_state(place / "run" / "checkpoints" / "last") for place in (folder, reference))
    assert one is not None
    assert other is not None
    for key in ("weights", "average", "random", "optimizer", "best", "best_step", "documents", "epoch", "window"):
        if key == "window":
            one[key].pop("seconds"), other[key].pop("seconds")
        assert equal(one[key], other[key]), f"{STATE_FILE} differs in {key}"
    for name in ("best", "last"):
        weights = "model.safetensors"
        files = [place / "run" / "checkpoints" / name / weights for place in (folder, reference)]
        assert files[0].read_bytes() == files[1].read_bytes(), f"{name}/{weights} differs"
    assert lines_of(folder) == lines_of(reference), "metrics.jsonl differs"
    assert curves_of(folder) == curves_of(reference), "TensorBoard's curves differ"
    results = [json.loads((place / "run" / "results.json").read_text()) for place in (folder, reference)]
    assert results[0]["test"] == results[1]["test"]


def equal(one: Any, other: Any) -> bool:
    """Equality to the last bit, of tensors too."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def lines_of(folder: Path, run: str = "run") -> list[dict[str, float]]:
    """The lines of metrics.jsonl, but for what is measured by the clock."""
    return lines_without_clock(folder / run)


def curves_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The points that TensorBoard shows of each tag."""
    events = EventAccumulator(str(folder / "run"), size_guidance={"scalars": 0}).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not CLOCK_TAGS.match(tag)]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def main() -> None:
    """Torments runs of both kinds by turns, and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60, help="how many in all, or a few more")
    parser.add_argument("--seed", type=int, default=0, help="of where and when")
    parser.add_argument("--each", type=int, default=6, help="kills a run")
    arguments = parser.parse_args()
    dice, tally, runs = random.Random(arguments.seed), Tally(), 0
    with tempfile.TemporaryDirectory() as place:
        known = {name: unbroken(Path(place) / name, overrides) for name, overrides in RUNS.items()}
        while tally.kills.total() < arguments.kills:
            for name, overrides in RUNS.items():
                folder = Path(place) / f"{name} {runs}"
                torment(folder, overrides, arguments.each, *known[name], dice, tally)
                compare(folder, Path(place) / name)
                runs += 1
                print(f"{name}: ended as the unbroken run; {tally.kills.total()} kills so far", flush=True)
    print(f"\n{runs} runs, {tally.starts} starts, {tally.kills.total()} kills:")
    for what, times in sorted(tally.kills.items()):
        print(f"  {what}: {times}")
    print(f"steps recorded but not saved at a kill: {max(tally.steps_lost)} at most (trainer.save_every=3)")


if __name__ == "__main__":
    main()
