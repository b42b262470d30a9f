"""What freezing saves: speed, memory and time per epoch of every arm, and what each learns in the same time.

Run by `scripts/bench_freeze [--minutes M] [overrides]`. Every arm is a process of its own that trains in turns with the
others, so that all see the same machine. With `--minutes`, arms are then trained by the `train` command for as long (or
for a few epochs, where these are done before), the filling of an empty cache included, and tested. Prints Markdown.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.compose import compose, stop
from sentence_order.errors import UserError

NEVER = 10**9
# Beyond so many epochs the heads of a frozen encoder only learn their stories by heart.
MOST_EPOCHS = 5
LARGER = ["trainer.batch_tokens=4096", "optim.head_lr=1.5e-3"]
# What freezing gives for the same time is asked of these.
TRAINED = (
    "unfrozen",
    "embeddings frozen",
    "bottom half frozen",
    "bottom half frozen, cached",
    "encoder frozen",
    "encoder frozen, cached, batches of 4,096 tokens",
)
ARMS = {
    "unfrozen": ["freeze=none"],
    "unfrozen, batches of 4,096 tokens": ["freeze=none", *LARGER],
    "embeddings frozen": ["freeze=embeddings"],
    "bottom half frozen": ["freeze=bottom_half", "cache=off"],
    "bottom half frozen, cached": ["freeze=bottom_half"],
    "encoder frozen": ["freeze=encoder", "cache=off"],
    "encoder frozen, cached": ["freeze=encoder"],
    "encoder frozen, cached, batches of 4,096 tokens": ["freeze=encoder", *LARGER],
    "the same without set layer": ["freeze=encoder", *LARGER, "model.set_layers=0"],
    "encoder frozen, cached, batches of 16,384 tokens": ["freeze=encoder", "trainer.batch_tokens=16384"],
}


@dataclass
class Arm:
    """What was measured of an arm."""

    documents: int = 0
    seconds: float = 0.0
    steps: int = 0
    seconds_in_cache: float = 0.0
    memory: int = 0  # bytes of the process, mapped files left out
    cached: bool = False

    @property
    def rate(self) -> float:
        return self.documents / self.seconds


def work(pipe: Connection, overrides: list[str]) -> None:
    """The process of an arm: trains for so many seconds whenever it is told to."""
    from sentence_order.console import set_up_logging
    from sentence_order.training.loop import Trainer
    from sentence_order.training.run import prepare, use_cache

    set_up_logging()
    config = compose([*overrides, f"trainer.eval_every={NEVER}", "trainer.epochs=1000"])
    try:
        prepared = prepare(config)
    except UserError as error:
        stop(error)
    pipe.send(len(prepared.corpora["train"]))
    pipe.recv()
    started = time.perf_counter()
    prepared = use_cache(config, prepared)
    pipe.send((time.perf_counter() - started, prepared.corpora["train"].states is not None))
    with tempfile.TemporaryDirectory() as folder:
        corpora = prepared.corpora
        trainer = Trainer(
            prepared.model, corpora["train"], corpora["validation"], config, prepared.runtime, Path(folder)
        )
        steps = trainer.steps()
        while (seconds := pipe.recv()) is not None:
            before, first, started = trainer.documents + trainer.window.documents, trainer.step, time.perf_counter()
            while time.perf_counter() - started < seconds:
                next(steps)
            taken = time.perf_counter() - started
            documents = trainer.documents + trainer.window.documents - before
            pipe.send((documents, taken, trainer.step - first, _memory()))
        steps.close()


def _memory() -> int:
    """The process's own memory; what was freed stays with it (see `runtime.py`), so this is the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def measure_speed(overrides: list[str], turns: int, seconds: float) -> tuple[dict[str, Arm], int]:
    """Every arm's figures, and the number of training documents."""
    spawn = multiprocessing.get_context("spawn")
    arms, pipes, processes, documents = {name: Arm() for name in ARMS}, {}, [], 0
    with tempfile.TemporaryDirectory() as cache:
        for name, own in ARMS.items():
            pipe, theirs = spawn.Pipe()
            # Each has a cache of its own: what another arm has filled in is no merit of theirs.
            settings = [*overrides, f"cache.dir={cache}/{len(pipes)}", *own]
            processes.append(spawn.Process(target=work, args=(theirs, settings), daemon=True))
            processes[-1].start()
            theirs.close()
            pipes[name] = pipe
            documents = pipe.recv()
        for name, pipe in pipes.items():
            pipe.send("fill")
            arms[name].seconds_in_cache, arms[name].cached = pipe.recv()
        for turn in range(turns + 1):
            for name, pipe in pipes.items():
                pipe.send(seconds if turn else seconds / 3)  # the first turn warms up
                done, taken, steps, memory = pipe.recv()
                arm = arms[name]
                arm.memory = max(arm.memory, memory)
                if turn:
                    arm.documents, arm.seconds, arm.steps = arm.documents + done, arm.seconds + taken, arm.steps + steps
        for pipe, process in zip(pipes.values(), processes, strict=True):
            pipe.send(None)
            process.join()
    return arms, documents


def speed_table(arms: dict[str, Arm], documents: int) -> list[str]:
    """Markdown: rates, ratios to unfrozen, memory, time of the first epoch and of a later one."""
    lines = [
        f"| {documents:,} training documents | documents/s | to unfrozen | memory | first epoch | later epochs |",
        "|---|---|---|---|---|---|",
    ]
    base = next(iter(arms.values()))
    for name, arm in arms.items():
        epoch = documents / arm.rate
        first = epoch + (arm.seconds_in_cache if arm.cached else 0)
        lines.append(
            f"| {name} | {arm.rate:.1f} | {arm.rate / base.rate:.2f} | {arm.memory / 1e9:.2f} GB "
            f"({arm.memory / base.memory:.2f}) | {first:.1f} s | {epoch:.1f} s |"
        )
    return lines


def quality_row(name: str, arm: Arm, documents: int, overrides: list[str], minutes: float, folder: Path) -> str:
    """Trains one arm for so long, an empty cache included, and tests it."""
    own = [*overrides, *ARMS[name], f"cache.dir={folder}/cache"]
    config = compose(own)
    stories = config.data.limit_train or documents
    budget = 60 * minutes - (arm.seconds_in_cache * stories / documents if arm.cached else 0)
    steps = int(min(budget * arm.steps / arm.seconds, MOST_EPOCHS * stories * arm.steps / arm.documents))
    run = folder / "run"
    command = [sys.executable, "-m", "sentence_order.train", *own, f"trainer.max_steps={steps}", f"output_dir={run}"]
    subprocess.run(command, check=True)
    results = json.loads((run / "results.json").read_text())
    train, test = results["train"], results["test"]
    assert train["cached"] == arm.cached, "the run took another way than what was measured"
    figures = " | ".join(
        f"{test[key]['value']:.3f} ({test[key]['low']:.3f} to {test[key]['high']:.3f})"
        for key in ("accuracy", "pmr", "tau")
    )
    seconds = train["seconds_in_cache"] + train["seconds_in_steps"]
    epochs = train["documents_seen"] / train["documents"]
    return f"| {name} | {seconds:.0f} s | {train['documents_seen']:,} ({epochs:.2f} epochs) | {figures} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench_freeze", description=__doc__)
    parser.add_argument("--minutes", type=float, help="train every arm for so long after the table, and test it")
    parser.add_argument("--stories", type=int, default=30_000, help="the first so many to train on with --minutes")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10, help="of training in a turn")
    arguments, overrides = parser.parse_known_args()
    try:
        for own in ARMS.values():
            compose([*overrides, *own])
        small = ["data.limit_train=2000", "data.limit_validation=100", "data.limit_test=100"]
        arms, documents = measure_speed([*small, *overrides], arguments.turns, arguments.seconds)
    except UserError as error:
        stop(error)
    except EOFError:  # an arm has stopped, and has said why
        sys.exit(2)
    print("\n".join(speed_table(arms, documents)), flush=True)
    if arguments.minutes:
        print("\n| trained | time | documents seen | accuracy | PMR | tau |\n|---|---|---|---|---|---|", flush=True)
        limits = [f"data.limit_train={arguments.stories}", "data.limit_validation=500", "data.limit_test=2000"]
        for name in TRAINED:
            with tempfile.TemporaryDirectory() as folder:
                row = quality_row(name, arms[name], documents, [*limits, *overrides], arguments.minutes, Path(folder))
            print(row, flush=True)


if __name__ == "__main__":
    main()
