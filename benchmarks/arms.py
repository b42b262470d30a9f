"""Ways to train, side by side: timed by turns on the same machine, then each trained for as long as the others."""

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
from sentence_order.errors import UserError

# Beyond so many epochs a small corpus, or all that the heads of a frozen encoder see, is only learnt by heart.
MOST_EPOCHS = 5


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

    def steps_in(self, seconds: float, documents: int) -> int:
        """How many steps these seconds are, or the most epochs of so many documents, where these are done before."""
        return max(1, int(min(seconds / self.seconds, MOST_EPOCHS * documents / self.documents) * self.steps))


def work(pipe: Connection, name: str, overrides: list[str]) -> None:
    """The process of an arm: trains for so many seconds whenever it is told to."""
    from sentence_order.console import set_up_logging
    from sentence_order.runtime import peak_memory
    from sentence_order.training.loop import Trainer
    from sentence_order.training.preparation import prepare, use_cache

    set_up_logging()
    config = compose([*overrides, f"trainer.eval_every={NEVER}", "trainer.epochs=1000"])
    try:
        prepared = prepare(config)
    except UserError as error:
        stop(UserError(f"{name}: {error}"))
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
            pipe.send((documents, taken, trainer.step - first, peak_memory(prepared.runtime.device)))
        steps.close()


def measure_speed(
    settings: dict[str, list[str]], overrides: list[str], turns: int, seconds: float
) -> tuple[dict[str, Arm], int]:
    """The figures of every arm, given by its own overrides, and the number of training documents."""
    try:
        return _by_turns(settings, overrides, turns, seconds)
    except EOFError:  # an arm has stopped, and has said why
        sys.exit(2)


def _by_turns(
    settings: dict[str, list[str]], overrides: list[str], turns: int, seconds: float
) -> tuple[dict[str, Arm], int]:
    spawn = multiprocessing.get_context("spawn")
    arms, pipes, processes, documents = {name: Arm() for name in settings}, {}, [], 0
    with tempfile.TemporaryDirectory() as cache:
        for name, own in settings.items():
            pipe, theirs = spawn.Pipe()
            # Each has a cache of its own: what another arm has filled in is no merit of theirs.
            arguments = [*overrides, f"cache.dir={cache}/{len(pipes)}", *own]
            processes.append(spawn.Process(target=work, args=(theirs, name, arguments), daemon=True))
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


def train(overrides: list[str], steps: int, folder: Path) -> dict[str, Any]:
    """The results of a run of so many steps of the `train` command, into `folder`."""
    settings = [*overrides, f"trainer.max_steps={steps}", f"output_dir={folder}"]
    subprocess.run([sys.executable, "-m", "sentence_order.train", *settings], check=True)
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


def documents_seen(training: dict[str, Any]) -> str:
    """A cell of a Markdown table."""
    epochs = training["documents_seen"] / training["documents"]
    return f"{training['documents_seen']:,} ({epochs:.2f} epochs)"


def with_intervals(test: dict[str, Any], metrics: tuple[str, ...]) -> str:
    """Cells of a Markdown table."""
    return " | ".join(
        f"{test[key]['value']:.3f} ({test[key]['low']:.3f} to {test[key]['high']:.3f})" for key in metrics
    )
