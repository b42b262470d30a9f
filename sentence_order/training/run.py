"""One training run: the corpus, the model, the loop, the test, and everything that a run's folder holds."""

import shlex
import sys
import time
import traceback
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from rich.table import Table

from sentence_order.calibration import fit_calibration
from sentence_order.checkpoints import load_checkpoint
from sentence_order.commands import command_to_go_on, environment, evaluate_overrides, shell, train_overrides
from sentence_order.config import TrainConfig, leaves
from sentence_order.console import (
    be_silent,
    console,
    log,
    log_to,
    metric_table,
    progress_bar,
    set_up_logging,
    to_log_file,
)
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import Interrupted, TrainingError, UserError, first_line
from sentence_order.files import atomic_file, atomic_folder, damage, settle
from sentence_order.model.freezing import BlockReport
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.processes import ALONE, Processes, join, leave
from sentence_order.results import git_revision, provenance, split_results, write_json
from sentence_order.runtime import Runtime, make_deterministic, out_of_memory, peak_memory
from sentence_order.training.card import CardFacts, write_card
from sentence_order.training.evaluation import Evaluation, evaluate_corpus
from sentence_order.training.folder import CONFIG_FILE, RESULTS_FILE, Stage, claim, held, stage_of, tell_changes
from sentence_order.training.loop import Trainer
from sentence_order.training.preparation import Prepared, prepare, use_cache
from sentence_order.training.recorder import Recorder, forget
from sentence_order.training.signals import Signals
from sentence_order.training.state import read_state

# Columns of TensorBoard's table of hyper-parameters; and groups of keys that are one where they are not as by default.
HPARAMS = (
    *("encoder.name", "loss", "decoder.name", "frozen", "optim.lr", "optim.head_lr", "optim.layer_decay"),
    *("trainer.batch_tokens", "trainer.epochs", "seed"),
)
HPARAMS_WHERE_CHANGED = ("data.limit_train", "encoder.joint", "model.", "optim.", "trainer.max_steps", "init_from")


def run(config: TrainConfig, readers: int = 1) -> None:
    """Trains, keeps the best model by validation, tests it, and writes `results.json`; goes on with a run that stopped.

    Args:
        readers: how many runs of a sweep read the same frozen prefix of the same texts.

    Raises:
        UserError: naming the config key, or the file and line.
        TrainingError: the run could not go on.
        Interrupted: a signal told it to stop.
    """
    signals, processes = Signals(), ALONE
    set_up_logging()
    try:
        with signals.caught():
            processes = join(config.device)
            if not processes.first:
                be_silent()
            config = replace(config, output_dir=processes.from_first(config.output_dir))
            _run(config, readers, processes, signals)
    except Interrupted as error:
        if not processes.first:
            sys.exit(128 + error.signal)  # the first one speaks for all
        folder = Path(config.output_dir)
        then = {
            Stage.new: "nothing was begun yet",
            Stage.begun: f"to go on: {command_to_go_on(folder)}",
            Stage.finished: "the run is finished",
        }[stage_of(folder)]
        to_log_file(f"{error}; {then}")
        raise Interrupted(error.signal, f"{error}; {then}") from None
    except (UserError, TrainingError) as error:
        to_log_file(str(error))
        raise
    except BrokenPipeError:
        raise
    except OSError as error:
        complaint = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        to_log_file(complaint)
        raise TrainingError(complaint) from error
    except Exception as error:
        to_log_file(traceback.format_exc())
        if out_of_memory(error):
            raise TrainingError(f"out of memory: {first_line(error)}") from error
        raise
    leave()  # not after a failure, when others may be waited for in vain


def _run(config: TrainConfig, readers: int, processes: Processes, signals: Signals) -> None:
    started, date = time.perf_counter(), datetime.now(UTC)
    folder = Path(config.output_dir)
    if processes.from_first(processes.first and claim(config)) is Stage.finished:
        log.info("run: %s is finished already; its results are in %s", folder, folder / RESULTS_FILE)
        return
    torch.autograd.set_detect_anomaly(config.debug.anomaly)
    if config.debug.anomaly:
        make_deterministic()
    prepared = prepare(config, processes)

    folder.mkdir(parents=True, exist_ok=True)
    with held(folder) if processes.first else nullcontext():
        if processes.first:
            log_to(folder / "train.log")
        stage = claim(config)  # once more, now that no other process can begin there
        state = _take_up(config, processes) if stage is Stage.begun else None
        if len(set(processes.gather((stage.value, state and state["step"])))) > 1:
            raise UserError(f"output_dir: {folder} must be one folder for all machines")
        if stage is Stage.finished:
            return
        if processes.first:
            with atomic_file(folder / CONFIG_FILE) as stream:
                stream.write(OmegaConf.to_yaml(OmegaConf.structured(config)))
        for name, corpus in prepared.corpora.items():
            log.info("%s: %s", name, corpus.describe())
        console.print(_block_table(prepared.blocks))
        log.info("run: %s; watch it with: tensorboard --logdir %s", folder, folder)
        filling = time.perf_counter()
        with processes.one_first():
            prepared = use_cache(config, prepared, readers)
        seconds_filling = time.perf_counter() - filling
        facts = CardFacts(
            config,
            prepared.blocks,
            corpora={name: corpus.describe() for name, corpus in prepared.corpora.items()},
            command=shell("train", *train_overrides(config)),
            revision=git_revision(),
        )
        splits = (prepared.corpora["train"], prepared.corpora["validation"])
        trainer = Trainer(prepared.model, *splits, config, prepared.runtime, folder, facts, state, signals)
        del state  # of the size of the model, or three times that
        trainer.fit()
        training = {
            **_training_record(trainer, prepared.blocks),
            "cached": prepared.corpora["train"].states is not None,
            "seconds_in_cache": round(seconds_filling, 2),
            "peak_memory_gb": round(peak_memory(prepared.runtime.device) / 1e9, 3),
        }
        processes.wait()  # for the first one to have written the best checkpoint
        found = _test(trainer, prepared, facts, training)
        if not processes.first:
            return
        results = {
            **found,
            "seed": config.seed,
            "device": str(prepared.runtime.device),
            "processes": processes.count,
            "started": date.isoformat(timespec="seconds"),
            "wall_time_s": round(trainer.earlier + time.perf_counter() - started, 2),
            "train": training,
            **provenance(),
        }
        write_json(folder / RESULTS_FILE, results)
        _report(config, folder, results)


def _test(trainer: Trainer, prepared: Prepared, facts: CardFacts, training: dict[str, Any]) -> dict[str, Any]:
    """What the best checkpoint comes to on validation and test; it keeps the calibration, and a card with all of it."""
    config, runtime, corpora = trainer.config, prepared.runtime, prepared.corpora
    best_folder = trainer.folder / "checkpoints" / "best"
    best = load_checkpoint(str(best_folder), "output_dir").to(runtime.device)
    best.freeze(best.config.frozen_blocks)  # the corpora may hold the output of its frozen prefix
    found: dict[str, Any] = {}
    with Recorder(trainer.folder) if runtime.processes.first else nullcontext() as recorder:
        for name in ("validation", "test"):
            evaluation = _evaluate(config, best, corpora[name], runtime, name)
            if name == "validation":
                best.config.calibration = fit_calibration(evaluation.log_odds_D, evaluation.whole)
            elif recorder is not None:
                epoch = trainer.documents / len(trainer.train)
                recorder.evaluation(trainer.step, epoch, name, evaluation, corpora[name], best.config.calibration)
            ids = corpora[name].documents["id"]
            found[name] = split_results(evaluation, ids, best.config.calibration, resamples=1000, seed=config.seed)
        if recorder is not None:
            _fill_in_hparams(recorder, config, training, trainer.step)
            with atomic_folder(best_folder, revise=True) as fresh:
                with atomic_file(fresh / "config.json") as stream:
                    stream.write(best.config.to_json_string())
                write_card(fresh, facts, trainer.best_step, found)
    return found


def _take_up(config: TrainConfig, processes: Processes) -> dict[str, Any] | None:
    """The state that a run goes on from; without one it begins anew."""
    folder = Path(config.output_dir)
    best, last = folder / "checkpoints" / "best", folder / "checkpoints" / "last"
    tell_changes(config)
    if processes.first:
        for path in (best, last, folder / CONFIG_FILE, folder / RESULTS_FILE):
            settle(path)
    processes.wait()
    state = read_state(last)
    if state is None:
        log.info("resumed: %s holds a run that had not saved yet; it begins anew", folder)
        if processes.first:
            forget(folder)
        return None
    if state["best"] and (problem := damage(best) if best.exists() else "there is none"):
        raise UserError(f"{best}: {problem}; without it the run cannot be judged: put it back, or begin anew elsewhere")
    log.info("resumed: from step %d, which %s holds", state["step"], last)
    return state


def _fill_in_hparams(recorder: Recorder, config: TrainConfig, training: dict[str, Any], step: int) -> None:
    """The settings that a run is known by, with its final metrics."""
    own, default = leaves(config), leaves(TrainConfig())
    losses = [name for name, weight in asdict(config.loss).items() if weight and name != "margin_width"]
    told = {"loss": "+".join(losses), "frozen": ", ".join(training["frozen"]) or "none", **own}
    changed = [key for key in own if own[key] != default[key] and key.startswith(HPARAMS_WHERE_CHANGED)]
    settings = {key: told[key] for key in (*HPARAMS, *changed)}
    figures = ("seconds_in_steps", "documents_per_second", "parameters_trained", "peak_memory_gb")
    totals = {f"total/{name}": float(training[name]) for name in figures}
    recorder.hparams(settings, ["test/tau", "test/pmr", "test/accuracy"], totals, step)


def _evaluate(config: TrainConfig, model: SentenceOrderer, corpus: Corpus, runtime: Runtime, name: str) -> Evaluation:
    with progress_bar() as bar:
        task = bar.add_task(f"evaluating {name}", total=len(corpus), unit="documents", note="")
        evaluation = evaluate_corpus(
            model,
            corpus,
            config.decoder,
            runtime,
            seed=config.seed,
            batch_tokens=config.trainer.eval_batch_tokens,
            advance=partial(bar.advance, task),
        )
    assert evaluation is not None
    return evaluation


def _block_table(blocks: list[BlockReport]) -> Table:
    table = Table(title="what is trained and what is frozen", title_justify="left")
    table.add_column("block")
    table.add_column("parameters", justify="right")
    table.add_column("state")
    for block in blocks:
        state = {None: "[cyan]frozen[/cyan]", 0.0: "trained"}.get(block.trained_from)
        state = state or f"[cyan]trained from epoch {block.trained_from:g} on[/cyan]"
        table.add_row(block.name, f"{block.parameters:,}", state)
    trained = sum(block.parameters for block in blocks if block.trained_from is not None)
    total = sum(block.parameters for block in blocks)
    table.add_section()
    table.add_row("all", f"{total:,}", f"{trained:,} trained ({trained / total:.0%})")
    return table


def _training_record(trainer: Trainer, blocks: list[BlockReport]) -> dict[str, Any]:
    return {
        "documents": len(trainer.train),
        "steps": trainer.step,
        "best_step": trainer.best_step,
        "documents_seen": trainer.documents,
        "seconds_in_steps": round(trainer.seconds, 2),
        "documents_per_second": round(trainer.documents / trainer.seconds, 2),
        "parameters": sum(block.parameters for block in blocks),
        "parameters_trained": sum(block.parameters for block in blocks if block.trained_from is not None),
        "frozen": [block.name for block in blocks if block.trained_from is None],
    }


def _report(config: TrainConfig, folder: Path, results: dict[str, Any]) -> None:
    """The end of a run: test metrics and what to type next."""
    test, training = results["test"], results["train"]
    console.print(metric_table("test", test))
    log.info(
        "%d documents in %.0f s of training steps (%.1f a second), best at step %d of %d; %.0f s in all",
        *(training["documents_seen"], training["seconds_in_steps"], training["documents_per_second"]),
        *(training["best_step"], training["steps"], results["wall_time_s"]),
    )
    console.print("\nnext:", style="bold")
    for command in (
        f"tensorboard --logdir {shlex.quote(str(folder))}",
        shell("evaluate", f"checkpoint={folder}", *evaluate_overrides(config)),
        shell("predict", f"checkpoint={folder}", "input=FILE"),
    ):
        console.print(f"  {environment()}{command}", soft_wrap=True, markup=False)
