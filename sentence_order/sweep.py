"""A sweep: runs of `train` that differ in a few keys, each in a folder named by these, within one folder.

Hydra makes the jobs, by its basic sweeper or another, and hands them over one by one, or side by side where another
launcher does. Each is trained in a process of its own: so one that fails, or is killed, does not stop the others, and
what is measured of it is its own. What a sweep has done is what lies in its folder, and no other record is kept; so a
sweep that was stopped goes on when it is started again.
"""

import hashlib
import json
import math
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig

from sentence_order.config import TrainConfig, parse_config
from sentence_order.errors import Interrupted, TrainingError, UserError, first_line
from sentence_order.files import atomic_file
from sentence_order.training.folder import RESULTS_FILE, Stage, claim, stage_of

FAILURE_FILE = "failure.txt"
# Of a folder's name; file systems take no longer ones than 255 bytes.
MOST_CHARACTERS = 160
# What the states of a frozen prefix depend on: jobs that are alike in these read the same ones.
PREFIX_KEYS = re.compile(r"(data|encoder|freeze|cache|experiment|init_from|precision|device|model\.pooling)(?=[.=]|$)")


@dataclass(frozen=True)
class Sweep:
    """What the command line tells of a sweep.

    Attributes:
        folder: `output_dir`, which holds the folders of the jobs.
        swept: the keys that the command line sweeps over, with how many values each has, where that is known.
        fixed: the keys that it gives one value, though the sweep's own file may sweep over them.
        started: seconds since the epoch.
    """

    folder: Path
    swept: dict[str, int | None]
    fixed: frozenset[str]
    started: float

    @classmethod
    def of(cls, arguments: list[str]) -> tuple["Sweep | None", list[str]]:
        """The sweep that a command line asks for, if it does, and the command line to give to Hydra.

        Jobs that share a frozen prefix come one after the other: what the prefix depends on changes slowest.
        """
        overrides = {text: parsed for text in arguments if (parsed := _parse(text)) is not None}
        if {"--cfg", "-c", "--info", "-i"} & set(arguments):  # nothing is going to run
            return None, arguments
        flagged = {"-m", "--multirun"} & set(arguments)
        name = next((one.value() for one in overrides.values() if one.key_or_group == "sweep"), None)
        if not flagged and name is None:
            return None, arguments
        ordered = sorted(overrides, key=lambda text: not PREFIX_KEYS.match(text.lstrip("+~")))
        swept = {
            _key(overrides[text]): _count(overrides[text]) for text in ordered if overrides[text].is_sweep_override()
        }
        fixed = {_key(one): text for text, one in overrides.items() if not one.is_sweep_override()}
        others = [text for text in arguments if text not in overrides]
        if "output_dir" in fixed:
            folder = str(overrides[fixed["output_dir"]].value())
        else:
            folder = _default_folder(name, swept, [text for key, text in fixed.items() if key != "sweep"])
            ordered.append(f"output_dir={folder}")
        return cls(Path(folder), swept, frozenset(fixed), time.time()), [*others, *ordered]

    def job(self, composed: DictConfig) -> float:
        """Trains one job, unless that is done; says how the sweep stands. Never raises, so that the next one comes.

        Returns:
            What a search over hyper-parameters makes large: tau on the validation documents; if the job failed, less
            than any.
        """
        hydra = HydraConfig.get()
        keys = self._keys(hydra)
        folder = self.folder / job_name(list(hydra.overrides.task), list(keys))
        head = f"job {hydra.job.num + 1}{self._of_how_many(hydra, keys)}, {folder.name}"
        (folder / FAILURE_FILE).unlink(missing_ok=True)
        try:
            config = parse_config(composed, TrainConfig)
            if config.resume not in ("off", "auto"):
                raise UserError("resume: a sweep goes on when its command is typed again; leave this out")
            config = replace(config, output_dir=str(folder), resume="auto")
            stage = claim(config)
            if stage is Stage.finished:
                say(f"{head}: finished before, and skipped")
            else:
                again = ", which was begun before and is resumed" if stage is Stage.begun else ""
                say(f"{head}{again}{self._time_left(hydra, keys)}")
                readers = math.prod(count or 1 for key, count in keys.items() if not PREFIX_KEYS.match(key))
                _train_apart(config, readers)
        except (UserError, TrainingError) as error:
            say(f"{head} failed: {error}")
            with atomic_file(folder / FAILURE_FILE) as stream:
                stream.write(f"{error}\n")
            return -math.inf
        return float(_results(folder)["validation"]["tau"]["value"])

    def finish(self) -> bool:
        """Tells what came of the jobs and writes the report; returns whether all went well."""
        failures = [
            file for file in sorted(self.folder.glob(f"*/{FAILURE_FILE}")) if file.stat().st_mtime >= self.started - 1
        ]
        done = self._finished()
        say(f"{len(done)} jobs are finished in {self.folder}" + (f", {len(failures)} failed:" if failures else ""))
        for file in failures:
            print(f"  {file.parent.name}: {file.read_text(encoding='utf-8').strip()}", file=sys.stderr)
        if done:
            from sentence_order.reporting import write_report

            try:
                sentences = write_report([self.folder], self.folder / "report")
            except UserError as error:  # such as runs that were tested on different documents
                say(f"no report: {error}")
            else:
                print("\n".join(["", *sentences, ""]).replace("**", ""), file=sys.stderr)
                say(f"report: {self.folder / 'report' / 'report.md'}")
            say(f"watch them side by side with: tensorboard --logdir {self.folder}")
        return not failures

    def _finished(self) -> list[Path]:
        return [folder for folder in self.folder.glob("*/") if stage_of(folder) is Stage.finished]

    def _keys(self, hydra: Any) -> dict[str, int | None]:
        """All keys that are swept over, those of the sweep's file first, with how many values each has."""
        params = hydra.sweeper.get("params") or {}
        own = {str(key): parsed for key, value in params.items() if (parsed := _parse(f"{key}={value}")) is not None}
        keys = {key: _count(one) for key, one in own.items() if one.is_sweep_override() and key not in self.fixed}
        return keys | self.swept

    def _of_how_many(self, hydra: Any, keys: dict[str, int | None]) -> str:
        total = self._total(hydra, keys)
        return f" of {total}" if total else ""

    def _total(self, hydra: Any, keys: dict[str, int | None]) -> int | None:
        if "n_trials" in hydra.sweeper:
            return int(hydra.sweeper.n_trials)
        counts = list(keys.values())
        return None if None in counts else math.prod(count for count in counts if count)

    def _time_left(self, hydra: Any, keys: dict[str, int | None]) -> str:
        """By the mean of the jobs that are done, where jobs come one after the other."""
        total = self._total(hydra, keys)
        seconds = [_results(folder)["wall_time_s"] for folder in self._finished()]
        if total is None or not seconds or "basic" not in hydra.launcher._target_.lower():
            return ""
        jobs = max(1, total - max(hydra.job.num, len(seconds)))
        left = jobs * sum(seconds) / len(seconds)
        return f"; about {max(1, math.ceil(left / 60))} min are left"


def job_name(overrides: list[str], keys: list[str]) -> str:
    """The folder of a job: the swept keys, as short as they are told apart, each with its value.

    Example:
        >>> job_name(["freeze.depth=none", "data=jsonl", "seed=0"], ["freeze.depth", "seed"])
        'depth-none_seed-0'
    """
    values = dict(text.lstrip("+").split("=", 1) for text in overrides if "=" in text)
    lasts = [key.rsplit(".", 1)[-1] for key in keys]
    parts = []
    for key, last in zip(keys, lasts, strict=True):
        value = re.sub(r"[^\w.+-]+", "-", values[key]).strip("-")
        parts.append(f"{last if lasts.count(last) == 1 else key}-{value or 'empty'}")
    name = "_".join(parts) or "run"
    if len(name) <= MOST_CHARACTERS:
        return name
    return f"{name[:MOST_CHARACTERS]}-{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"


def say(message: str) -> None:
    """A line of the sweep's own, between those of its jobs."""
    print(f"{time.strftime('%H:%M:%S')} sweep: {message}", file=sys.stderr, flush=True)


def _parse(text: str) -> Override | None:
    """An override as Hydra understands it; None for flags, and for what it will complain about itself."""
    if text.startswith("-") or "=" not in text:
        return None
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        return None


def _key(override: Override) -> str:
    return override.get_key_element().lstrip("+~")


def _count(override: Override) -> int | None:
    return len(list(override.sweep_string_iterator())) if override.is_discrete_sweep() else None


def _default_folder(name: object, swept: dict[str, int | None], fixed: list[str]) -> str:
    """The same for the same question: so a sweep finds what it has done, and another one does not meet it."""
    label = name or "_".join(key.rsplit(".", 1)[-1] for key in swept) or "sweep"
    mark = hashlib.blake2b("\n".join(sorted(fixed)).encode(), digest_size=3).hexdigest() if fixed else ""
    return f"outputs/{label}" + (f"-{mark}" if mark else "")


def _results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    return found


def _train_apart(config: TrainConfig, readers: int) -> None:
    """Trains in a process of its own: this module's `_work`, told what to do on its standard input.

    (`multiprocessing` would not do: its processes take on the ways of a launcher's own workers.)

    Raises:
        TrainingError: it failed, or was killed.
    """
    line = [sys.executable, "-m", "sentence_order.sweep"]
    # In a session of its own, so that a terminal's Ctrl-C comes to the sweep alone, which passes it on.
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with _passed_on(process) as told:
                pickle.dump((config, readers), process.stdin)
                process.stdin.flush()
                reply = process.stdout.read()
                code = process.wait()
        except BaseException:
            process.kill()
            raise
    if told or (not reply and code > 128):
        number = told[0] if told else code - 128
        raise Interrupted(number, "the sweep was stopped; the same command goes on where this one stopped")
    if not reply:
        raise TrainingError(f"its process was killed by signal {-code}" if code < 0 else f"it ended with code {code}")
    if complaint := json.loads(reply)["complaint"]:
        raise TrainingError(complaint)


@contextmanager
def _passed_on(process: "subprocess.Popen[bytes]") -> Iterator[list[int]]:
    """Within, a signal that comes to the sweep is the job's to deal with (see `training/signals.py`).

    Gives those by which both are to stop.
    """
    told: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # of a launcher, which has signals to itself
        yield told
        return

    def pass_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)
        if number != signal.SIGUSR1:
            told.append(number)

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _work() -> None:
    """The process of a job: answers on its standard output with what went wrong, or null."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until there is something to save
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed
    config, readers = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    from sentence_order.train import train

    complaint = None
    try:
        train(config, readers)
    except (UserError, TrainingError) as error:
        complaint = str(error)
    except KeyboardInterrupt as error:
        print(error or "interrupted", file=sys.stderr, flush=True)
        os._exit(128 + (error.signal if isinstance(error, Interrupted) else signal.SIGINT))
    except BaseException as error:
        traceback.print_exc()
        complaint = f"{type(error).__name__}: {first_line(error)}"
    json.dump({"complaint": complaint}, answer)
    answer.flush()
    os._exit(0)  # at once: nothing is left to do, and the thread below still reads


def _end_with_the_sweep() -> None:
    """A job must not go on beside the sweep that is started after its own was killed, which closes the input."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)  # it finishes its step and saves


if __name__ == "__main__":
    _work()
