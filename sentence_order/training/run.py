"""One training run: set-up, training, test, results; and the ways in which it may end early."""

import json
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch

from sentence_order.config.commands import (
    environment,
    override,
    resume_command,
    shell,
    tensorboard_command,
    unambiguous,
)
from sentence_order.config.keys import OnResume
from sentence_order.config.schema import TrainConfig
from sentence_order.data.groups import MAX_SHOWN
from sentence_order.data.inspection import inspect_corpora
from sentence_order.errors import Interrupted, TrainingError, UserError, first_line
from sentence_order.evaluation.baselines import evaluate_baselines
from sentence_order.evaluation.inspection import typical_document_table
from sentence_order.evaluation.results import provenance, split_results, write_json
from sentence_order.evaluation.tables import MAX_COLUMNS, baseline_table, breakdown_table, metric_table
from sentence_order.model.checkpoint import load_checkpoint
from sentence_order.model.locations import REQUIRED_FILES
from sentence_order.runtime.console import add_log_file, console, log, log_error_to_file, progress_bar, set_up_logging
from sentence_order.runtime.device import make_deterministic, out_of_memory, peak_memory
from sentence_order.runtime.distributed import SINGLE_PROCESS, Processes, destroy_processes, init_processes
from sentence_order.runtime.files import recover_interrupted_write
from sentence_order.runtime.manifest import find_corruption
from sentence_order.runtime.signals import Signals
from sentence_order.training import run_dir
from sentence_order.training.checkpoints import BOOTSTRAP_RESAMPLES, VALIDATION_FILE
from sentence_order.training.model_card import ModelCardContext, write_card
from sentence_order.training.run_dir import RunStatus
from sentence_order.training.setup import Setup, attach_cache, parameter_table, set_up
from sentence_order.training.state import digest_inputs, read_state
from sentence_order.training.tracker import Tracker, remove_logs
from sentence_order.training.trainer import Trainer

T = TypeVar("T")


def run(
    config: TrainConfig, typed: Sequence[str] = (), num_runs_sharing_cache: int = 1, in_sweep: bool = False
) -> None:
    """Trains, keeps the best model by validation, tests it, and writes `results.json`; or resumes such a run.

    Raises UserError, TrainingError or Interrupted.

    Args:
        typed: the overrides of the command line, which the run keeps.
        num_runs_sharing_cache: the runs of a sweep that read the same frozen prefix of the same texts.
        in_sweep: shows warnings alone; if another process is training in the folder, waits for its end.
    """
    signals, processes = Signals(), SINGLE_PROCESS
    set_up_logging(log_file_follows=True, warnings_only=in_sweep)

    try:
        with signals.caught():
            processes = init_processes(config.device)
            if not processes.is_main:
                console.quiet = True  # the main process logs for all
            config = replace(config, output_dir=processes.broadcast(config.output_dir))
            _run(config, typed, num_runs_sharing_cache, in_sweep, processes, signals)
    except Interrupted as error:
        if not processes.is_main:
            sys.exit(128 + error.signal)  # the main process reports for all
        raise _explain_interruption(error, Path(config.output_dir)) from None
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
    destroy_processes()  # not after an error, when this would wait for others in vain


def _explain_interruption(error: Interrupted, folder: Path) -> Interrupted:
    """The same with the command that resumes the run."""
    then = {
        RunStatus.NEW: "nothing was started yet",
        RunStatus.INCOMPLETE: f"to resume: {resume_command(folder)}",
        RunStatus.FINISHED: "the run is finished",
    }[run_dir.run_status(folder)]
    log_error_to_file(f"{error}; {then}")
    return Interrupted(error.signal, f"{error}; {then}")


def _run(
    config: TrainConfig,
    typed: Sequence[str],
    num_runs_sharing_cache: int,
    in_sweep: bool,
    processes: Processes,
    signals: Signals,
) -> None:
    """Set-up, training, test and results, while no other process can train in the folder."""
    started, date, origin = time.perf_counter(), datetime.now(UTC), provenance()
    folder = Path(config.output_dir)
    _agree_on_config(processes, config)
    if processes.broadcast(processes.is_main and run_dir.check_run_dir(config)) is RunStatus.FINISHED:
        run_dir.log_finished(config)
        return
    torch.autograd.set_detect_anomaly(config.debug.anomaly)
    if config.debug.anomaly:
        make_deterministic()
    setup = set_up(config, processes)

    folder.mkdir(parents=True, exist_ok=True)
    with run_dir.lock_run_dir(folder, in_sweep) if processes.is_main else nullcontext():
        # Again, now that no other process can start there.
        status = _agree(processes, run_dir.check_run_dir(config, holds_lock=True), folder)
        if processes.is_main:
            _start_files(folder, config, typed, status)
        if status is RunStatus.FINISHED:
            log.info("%s has been finished by another process", folder)
            return
        digests = _agree_on_inputs(processes, digest_inputs(setup.corpora, setup.model))
        state = _load_training_state(config, processes) if status is RunStatus.INCOMPLETE else None
        if processes.is_main and status is RunStatus.INCOMPLETE:
            run_dir.write_config(folder, config, typed)
        _log_setup(folder, config, setup)
        setup = attach_cache(config, setup, num_runs_sharing_cache)

        trainer = _make_trainer(config, setup, signals, digests, state, origin["git_revision"])
        del state  # as large as the model, or three times that
        with trainer.tracker or nullcontext():
            trainer.train()

            processes.barrier()  # until the main process has written the best checkpoint
            training = _training_record(trainer, setup)
            test = _test(trainer, setup, training)
        if processes.is_main:
            seconds = trainer.state.previous_seconds + time.perf_counter() - started
            times = {"started": date.isoformat(timespec="seconds"), "wall_time_s": round(seconds, 2)}
            _write_results(trainer, setup, test, training, {**times, **origin})


def _start_files(folder: Path, config: TrainConfig, typed: Sequence[str], status: RunStatus) -> None:
    """Writes the first files of a run: its config, which shows that the others are this run's, then its log."""
    if status is RunStatus.NEW:
        run_dir.write_config(folder, config, typed)
    add_log_file(folder / run_dir.LOG_FILE)
    if from_environment := [text for text in typed if "oc.env" in text]:
        message = "%s: the value is stored in config.yaml and in the model cards, which push_to_hub uploads"
        log.warning(message, ", ".join(from_environment))


def _load_training_state(config: TrainConfig, processes: Processes) -> dict[str, Any] | None:
    """The state that a run resumes from; None if it must start from the beginning. All processes take part."""
    folder = Path(config.output_dir)
    best, last = folder / "checkpoints" / "best", folder / "checkpoints" / "last"
    if changes := run_dir.find_changes(run_dir.read_config(folder), config):
        log.info("resuming with other settings: %s", run_dir.format_changes(changes))
    if processes.is_main:
        for path in (best, last, folder / run_dir.CONFIG_FILE, folder / run_dir.RESULTS_FILE):
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


def _make_trainer(
    config: TrainConfig,
    setup: Setup,
    signals: Signals,
    digests: dict[str, str],
    state: dict[str, Any] | None,
    revision: str | None,
) -> Trainer:
    """The trainer of a new run, or of one that resumes from a state."""
    folder, corpora = Path(config.output_dir), setup.corpora
    texts = {name: corpus.describe() for name, corpus in corpora.items()} | _describe(setup.overlap)
    card = ModelCardContext(config, setup.blocks, texts, run_dir.read_overrides(folder), revision)
    inputs = setup.model, corpora["train"], corpora["validation"], config, setup.runtime, folder
    trainer = Trainer(*inputs, card=card, signals=signals, digests=digests)
    if state is not None:
        trainer.load_state_dict(state)  # refuses other inputs, before what was logged is cut
    if setup.runtime.processes.is_main:
        trainer.tracker = Tracker(folder, state["logged_bytes"] if state else None, trainer.state.step)
    cached, plan = "on" if corpora["train"].states else "off", trainer.plan.describe()
    log.info("%s, prefix cache %s, %s; train.log has the reasons", setup.runtime.describe(), cached, plan)
    return trainer


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
        for key, (theirs, own) in run_dir.find_changes(other, config, [OnResume.FIXED]).items():
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


def _test(trainer: Trainer, setup: Setup, training: dict[str, Any]) -> dict[str, Any]:
    """The results of the best checkpoint on the test documents."""
    config, corpus = trainer.config, setup.corpora["test"]
    best = load_checkpoint(str(trainer.checkpoints.best), "output_dir").to(setup.runtime.device)
    best.freeze(best.config.frozen_blocks)  # the corpus may hold the output of its frozen prefix
    with progress_bar() as bar:
        evaluation = trainer.evaluate(best, corpus, "test", bar)
    assert evaluation is not None
    if trainer.tracker is not None:
        trainer.tracker.log_hparams(config, training, trainer.state.step)
    console.print(typical_document_table(corpus, evaluation, console.width))
    results = split_results(evaluation, corpus, best.config.calibration, BOOTSTRAP_RESAMPLES, config.seed)
    if setup.runtime.processes.is_main:  # which writes the results
        results["baselines"] = evaluate_baselines(setup.corpora["train"], corpus, evaluation.given)
    return results


def _training_record(trainer: Trainer, setup: Setup) -> dict[str, Any]:
    state, blocks = trainer.state, setup.blocks
    return {
        "documents": len(trainer.train_corpus),
        "steps": state.step,
        "best_step": state.best_step,
        "documents_seen": state.num_documents,
        "seconds_in_steps": round(state.seconds, 2),
        "documents_per_second": round(state.num_documents / state.seconds, 2),
        "parameters": sum(block.parameters for block in blocks),
        "parameters_trained": sum(block.parameters for block in blocks if block.trained_from is not None),
        "frozen": [block.name for block in blocks if block.trained_from is None],
        "cached": setup.corpora["train"].states is not None,
        "seconds_in_cache": round(setup.seconds_in_cache, 2),
        "peak_memory_gb": round(peak_memory(setup.runtime.device) / 1e9, 3),
    }


def _write_results(
    trainer: Trainer, setup: Setup, test: dict[str, Any], training: dict[str, Any], origin: dict[str, Any]
) -> None:
    """Writes `results.json` and the card of the best checkpoint; prints test metrics, and the commands to type next."""
    folder, best = trainer.folder, trainer.checkpoints.best
    validation = json.loads((best / VALIDATION_FILE).read_text(encoding="utf-8"))
    record = {
        "validation": validation,
        "test": test,
        "seed": trainer.config.seed,
        "device": str(setup.runtime.device),
        "processes": setup.runtime.processes.world_size,
        "train": training,
        "overlap": setup.overlap,
        **origin,
    }
    assert trainer.checkpoints.card is not None
    write_card(best, trainer.checkpoints.card, trainer.state.best_step, {"validation": validation, "test": test})
    write_json(folder / run_dir.RESULTS_FILE, record)

    console.print(metric_table("test", test))
    if len(test.get("by_group", ())) > MAX_COLUMNS:
        console.print(breakdown_table({"by_group": test["by_group"]}, console.width))
    console.print(baseline_table(test))
    log.info(
        "trained on %s documents at %.1f per second; best %s at step %d of %d; %s in total",
        *(f"{training['documents_seen']:,}", training["documents_per_second"], trainer.metric, training["best_step"]),
        *(training["steps"], timedelta(seconds=round(origin["wall_time_s"]))),
    )
    checkpoint = override("checkpoint", unambiguous(folder))
    console.print("\nnext:", style="bold")
    for command in (
        tensorboard_command(folder),
        environment() + shell("evaluate", checkpoint),
        environment() + shell("predict", checkpoint, "input=FILE"),
    ):
        console.print(f"  {command}", soft_wrap=True, markup=False)
