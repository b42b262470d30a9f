"""One training run: set-up, training, test, results; and the ways in which it may end early."""

import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sentence_order.config.commands import tensorboard_command
from sentence_order.config.keys import OnResume
from sentence_order.config.parsing import config_from
from sentence_order.config.schema import TrainConfig
from sentence_order.config.validation import check_train
from sentence_order.data.groups import MAX_SHOWN
from sentence_order.data.inspection import inspect_corpora
from sentence_order.data.memory import Documents, use_documents
from sentence_order.errors import Interrupted, TrainingError, UserError, first_line
from sentence_order.evaluation.results import provenance
from sentence_order.model.locations import REQUIRED_FILES
from sentence_order.runtime.console import (
    add_log_file,
    console,
    log,
    log_error_to_file,
    logging_of_program,
    set_up_logging,
)
from sentence_order.runtime.device import anomaly_detection, out_of_memory
from sentence_order.runtime.distributed import SINGLE_PROCESS, Processes, destroy_processes, init_processes
from sentence_order.runtime.files import recover_interrupted_write
from sentence_order.runtime.manifest import find_corruption
from sentence_order.runtime.signals import Signals
from sentence_order.training import run_dir
from sentence_order.training.batch_size import resolve_batch_tokens
from sentence_order.training.callbacks import Callback, check_callbacks
from sentence_order.training.checkpoints import VALIDATION_FILE
from sentence_order.training.checks import check_inputs
from sentence_order.training.loop import TrainingLoop
from sentence_order.training.model_card import ModelCardContext
from sentence_order.training.results import TrainResult, evaluate_best, read_result, record_training, write_results
from sentence_order.training.run_config import (
    CONFIG_FILE,
    find_changes,
    find_overrides,
    format_changes,
    how_to_resume,
    read_config,
    read_overrides,
    write_config,
)
from sentence_order.training.run_dir import RunStatus
from sentence_order.training.setup import Setup, attach_cache, keep_kernels, parameter_table, set_up
from sentence_order.training.state import digest_inputs, read_state
from sentence_order.training.tracker import Tracker, remove_logs

T = TypeVar("T")


@dataclass(frozen=True)
class CommandLine:
    """The command that a run comes from, if it is no program in Python.

    Attributes:
        overrides: those that were typed, which the run keeps.
        num_runs_sharing_cache: the runs of a sweep that read the same frozen prefix of the same texts.
        in_sweep: shows warnings alone; if another process is training in the folder, waits for its end.
    """

    overrides: Sequence[str] = ()
    num_runs_sharing_cache: int = 1
    in_sweep: bool = False


class Trainer:
    """Trains a sentence orderer, keeps the best model by validation, tests it, and writes the folder of the run.

    Documents are lists of sentences in their true order, or dicts with the fields `sentences` and, if you like, `id`
    and `group`, such as those of a `datasets.Dataset`; for other fields there are the keys of the `data` group, such as
    `data.text_column`. Without documents, those are read that the config names.

    Args:
        config: what `load_config` returns.
        train_documents: to train on.
        validation_documents: to choose the best checkpoint by; None: some are split off `train_documents`.
        test_documents: to test the best checkpoint on; None: some are split off `train_documents`.
        callbacks: see `Callback`.
        command: set by the command line alone.

    Example:
        >>> config = load_config("encoder=minilm", "freeze=bottom_half")
        >>> trainer = Trainer(config, train_documents=[["Tom baked a cake.", "He ate it."], ...])
        >>> result = trainer.train()
        >>> result.metrics["tau"]
        0.81
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        train_documents: Documents | None = None,
        validation_documents: Documents | None = None,
        test_documents: Documents | None = None,
        callbacks: Sequence[Callback] = (),
        command: CommandLine | None = None,
    ) -> None:
        if not isinstance(config, TrainConfig):
            raise TypeError(f"config: what load_config(...) returns is due, not {type(config).__name__}")
        config = config_from(config, TrainConfig)
        given = {"train": train_documents, "validation": validation_documents, "test": test_documents}
        data, self.documents = use_documents(config.data, given)
        self.config = replace(config, data=data)
        check_train(self.config)
        self.callbacks = check_callbacks(callbacks)
        self.command = command

    def train(self) -> TrainResult:
        """Trains to the end, or resumes the run of `output_dir` if the config says so, and returns the result.

        Ctrl-C, or the interrupt of a notebook's cell, saves the run and raises Interrupted, a KeyboardInterrupt, which
        says how to resume it. Raises UserError, which names the config key, and TrainingError.
        """
        if self.command is not None:
            set_up_logging(log_file_follows=True, warnings_only=self.command.in_sweep)
            return self._train(Signals())
        with logging_of_program():
            return self._train(Signals(ends_process=False))

    def _train(self, signals: Signals) -> TrainResult:
        """Trains; a system's failure becomes a TrainingError, and every error is logged to the file."""
        config, processes = self.config, SINGLE_PROCESS

        try:
            with signals.caught(), anomaly_detection(config.debug.anomaly):
                processes = init_processes(config.device)
                if not processes.is_main:
                    console.quiet = True  # the main process logs for all
                self.config = config = replace(config, output_dir=processes.broadcast(config.output_dir))
                self._run(processes, signals)
        except Interrupted as error:
            if not processes.is_main and self.command is not None:
                sys.exit(128 + error.signal)  # the main process reports for all
            raise _explain_interruption(error, config) from None
        except (UserError, TrainingError) as error:
            log_error_to_file(str(error))
            raise
        except BrokenPipeError:
            raise
        except OSError as error:
            message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            log_error_to_file(message)
            raise TrainingError(message) from error
        except Exception as error:
            log_error_to_file(traceback.format_exc())
            if out_of_memory(error):
                raise TrainingError(f"out of memory: {first_line(error)}") from error
            raise

        processes.barrier()  # until the main process has written the results
        destroy_processes()  # not after an error, when this would wait for others in vain
        return read_result(Path(config.output_dir))

    def _run(self, processes: Processes, signals: Signals) -> None:
        """Set-up, training, test and results, while no other process can train in the folder."""
        config, command = self.config, self.command or CommandLine(find_overrides(self.config))
        started, date, origin = time.perf_counter(), datetime.now(UTC), provenance()
        folder = Path(config.output_dir)
        _agree_on_config(processes, config)
        check = check_inputs if self.command is None else run_dir.check_run_dir  # a command has checked what it reads
        if processes.broadcast(processes.is_main and check(config)) is RunStatus.FINISHED:
            run_dir.log_finished(config)
            return
        setup = set_up(config, processes, self.documents)

        folder.mkdir(parents=True, exist_ok=True)
        with run_dir.lock_run_dir(folder, command.in_sweep) if processes.is_main else nullcontext():
            # Again, now that no other process can start there.
            status = _agree(processes, run_dir.check_run_dir(config, holds_lock=True), folder)
            if processes.is_main:
                _start_files(folder, config, command.overrides, status)
            if status is RunStatus.FINISHED:
                log.info("%s has been finished by another process", folder)
                return
            digests = _agree_on_inputs(processes, digest_inputs(setup.corpora, setup.model))
            state = _load_training_state(config, processes) if status is RunStatus.INCOMPLETE else None
            if status is RunStatus.INCOMPLETE:
                if config.trainer.batch_tokens == "auto":  # the run keeps what it has found, if it had got so far
                    config = self._set_batch_tokens(read_config(folder).trainer.batch_tokens)
                if processes.is_main:
                    write_config(folder, config, command.overrides)
            _log_setup(folder, config, setup)
            setup = keep_kernels(setup, state and state.get("kernels"), config.precision)
            setup = attach_cache(config, setup, command.num_runs_sharing_cache)
            if config.trainer.batch_tokens == "auto":
                found = resolve_batch_tokens(config, setup.model, setup.corpora["train"], setup.runtime)
                config = self._set_batch_tokens(found)
                if processes.is_main:
                    write_config(folder, config, command.overrides)

            loop = self._make_loop(setup, signals, digests, state, origin["git_revision"])
            del state  # as large as the model, or three times that
            with loop.tracker or nullcontext():
                loop.train()

                processes.barrier()  # until the main process has written the best checkpoint
                training = record_training(loop, setup)
                test = evaluate_best(loop, setup, training)
            if processes.is_main:
                seconds = loop.state.previous_seconds + time.perf_counter() - started
                times = {"started": date.isoformat(timespec="seconds"), "wall_time_s": round(seconds, 2)}
                write_results(loop, setup, test, training, {**times, **origin})
                loop.callbacks.call("on_end", loop.state)

    def _set_batch_tokens(self, batch_tokens: Any) -> TrainConfig:
        """The config, here and from here on, with this number in place of `auto`."""
        trainer = replace(self.config.trainer, batch_tokens=batch_tokens)
        self.config = replace(self.config, trainer=trainer)
        return self.config

    def _make_loop(
        self,
        setup: Setup,
        signals: Signals,
        digests: dict[str, str],
        state: dict[str, Any] | None,
        revision: str | None,
    ) -> TrainingLoop:
        """The loop of a new run, or of one that resumes from a state."""
        config, corpora, folder = self.config, setup.corpora, Path(self.config.output_dir)
        texts = {name: corpus.describe() for name, corpus in corpora.items()} | _describe(setup.overlap)
        arguments = [f"{split}_documents" for split in self.documents] if self.command is None else None
        card = ModelCardContext(config, setup.blocks, texts, read_overrides(folder), arguments, revision)
        inputs = setup.model, corpora["train"], corpora["validation"], config, setup.runtime, folder
        loop = TrainingLoop(*inputs, card=card, signals=signals, digests=digests, callbacks=self.callbacks)
        if state is not None:
            loop.load_state_dict(state)  # refuses other inputs, before what was logged is cut
        if setup.runtime.processes.is_main:
            loop.tracker = Tracker(folder, state["logged_bytes"] if state else None, loop.state.step)
        cached, plan = "on" if corpora["train"].states else "off", loop.plan.describe()
        log.info("%s, prefix cache %s, %s; train.log has the reasons", setup.runtime.describe(), cached, plan)
        return loop


def _explain_interruption(error: Interrupted, config: TrainConfig) -> Interrupted:
    """The same with the command that resumes the run."""
    then = {
        RunStatus.NEW: "nothing was started yet",
        RunStatus.INCOMPLETE: f"to resume: {how_to_resume(config)}",
        RunStatus.FINISHED: "the run is finished",
    }[run_dir.run_status(Path(config.output_dir))]
    log_error_to_file(f"{error}; {then}")
    return Interrupted(error.signal, f"{error}; {then}")


def _start_files(folder: Path, config: TrainConfig, typed: Sequence[str], status: RunStatus) -> None:
    """Writes the first files of a run: its config, which shows that the others are this run's, then its log."""
    if status is RunStatus.NEW:
        write_config(folder, config, typed)
    add_log_file(folder / run_dir.LOG_FILE)
    if from_environment := [text for text in typed if "oc.env" in text]:
        message = "%s: the value is stored in config.yaml and in the model cards, which push_to_hub uploads"
        log.warning(message, ", ".join(from_environment))


def _load_training_state(config: TrainConfig, processes: Processes) -> dict[str, Any] | None:
    """The state that a run resumes from; None if it must start from the beginning. All processes take part."""
    folder = Path(config.output_dir)
    best, last = folder / "checkpoints" / "best", folder / "checkpoints" / "last"
    if changes := find_changes(read_config(folder), config):
        log.info("resuming with other settings: %s", format_changes(changes))
    if processes.is_main:
        for path in (best, last, folder / CONFIG_FILE, folder / run_dir.RESULTS_FILE):
            recover_interrupted_write(path)
    processes.barrier()
    state = read_state(last)
    step = _agree(processes, state and state["trainer"]["step"], folder)
    if state is None:
        log.info("%s has no checkpoint yet; starting from the beginning", folder)
        if processes.is_main:
            remove_logs(folder)
        return None

    problem = find_corruption(best, [*REQUIRED_FILES, VALIDATION_FILE]) if best.exists() else "it is missing"
    if state["trainer"]["best_metrics"] and problem:
        raise UserError(f"{best}: {problem}; the run cannot be tested without it: restore it, or start a run elsewhere")
    log.info("resuming from step %d, saved in %s", step, last)
    return state


def _agree(processes: Processes, found: T, folder: Path) -> T:
    """What every process has found in the folder. Raises UserError if that is not the same."""
    if len(set(processes.gather(found))) > 1:
        raise UserError(f"output_dir: {folder} must be one folder for all machines")
    return found


def _describe(overlap: dict[str, Any]) -> dict[str, str]:
    """A line for the card, if documents are in two splits or in an earlier training."""
    counts = {name: count for name, count in overlap.items() if name != "policy"}
    found = [f"{'unknown' if count is None else count} {name}" for name, count in counts.items() if count != 0]
    return {"overlap": f"{', '.join(found)} (data.overlap={overlap['policy']})"} if found else {}


def _agree_on_config(processes: Processes, config: TrainConfig) -> None:
    """Raises UserError if a process got another value for what determines the numbers, as from its environment."""
    for rank, other in enumerate(processes.gather(config)):
        for key, (theirs, own) in find_changes(other, config, [OnResume.FIXED]).items():
            raise UserError(f"{key}: process {rank} has {theirs}, and process {processes.rank} has {own}")


def _agree_on_inputs(processes: Processes, digests: dict[str, str]) -> dict[str, str]:
    """The digests of what every process reads. Raises UserError if they differ."""
    for rank, others in enumerate(processes.gather(digests)):
        if changed := [key for key in digests if digests[key] != others[key]]:
            raise UserError(f"{changed[0]}: process {rank} reads something else than process {processes.rank} does")
    return digests


def _log_setup(folder: Path, config: TrainConfig, setup: Setup) -> None:
    inspect_corpora(setup.corpora, config.data)
    if (groups := len(set(setup.corpora["validation"].groups))) > MAX_SHOWN:
        log.info("validation: of %d groups, metrics.jsonl and TensorBoard have the %d largest", groups, MAX_SHOWN)
    console.print(parameter_table(setup.blocks))
    log.info("run: %s; watch it with: %s", folder, tensorboard_command(folder))
