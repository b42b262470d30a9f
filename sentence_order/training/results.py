"""The end of a run: the test of its best checkpoint, results.json, and what a program gets of them."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from sentence_order.config.commands import environment, override, shell, tensorboard_command, unambiguous
from sentence_order.config.schema import Source
from sentence_order.errors import UserError, first_line
from sentence_order.evaluation.baselines import evaluate_baselines
from sentence_order.evaluation.inspection import typical_document_table
from sentence_order.evaluation.results import split_results, values_of, write_json
from sentence_order.evaluation.tables import MAX_COLUMNS, baseline_table, breakdown_table, metric_table
from sentence_order.inference.calibration import Calibration
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.model.checkpoint import load_checkpoint
from sentence_order.model.linear import use_kernels
from sentence_order.runtime.console import console, log, progress_bar
from sentence_order.runtime.device import peak_memory
from sentence_order.training.checkpoints import BOOTSTRAP_RESAMPLES, VALIDATION_FILE
from sentence_order.training.loop import TrainingLoop
from sentence_order.training.model_card import write_card
from sentence_order.training.run_dir import RESULTS_FILE
from sentence_order.training.setup import Setup


@dataclass(frozen=True)
class TrainResult:
    """What a finished run has come to.

    Attributes:
        output_dir: the folder of the run.
        metrics: the metrics of the best checkpoint on the test documents, and its loss, by name.
        results: the content of `results.json`: all metrics with their intervals, by split, and the record of the run.
        orderer: the best checkpoint, ready to order text, on the CPU.
    """

    output_dir: Path
    metrics: dict[str, float]
    results: dict[str, Any] = field(repr=False)

    @cached_property
    def orderer(self) -> SentenceOrderer:
        return SentenceOrderer.from_pretrained(self.output_dir)


def read_result(folder: Path) -> TrainResult:
    """The result of a finished run. Raises UserError if its file is damaged."""
    file = folder / RESULTS_FILE
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
        return TrainResult(folder, values_of(results["test"]), results)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{file}: not the results of a run: {first_line(error)}") from error


def evaluate_best(loop: TrainingLoop, setup: Setup, training: dict[str, Any]) -> dict[str, Any]:
    """The results of the best checkpoint on the test documents."""
    config, corpus = loop.config, setup.corpora["test"]
    best = load_checkpoint(str(loop.checkpoints.best), "output_dir").to(setup.runtime.device)
    use_kernels(best, setup.runtime.kernels)
    best.freeze(best.config.frozen_blocks)  # the corpus may hold the output of its frozen prefix
    with progress_bar() as bar:
        evaluation = loop.evaluate(best, corpus, "test", bar)
    assert evaluation is not None
    if loop.tracker is not None:
        loop.tracker.log_hparams(config, training, loop.state.step)
    console.print(typical_document_table(corpus, evaluation, console.width))
    results = split_results(evaluation, corpus, Calibration.of(best.config), BOOTSTRAP_RESAMPLES, config.seed)
    if setup.runtime.processes.is_main:  # which writes the results
        results["baselines"] = evaluate_baselines(setup.corpora["train"], corpus, evaluation.given)
    return results


def record_training(loop: TrainingLoop, setup: Setup) -> dict[str, Any]:
    state, blocks = loop.state, setup.blocks
    return {
        "documents": len(loop.train_corpus),
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


def write_results(
    loop: TrainingLoop, setup: Setup, test: dict[str, Any], training: dict[str, Any], origin: dict[str, Any]
) -> None:
    """Writes `results.json` and the card of the best checkpoint; prints test metrics, and the commands to type next."""
    folder, best = loop.folder, loop.checkpoints.best
    validation = json.loads((best / VALIDATION_FILE).read_text(encoding="utf-8"))
    record = {
        "validation": validation,
        "test": test,
        "seed": loop.config.seed,
        "device": str(setup.runtime.device),
        "processes": setup.runtime.processes.world_size,
        "precision": setup.runtime.describe_precision(),
        "kernels": str(setup.runtime.kernels) if setup.runtime.device.type == "cpu" else None,
        "threads": torch.get_num_threads(),
        "train": training,
        "overlap": setup.overlap,
        **origin,
    }
    assert loop.checkpoints.card is not None
    write_card(best, loop.checkpoints.card, loop.state.best_step, {"validation": validation, "test": test})
    write_json(folder / RESULTS_FILE, record)

    console.print(metric_table("test", test))
    if len(test.get("by_group", ())) > MAX_COLUMNS:
        console.print(breakdown_table({"by_group": test["by_group"]}, console.width))
    console.print(baseline_table(test))
    log.info(
        "trained on %s documents at %.1f per second; best %s at step %d of %d; %s in total",
        *(f"{training['documents_seen']:,}", training["documents_per_second"], loop.metric, training["best_step"]),
        *(training["steps"], timedelta(seconds=round(origin["wall_time_s"]))),
    )
    checkpoint = override("checkpoint", unambiguous(folder))
    documents = ["data=jsonl", "data.test=FILE"] if loop.config.data.source is Source.memory else []
    console.print("\nnext:", style="bold")
    for command in (
        tensorboard_command(folder),
        environment() + shell("evaluate", checkpoint, *documents),
        environment() + shell("predict", checkpoint, "input=FILE"),
        environment() + shell("demo", checkpoint),
    ):
        console.print(f"  {command}", soft_wrap=True, markup=False)
