"""Compares ways to train: timed by turns on the same machine, then each trained for the same time."""

import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.compose import NEVER, compose, stop
from benchmarks.hooked_loop import HookedLoop
from sentence_order.errors import UserError
from sentence_order.runtime.console import set_up_logging
from sentence_order.runtime.device import peak_memory
from sentence_order.training.loop import TrainingLoop
from sentence_order.training.setup import attach_cache, set_up
from sentence_order.training.tracker import Tracker

# In more epochs a small corpus, or all that the heads see of a frozen encoder, is only learnt by heart.
MAX_EPOCHS = 5


@dataclass
class Arm:
    """The measurements of an arm."""

    documents: int = 0
    seconds: float = 0.0
    steps: int = 0
    seconds_in_cache: float = 0.0
    memory: int = 0  # bytes of the process, without mapped files
    cached: bool = False

    @property
    def rate(self) -> float:
        return self.documents / self.seconds

    def count_steps(self, seconds: float, documents: int) -> int:
        """The number of steps in these seconds, or in `MAX_EPOCHS` epochs if they are fewer."""
        return max(1, int(min(seconds / self.seconds, MAX_EPOCHS * documents / self.documents) * self.steps))


class Turns:
    """Lets a loop run for as many seconds as the parent process asks for, and reports what it did in them.

    Called by the loop after each step.
    """

    def __init__(self, pipe: Connection) -> None:
        self.pipe, self.documents, self.step = pipe, 0, 0
        self.seconds: float = pipe.recv()
        self.started = time.perf_counter()

    def __call__(self, loop: TrainingLoop) -> None:
        elapsed = time.perf_counter() - self.started
        if elapsed < self.seconds:
            return
        documents, step = loop.state.num_documents, loop.state.step
        self.pipe.send((documents - self.documents, elapsed, step - self.step, peak_memory(loop.runtime.device)))
        self.documents, self.step = documents, step
        seconds = self.pipe.recv()
        loop.state.done = seconds is None
        self.seconds, self.started = seconds or 0.0, time.perf_counter()


def run_arm(pipe: Connection, name: str, overrides: list[str]) -> None:
    """The process of an arm: the loop of `train`, for some seconds whenever the parent process asks for them."""
    set_up_logging()
    config = compose([*overrides, f"trainer.eval_every={NEVER}", "trainer.epochs=1000"])
    try:
        setup = set_up(config)
    except UserError as error:
        stop(UserError(f"{name}: {error}"))
    pipe.send(len(setup.corpora["train"]))
    pipe.recv()
    started = time.perf_counter()
    setup = attach_cache(config, setup)
    train, validation = setup.corpora["train"], setup.corpora["validation"]
    pipe.send((time.perf_counter() - started, train.states is not None))
    with tempfile.TemporaryDirectory() as place, Tracker(Path(place)) as tracker:
        own = (setup.model, train, validation, config, setup.runtime, Path(place))
        loop = HookedLoop(*own, tracker=tracker, on_step=Turns(pipe))
        loop.train()


def measure_speed(
    settings: dict[str, list[str]], overrides: list[str], turns: int, seconds: float
) -> tuple[dict[str, Arm], int]:
    """The measurements of every arm, and the number of training documents.

    Args:
        settings: the overrides of each arm.
    """
    try:
        return _measure_by_turns(settings, overrides, turns, seconds)
    except EOFError:  # an arm has stopped, and has printed why
        sys.exit(2)


def _measure_by_turns(
    settings: dict[str, list[str]], overrides: list[str], turns: int, seconds: float
) -> tuple[dict[str, Arm], int]:
    spawn = multiprocessing.get_context("spawn")
    arms, pipes, processes, documents = {name: Arm() for name in settings}, {}, [], 0
    with tempfile.TemporaryDirectory() as cache:
        for name, own in settings.items():
            pipe, other_end = spawn.Pipe()
            # Each has a cache of its own, and so does not profit from what another arm has filled.
            arguments = [*overrides, f"cache.dir={cache}/{len(pipes)}", *own]
            processes.append(spawn.Process(target=run_arm, args=(other_end, name, arguments), daemon=True))
            processes[-1].start()
            other_end.close()
            pipes[name] = pipe
            documents = pipe.recv()
        for name, pipe in pipes.items():
            pipe.send("fill")
            arms[name].seconds_in_cache, arms[name].cached = pipe.recv()
        for turn in range(turns + 1):
            for name, pipe in pipes.items():
                pipe.send(seconds if turn else seconds / 3)  # the first turn warms up
                done, elapsed, steps, memory = pipe.recv()
                arm = arms[name]
                arm.memory = max(arm.memory, memory)
                if turn:
                    arm.documents += done
                    arm.seconds += elapsed
                    arm.steps += steps
        for pipe, process in zip(pipes.values(), processes, strict=True):
            pipe.send(None)
            process.join()
    return arms, documents


def train(overrides: list[str], steps: int, folder: Path) -> dict[str, Any]:
    """The results of a run of the `train` command for this number of steps, into `folder`."""
    settings = [*overrides, f"trainer.max_steps={steps}", f"output_dir={folder}"]
    subprocess.run([sys.executable, "-m", "sentence_order.train", *settings], check=True)
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


def format_documents_seen(training: dict[str, Any]) -> str:
    """An entry of a Markdown table."""
    epochs = training["documents_seen"] / training["documents"]
    return f"{training['documents_seen']:,} ({epochs:.2f} epochs)"


def format_intervals(test: dict[str, Any], metrics: tuple[str, ...]) -> str:
    """Entries of a Markdown table."""
    return " | ".join(
        f"{test[key]['value']:.3f} ({test[key]['low']:.3f} to {test[key]['high']:.3f})" for key in metrics
    )
