"""What training costs alone and in company, by how long OpenMP's waiting threads spin before they sleep.

    python -m benchmarks.company [--turns 5] [--steps 25] [--beside nothing busy training] [overrides]

Every measurement is a run of the real `train` command in a process of its own, by default of MiniLM, unfrozen, on
synthetic stories; its time is that of its training steps alone (`seconds_in_steps` in `results.json`), not of imports,
validation and test. In a turn, all settings follow each other, in an order drawn anew, beside nothing, beside a busy
loop of Python, and beside another training with the same setting. "by default" is what OpenMP does if nothing is set:
torch is imported before the program could set anything. In company that is many times slower; `--default-turns 2` runs
it there in the first two turns only.

Medians over turns, with percentile bootstrap intervals (95 %); ratios are of one turn. Prints Markdown.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap

from benchmarks.compose import NEVER, compose, stop
from sentence_order.errors import UserError
from sentence_order.evaluation.statistics import Interval, format_interval
from sentence_order.runtime.threads import SPIN_VARIABLES

DEFAULT = "by default"
ARMS = {
    DEFAULT: {},
    **{f"GOMP_SPINCOUNT={count}": {"GOMP_SPINCOUNT": str(count)} for count in (1_000, 3_000, 10_000)},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
}
TRAIN = "import torch; from sentence_order.train import main; main()"
POLL_SECONDS = 0.1
Seconds = dict[tuple[str, str], dict[int, float]]  # by company and arm, then by turn


def start_training(folder: Path, environment: dict[str, str], overrides: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Starts `train` into `folder/run`; what it prints goes to `folder/output`."""
    with (folder / "output").open("wb") as output:
        line = [sys.executable, "-c", TRAIN, *overrides, f"output_dir={folder}/run"]
        return subprocess.Popen(line, env=environment, stdout=output, stderr=output)


@contextmanager
def nothing(environment: dict[str, str], overrides: Sequence[str]) -> Iterator[None]:
    """No company."""
    yield


@contextmanager
def busy(environment: dict[str, str], overrides: Sequence[str]) -> Iterator[None]:
    """Within the block, a process computes without pause."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


@contextmanager
def training(environment: dict[str, str], overrides: Sequence[str]) -> Iterator[None]:
    """Within the block, another process is in its training steps, with the same environment."""
    with tempfile.TemporaryDirectory() as place:
        folder, endless = Path(place), [*overrides, f"trainer.max_steps={NEVER}", "trainer.log_every=1"]
        with start_training(folder, environment, endless) as process:
            try:
                metrics = folder / "run" / "metrics.jsonl"
                while not (metrics.exists() and metrics.stat().st_size):
                    check(process, folder)
                    time.sleep(POLL_SECONDS)
                yield
                check(process, folder)
            finally:
                process.kill()


COMPANY: dict[str, Callable[..., contextmanager]] = {"nothing": nothing, "busy": busy, "training": training}


def check(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Exits if a training has failed, with what it has printed; one that runs is well."""
    if process.poll():
        sys.exit(f"{(folder / 'output').read_text(errors='replace')}\na training ended with {process.returncode}")


def measure(environment: dict[str, str], overrides: Sequence[str]) -> float:
    """The seconds that the steps of one training take."""
    with tempfile.TemporaryDirectory() as place:
        with start_training(Path(place), environment, overrides) as process:
            process.wait()
        check(process, Path(place))
        results = json.loads((Path(place) / "run" / "results.json").read_text(encoding="utf-8"))
    return float(results["train"]["seconds_in_steps"])


def measure_all(companies: Sequence[str], turns: int, default_turns: int, overrides: Sequence[str]) -> Seconds:
    """The seconds of every setting beside every company; each is printed to standard error when it is known."""
    seconds: Seconds = defaultdict(dict)
    inherited = {name: value for name, value in os.environ.items() if name not in SPIN_VARIABLES}
    rng = random.Random(0)
    for turn in range(turns):
        for company in companies:
            for arm in rng.sample([*ARMS], len(ARMS)):
                if arm == DEFAULT and company != "nothing" and turn >= default_turns:
                    continue
                environment = {**inherited, **ARMS[arm]}
                with COMPANY[company](environment, overrides):
                    seconds[company, arm][turn] = measure(environment, overrides)
                print(f"turn {turn + 1}, beside {company}, {arm}: {seconds[company, arm][turn]} s", file=sys.stderr)
    return seconds


def median(values: Sequence[float]) -> Interval:
    """The median with the bounds of its 95 % interval, if there are several values."""
    if len(values) == 1:
        return Interval(value=values[0], low=None, high=None)
    found = bootstrap((values,), np.median, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return Interval(value=float(np.median(values)), low=float(found.low), high=float(found.high))


def format_table(seconds: Seconds, steps: int) -> list[str]:
    """Markdown, a row for every setting beside every company."""
    lines = [f"| beside | waiting threads | seconds of {steps} steps | to default | turns |", "|---|---|---|---|---|"]
    for company, arm in sorted(seconds, key=lambda key: ([*COMPANY].index(key[0]), [*ARMS].index(key[1]))):
        by_turn, default = seconds[company, arm], seconds[company, DEFAULT]
        ratios = median([by_turn[turn] / default[turn] for turn in by_turn.keys() & default.keys()])
        own = format_interval(median([*by_turn.values()]), 1)
        lines.append(f"| {company} | {arm} | {own} | {format_interval(ratios, 2)} | {len(by_turn)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.company", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--default-turns", type=int, help="of what is not set, in company; default: all")
    parser.add_argument("--steps", type=int, default=25, help="of each training")
    parser.add_argument("--beside", nargs="+", choices=COMPANY, default=[*COMPANY], help="default: one after the other")
    arguments, words = parser.parse_known_args()
    default_turns = arguments.turns if arguments.default_turns is None else arguments.default_turns
    if min(arguments.turns, default_turns, arguments.steps) < 1:
        parser.error("--turns, --default-turns and --steps must be at least 1")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # the company is ended first
    small = ["data.limit_train=800", "data.limit_validation=20", "data.limit_test=20"]
    overrides = [*small, f"trainer.eval_every={NEVER}", f"trainer.max_steps={arguments.steps}", *words]
    try:
        compose(overrides)
    except UserError as error:
        stop(error)
    seconds = measure_all(arguments.beside, arguments.turns, default_turns, overrides)
    print("\n".join(format_table(seconds, arguments.steps)))


if __name__ == "__main__":
    main()
