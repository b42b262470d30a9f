"""One training run: the corpus, the model, the loop, the test, and everything that a run's folder holds."""

import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, fields, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from omegaconf import OmegaConf
from rich.table import Table
from transformers import PreTrainedTokenizerBase

from sentence_order.calibration import fit_calibration
from sentence_order.checkpoints import load_checkpoint
from sentence_order.config import BEAM_WIDTH, CacheConfig, DataConfig, Split, TrainConfig
from sentence_order.console import console, log, log_to, metric_table, progress_bar, set_up_logging
from sentence_order.data.sources import load_splits
from sentence_order.data.tokenization import Corpus, tokenize_corpus
from sentence_order.errors import UserError
from sentence_order.files import atomic_file, check_writable
from sentence_order.model.build import TINY, build_model, check_fits, take_weights
from sentence_order.model.encoder import load_tokenizer
from sentence_order.model.freezing import BlockReport, frozen_blocks, report_blocks
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.model.tiny import tiny_tokenizer
from sentence_order.prefix.fill import attach_states
from sentence_order.results import provenance, split_results, write_json
from sentence_order.runtime import Runtime, choose_runtime, make_deterministic
from sentence_order.training.evaluation import Evaluation, evaluate_corpus
from sentence_order.training.loop import Trainer
from sentence_order.training.recorder import Recorder


@dataclass(frozen=True)
class Prepared:
    """All that a training run starts from."""

    model: SentenceOrderer
    corpora: dict[str, Corpus]
    runtime: Runtime
    blocks: list[BlockReport]


def prepare(config: TrainConfig) -> Prepared:
    """Loads and tokenises the corpora, and makes the model with what is frozen in it.

    Raises:
        UserError: naming the config key, or the file and line.
    """
    assert config.decoder.name is not None
    runtime = choose_runtime(config.device, config.precision)
    start = load_checkpoint(config.init_from, "init_from") if config.init_from else None
    splits = [split.value for split in Split]
    raw = load_splits(config.data, ["train"] if config.debug.overfit else splits, config.seed)
    tokenizer = start.tokenizer if start and start.tokenizer else _make_tokenizer(config, raw["train"])
    config.decoder.beam_width = config.decoder.beam_width or BEAM_WIDTH
    # The model first: what does not go with the encoder is told before minutes of tokenising.
    model = build_model(
        config.encoder,
        config.model,
        tokenizer,
        config.data.max_sentence_tokens,
        config.loss,
        config.decoder,
        config.seed,
    )
    if start is not None:
        take_weights(model, start, str(config.init_from))
    model.freeze(frozen_blocks(config.freeze.embeddings, config.freeze.layers, len(model.blocks) - 1))
    blocks = report_blocks(model)
    model.to(runtime.device)
    corpora = {name: _tokenize(config, split, tokenizer, name) for name, split in raw.items()}
    for name, corpus in corpora.items():
        check_fits(model, corpus.tokens, f"data.{name}")
    if config.debug.overfit:
        corpora = dict.fromkeys(splits, corpora["train"])
    return Prepared(model, corpora, runtime, blocks)


def use_cache(config: TrainConfig, prepared: Prepared) -> Prepared:
    """Lets the corpora be read from the prefix cache, where that pays; fills it first."""
    tokens = {name: int(corpus.tokens.sum()) for name, corpus in prepared.corpora.items()}
    trainer = config.trainer
    if trainer.max_steps is None:
        training = trainer.epochs * tokens["train"]
    else:
        training = trainer.max_steps * trainer.accumulate * trainer.batch_tokens
    corpora = attach_states(
        prepared.model,
        prepared.corpora,
        config.cache,
        prepared.runtime,
        tokens_read=training + 2 * tokens["validation"] + tokens["test"],  # once or more on the way, once at the end
        batch_tokens=trainer.eval_batch_tokens,
    )
    return replace(prepared, corpora=corpora)


def run(config: TrainConfig) -> None:
    """Trains, keeps the best model by validation, tests it, and writes `results.json`.

    Raises:
        UserError: naming the config key, or the file and line.
        TrainingError: the run could not go on.
    """
    started = time.perf_counter()
    folder = Path(config.output_dir)
    _check_output_dir(folder)
    set_up_logging()
    torch.autograd.set_detect_anomaly(config.debug.anomaly)
    if config.debug.anomaly:
        make_deterministic()
    prepared = prepare(config)

    folder.mkdir(parents=True, exist_ok=True)
    log_to(folder / "train.log")
    with atomic_file(folder / "config.yaml") as stream:
        stream.write(OmegaConf.to_yaml(OmegaConf.structured(config)))
    for name, corpus in prepared.corpora.items():
        log.info("%s: %s", name, corpus.describe())
    console.print(_block_table(prepared.blocks))
    log.info("run: %s; watch it with: tensorboard --logdir %s", folder, folder)
    filling = time.perf_counter()
    prepared = use_cache(config, prepared)
    seconds_filling = time.perf_counter() - filling
    model, corpora, runtime = prepared.model, prepared.corpora, prepared.runtime
    trainer = Trainer(model, corpora["train"], corpora["validation"], config, runtime, folder)
    trainer.fit()

    best_folder = folder / "checkpoints" / "best"
    best = SentenceOrderer.from_pretrained(best_folder).to(runtime.device)
    best.freeze(best.config.frozen_blocks)  # the corpora may hold the output of its frozen prefix
    results: dict[str, Any] = {}
    with closing(Recorder(folder)) as recorder:
        for name in ("validation", "test"):
            evaluation = _evaluate(config, best, corpora[name], runtime, name)
            if name == "validation":
                best.config.calibration = fit_calibration(evaluation.log_odds_D, evaluation.whole)
                with atomic_file(best_folder / "config.json") as stream:
                    stream.write(best.config.to_json_string())
            else:
                epoch = trainer.documents / len(trainer.train)
                recorder.evaluation(trainer.step, epoch, name, evaluation, corpora[name], best.config.calibration)
            ids = corpora[name].documents["id"]
            results[name] = split_results(evaluation, ids, best.config.calibration, resamples=1000, seed=config.seed)
    results |= {
        "seed": config.seed,
        "device": str(runtime.device),
        "wall_time_s": round(time.perf_counter() - started, 2),
        "train": {
            **_training_record(trainer, prepared.blocks),
            "cached": corpora["train"].states is not None,
            "seconds_in_cache": round(seconds_filling, 2),
        },
        **provenance(),
    }
    write_json(folder / "results.json", results)
    _report(config, folder, results)


def _evaluate(config: TrainConfig, model: SentenceOrderer, corpus: Corpus, runtime: Runtime, name: str) -> Evaluation:
    with progress_bar() as bar:
        task = bar.add_task(f"evaluating {name}", total=len(corpus), unit="documents", note="")
        return evaluate_corpus(
            model,
            corpus,
            config.decoder,
            runtime,
            seed=config.seed,
            batch_tokens=config.trainer.eval_batch_tokens,
            advance=partial(bar.advance, task),
        )


def _check_output_dir(folder: Path) -> None:
    """A run never writes over another one."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output_dir: {folder} is a file; name a folder")
    if (folder / "config.yaml").exists():
        raise UserError(f"output_dir: {folder} holds another run; name another folder, or remove this one")
    check_writable("output_dir", folder)


def _make_tokenizer(config: TrainConfig, train: Dataset) -> PreTrainedTokenizerBase:
    """The encoder's own tokenizer; for the tiny encoder, one that is trained on the training documents."""
    if config.encoder.name != TINY:
        return load_tokenizer(config.encoder.name)
    texts = (sentence for document in train for sentence in document["sentences"])
    return tiny_tokenizer(texts, config.encoder.tiny_vocabulary)


def _tokenize(config: TrainConfig, split: Dataset, tokenizer: PreTrainedTokenizerBase, name: str) -> Corpus:
    return tokenize_corpus(split, tokenizer, config.data.max_sentences, config.data.max_sentence_tokens, name)


def _block_table(blocks: list[BlockReport]) -> Table:
    table = Table(title="what is trained and what is frozen", title_justify="left")
    table.add_column("block")
    table.add_column("parameters", justify="right")
    table.add_column("state")
    for block in blocks:
        table.add_row(block.name, f"{block.parameters:,}", "trained" if block.trained else "[cyan]frozen[/cyan]")
    trained = sum(block.parameters for block in blocks if block.trained)
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
        "parameters_trained": sum(block.parameters for block in blocks if block.trained),
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
    run = shlex.quote(str(folder))
    for command in (
        f"tensorboard --logdir {run}",
        f"python -m sentence_order.evaluate checkpoint={run} {_overrides(config)}",
        f"python -m sentence_order.predict checkpoint={run} input=FILE",
    ):
        console.print(f"  {_bin()}{command}", soft_wrap=True, markup=False)


def _overrides(config: TrainConfig) -> str:
    """What `evaluate` must be told to find the same numbers, and the cache: all that is not as by default."""
    data = [item.name for item in fields(DataConfig) if item.name != "source"]
    changed = [
        f"data={config.data.source.value}",
        *_changed("data.", config.data, DataConfig(config.data.source), data),
        *_changed("cache.", config.cache, CacheConfig(), ["dir", "dtype"]),
        *_changed("", config, TrainConfig(), ["precision", "seed"]),
    ]
    return " ".join(changed)


def _changed(prefix: str, config: Any, default: Any, names: list[str]) -> Iterator[str]:
    """The overrides for those of some keys that are not as by default, ready for a shell."""
    for name in names:
        value = getattr(config, name)
        if value != getattr(default, name):
            value = value.value if isinstance(value, Enum) else value
            text = f"[{','.join(value)}]" if isinstance(value, list) else str(value)
            yield shlex.quote(f"{prefix}{name}={text}")


def _bin() -> str:
    """What must stand before a command that is to run in this environment where that has not been activated."""
    if sys.prefix == sys.base_prefix or os.environ.get("VIRTUAL_ENV") == sys.prefix:
        return ""
    return f"{os.path.relpath(Path(sys.prefix) / 'bin')}/"
