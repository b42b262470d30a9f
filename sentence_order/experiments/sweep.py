"""A sweep: runs of `train` that differ in a few keys, each in a folder named by these, within one folder.

Hydra makes the jobs, by its basic sweeper or another, and starts them one after the other, or side by side with another
launcher. Each job is the ordinary command in a process of its own: one that fails, or is killed, does not stop the
others, and its measurements are its own. The runs in the folder are the only record of a sweep, so a sweep that was
stopped resumes when its command is repeated.
"""

import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Container
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from sentence_order.config import cli
from sentence_order.config.commands import SWEPT_VARIABLE, key_of, override, parse_override, tensorboard_command
from sentence_order.config.components import METRICS
from sentence_order.config.keys import flatten_config, key_infos
from sentence_order.config.parsing import parse_config
from sentence_order.config.schema import TrainConfig
from sentence_order.errors import TrainingError, UserError, counted, first_line
from sentence_order.experiments.grid import DEPTH, check_grid, swept_keys, values_of
from sentence_order.experiments.job import (
    FAILURES,
    INTERRUPTED,
    RUNS_VARIABLE,
    SEARCH_FILE,
    is_job,
    prepare_worker,
    print_line,
    stop_workers,
    train_in_subprocess,
)
from sentence_order.experiments.names import job_name
from sentence_order.runtime.files import atomic_file
from sentence_order.runtime.signals import Signals
from sentence_order.training import run_config
from sentence_order.training.run_dir import RESULTS_FILE, RunStatus, check_run_dir, is_run, run_status

# What Hydra writes there.
MULTIRUN_FILE = "multirun.yaml"
MULTIRUN_FLAGS = {"-m", "--multirun"}
# With these nothing is run.
INFO_FLAGS = {"--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--info", "-i"}


@dataclass(frozen=True)
class Sweep:
    """A sweep as the command line describes it."""

    folder: Path  # `output_dir`, which holds the folders of the jobs
    swept: dict[str, list[str] | None]  # the keys that the command line sweeps over, with their values, if known
    fixed: frozenset[str]  # the keys that it gives one value, though the sweep's own file may sweep over them
    flags: list[str]  # its other words, such as `--config-dir DIR`, which hold for every job
    started: float = field(default_factory=time.time)  # seconds since the epoch
    process: int = field(default_factory=os.getpid)

    @classmethod
    def parse(cls, arguments: list[str]) -> tuple["Sweep | None", list[str]]:
        """The sweep that a command line asks for, if it does, and the command line for Hydra.

        Jobs that share a frozen prefix are made to follow each other: what the prefix depends on changes slowest.
        """
        overrides = {text: parsed for text in arguments if (parsed := parse_override(text)) is not None}
        name = next((one.value() for one in overrides.values() if one.key_or_group == "sweep"), None)
        is_sweep = MULTIRUN_FLAGS & set(arguments) or name is not None
        if not is_sweep or INFO_FLAGS & set(arguments) or is_job():
            return None, arguments

        overrides = dict(sorted(overrides.items(), key=lambda item: not _determines_prefix(_key(item[1]))))
        swept = {_key(one): values_of(one) for one in overrides.values() if one.is_sweep_override()}
        fixed = {_key(one): text for text, one in overrides.items() if not one.is_sweep_override()}
        others = [text for text in arguments if text not in overrides]
        words = [*others, *overrides]
        if "output_dir" in fixed:
            folder = str(overrides[fixed["output_dir"]].value())
        else:
            # The same for the same sweep, so that it can resume, and different for others.
            label = name or "_".join(swept) or "sweep"
            given = sorted(text for key, text in fixed.items() if key != "sweep")
            mark = hashlib.blake2b("\n".join(given).encode(), digest_size=3).hexdigest()
            folder = f"outputs/{label}-{mark}" if given else f"outputs/{label}"
            words.append(override("output_dir", folder))
        flags = [word for word in others if word not in MULTIRUN_FLAGS]
        return cls(Path(folder), swept, frozenset(fixed), flags), words

    def run(self) -> None:
        """Runs all jobs under Hydra, reports, and exits with 1 if one has failed."""
        with cli.one_line_errors():
            self._check_folder()
            if depths := check_grid(sys.argv[1:], self.swept, self.fixed):
                sys.argv.append(f"{DEPTH}={','.join(depths)}")
                self.swept[DEPTH] = depths
        with Signals(stop_workers).caught():
            cli.run_jobs("train", self.run_job)
        with cli.one_line_errors():
            try:
                if not self.finish():
                    sys.exit(1)
            except KeyboardInterrupt:  # while the report is made
                cli.exit_with_error(INTERRUPTED, 130)

    def run_job(self, composed: DictConfig) -> float:
        """Trains one job, unless that is finished, and logs the progress.

        A job that fails raises nothing, so that the next one follows; one that is told to stop raises Interrupted.

        Returns:
            What a search over hyper-parameters judges the job by: `trainer.metric` on the validation documents; worse
            than any if it failed.
        """
        cli.prepare_streams()  # with some launchers this is another process
        if in_worker := os.getppid() == self.process:
            prepare_worker()
        hydra, metric = HydraConfig.get(), str(composed.trainer.metric)
        direction, asked = ("maximize" if METRICS[metric] > 0 else "minimize"), hydra.sweeper.get("direction")
        if asked is not None and getattr(asked, "name", asked) != direction:  # the program ends here, and no other job
            cli.exit_with_error(f"trainer.metric={metric} needs hydra.sweeper.direction={direction}", 2)
        if composed.trainer.batch_tokens == "auto":
            message = (
                "trainer.batch_tokens: auto may find another number in every job, which could then not be compared"
            )
            cli.exit_with_error(f"{message}; give one number", 2)
        path = (metric, *([] if metric == "loss" else ["value"]))
        keys = swept_keys(hydra.sweeper, self.swept, self.fixed)
        num_values = {key: values and len(values) for key, values in keys.items()}
        counts = [hydra.sweeper.n_trials] if "n_trials" in hydra.sweeper else [*num_values.values()]
        total = None if None in counts else math.prod(filter(None, counts))
        folder = self.folder / job_name(list(hydra.overrides.task), keys)
        failure = self.folder / FAILURES / f"{folder.name}.txt"
        head = f"job {hydra.job.num + 1}{f' of {total}' if total else ''}"

        try:
            config = parse_config(composed, TrainConfig)
            if config.resume not in ("off", "auto"):
                raise UserError("resume: a sweep resumes when the same command is run again; leave this out")
            config = replace(config, output_dir=str(folder), resume="auto")
            if (status := check_run_dir(config)) is RunStatus.FINISHED:
                print_line(f"{head}: {folder.name}: already finished, skipped")
                return _read_result(folder, "validation", *path)

            resumed = ", resumed" if status is RunStatus.INCOMPLETE else ""
            print_line(f"{head}{resumed}{self._time_left(hydra.job.num, total)}: {folder.name}")
            num_runs = math.prod(count or 1 for key, count in num_values.items() if not _determines_prefix(key))
            variables = {RUNS_VARIABLE: str(num_runs), SWEPT_VARIABLE: " ".join(keys)}
            flags = [word for word in self.flags if word not in hydra.overrides.task]
            try:
                train_in_subprocess(folder.name, [*flags, *_job_overrides(hydra, config, keys)], variables, in_worker)
            except TrainingError:
                if run_status(folder) is not RunStatus.FINISHED:
                    raise
                print_line(f"{head}: {folder.name}: finished by another process")
            score, test = (_read_result(folder, split, *path) for split in ("validation", "test"))
            duration = timedelta(seconds=round(_read_result(folder, "wall_time_s")))
            print_line(f"{head}: {folder.name}: {metric} {score:.3f} on validation, {test:.3f} on test; {duration}")
            failure.unlink(missing_ok=True)  # another process may have failed to train it
            return score
        except (UserError, TrainingError) as error:
            print_line(f"{head}: {folder.name} failed: {error}")
            with atomic_file(failure) as stream:
                stream.write(f"{error}\n")
            return -math.inf * METRICS[metric]

    def finish(self) -> bool:
        """Prints what became of the jobs and writes the report; returns whether all have finished."""
        done = self._finished()
        failures = []
        for file in sorted(self.folder.glob(f"{FAILURES}/*.txt")):
            if file.stat().st_mtime >= self.started - 1:
                failures.append(file)
            elif not (self.folder / file.stem).exists():  # of an earlier sweep, whose job never came to be a run
                file.unlink(missing_ok=True)
        failed = f", {len(failures)} failed:" if failures else ""
        print_line(f"{counted(len(done), 'finished job')} in {self.folder}{failed}")
        for file in failures:
            print(f"  {file.stem}: {file.read_text(encoding='utf-8').strip()}", file=sys.stderr)
        if done:
            from sentence_order.experiments.report import write_report

            try:
                sentences = write_report([self.folder], self.folder / "report")
                print("\n".join(["", *sentences, ""]).replace("**", ""), file=sys.stderr)
                print_line(f"report: {self.folder / 'report' / 'report.md'}")
            except UserError as error:  # such as runs that were tested on different documents
                print_line(f"no report: {error}")
            print_line(f"watch them side by side with: {tensorboard_command(self.folder, is_sweep=True)}")
        return not failures

    def _finished(self) -> list[Path]:
        folders = self.folder.glob("*/")
        return [folder for folder in folders if run_status(folder) is RunStatus.FINISHED and is_run(folder)]

    def _check_folder(self) -> None:
        """Raises UserError if the sweep would replace files that no sweep of this program has written."""
        if "LOCAL_RANK" in os.environ:
            raise UserError("torchrun cannot start a sweep, whose jobs are processes of their own; leave it out")
        if is_run(self.folder):
            raise UserError(f"output_dir: {self.folder} holds a run; name another folder for those of the sweep")
        if _is_of_sweep(self.folder / MULTIRUN_FILE):
            return
        # The others do not show who has written them, and not all sweepers of Hydra write the first.
        has_jobs = any(map(is_run, self.folder.glob("*/")))
        for name in (MULTIRUN_FILE, *(() if has_jobs else (SEARCH_FILE, FAILURES))):
            if os.path.lexists(file := self.folder / name):
                raise UserError(
                    f"output_dir: {file} is not of a sweep of this program, and is not replaced; name another folder"
                )

    def _time_left(self, number: int, total: int | None) -> str:
        """By the pace at which jobs have finished since the sweep started, also if some run side by side."""
        finished = self._finished()
        done = sum((folder / RESULTS_FILE).stat().st_mtime >= self.started for folder in finished)
        if total is None or not done:
            return ""
        left = max(1, total - max(number, len(finished))) * (time.time() - self.started) / done
        return f", about {max(1, math.ceil(left / 60))} min left"


def _key(override: Override) -> str:
    return override.get_key_element().lstrip("+~")


def _is_of_sweep(file: Path) -> bool:
    """True for the config of a sweep, as Hydra writes it, which is empty if Hydra was killed then."""
    try:
        text = file.read_text(encoding="utf-8")
        config = yaml.safe_load(text)
    except run_config.UNREADABLE:
        return False
    return not text or (isinstance(config, dict) and config.keys() >= {"hydra", *run_config.KEY_GROUPS})


def _read_result(folder: Path, *keys: str) -> float:
    """A number in the results of a run. Raises UserError if they are damaged."""
    file = folder / RESULTS_FILE
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        for key in keys:
            value = value[key]
        if not math.isfinite(number := float(value)):
            raise ValueError(f"{'.'.join(keys)} is {number}")
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(f"{file} is damaged: {first_line(error)}; remove it, and the job will be resumed") from error
    return number


def _determines_prefix(key: str) -> bool:
    """True if the output of the frozen prefix depends on a key or group."""
    inside = [info for name, info in key_infos(TrainConfig).items() if f"{name}.".startswith(f"{key}.")]
    return key == "experiment" or any(info.determines_prefix for info in inside)


def _job_overrides(hydra: Any, config: TrainConfig, keys: Container[str]) -> list[str]:
    """The command line of a job: the sweep's own overrides, with the values of this job."""
    flat = flatten_config(config)
    overrides = [text for text in hydra.overrides.hydra if text.startswith("hydra.searchpath=")]
    for text in hydra.overrides.task:
        key = key_of(text)
        if key not in ("output_dir", "resume"):
            overrides.append(override(key, flat[key]) if key in keys and key in flat else text)
    return [*overrides, override("output_dir", config.output_dir), "resume=auto", "hydra.mode=RUN"]
