"""One training run: the corpus, the model, the loop, the test, and everything that a run's folder holds."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from omegaconf import OmegaConf
from rich.table import Table
from transformers import PreTrainedTokenizerBase

from sentence_order.config import Source, TrainConfig
from sentence_order.console import console, log, metric_table, set_up_logging
from sentence_order.data.sources import load_splits
from sentence_order.data.tokenization import Corpus, tokenize_corpus
from sentence_order.errors import UserError
from sentence_order.files import atomic_file
from sentence_order.model.build import TINY, build_model
from sentence_order.model.encoder import load_tokenizer
from sentence_order.model.freezing import BlockReport, frozen_blocks, report_blocks
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.model.tiny import tiny_tokenizer
from sentence_order.results import provenance, split_results, write_json
from sentence_order.runtime import choose_runtime, make_deterministic
from sentence_order.training.evaluation import evaluate_corpus
from sentence_order.training.loop import Trainer, make_loss


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
    runtime = choose_runtime(config.device, config.precision)
    torch.autograd.set_detect_anomaly(config.debug.anomaly)
    if config.debug.anomaly:
        make_deterministic()

    raw = load_splits(config.data, ["train", "validation", "test"], config.seed)
    tokenizer = _make_tokenizer(config, raw["train"])
    corpora = {name: _tokenize(config, split, tokenizer, name) for name, split in raw.items()}
    if config.debug.overfit:
        corpora = dict.fromkeys(corpora, corpora["train"])
    model = build_model(
        config.encoder, config.model, tokenizer, config.data.max_sentence_tokens, config.decoder.name.value, config.seed
    )
    model.freeze(frozen_blocks(config.freeze.embeddings, config.freeze.layers, len(model.blocks) - 1))
    blocks = report_blocks(model)
    model.to(runtime.device)

    folder.mkdir(parents=True, exist_ok=True)
    set_up_logging(folder / "train.log")
    with atomic_file(folder / "config.yaml") as stream:
        stream.write(OmegaConf.to_yaml(OmegaConf.structured(config)))
    for name, corpus in corpora.items():
        log.info("%s: %s", name, corpus.describe())
    console.print(_block_table(blocks))
    log.info("run: %s; watch it with: tensorboard --logdir %s", folder, folder)
    trainer = Trainer(model, corpora["train"], corpora["validation"], config, runtime, folder)
    trainer.fit()

    best = SentenceOrderer.from_pretrained(folder / "checkpoints" / "best").to(runtime.device)
    results: dict[str, Any] = {}
    for name in ("validation", "test"):
        evaluation = evaluate_corpus(
            best,
            corpora[name],
            config.decoder,
            runtime,
            seed=config.seed,
            batch_tokens=config.trainer.eval_batch_tokens,
            loss=make_loss(config.loss),
        )
        results[name] = split_results(evaluation, resamples=1000, seed=config.seed)
    results |= {
        "seed": config.seed,
        "device": str(runtime.device),
        "wall_time_s": round(time.perf_counter() - started, 2),
        "train": _training_record(trainer, blocks),
        **provenance(),
    }
    write_json(folder / "results.json", results)
    _report(config, folder, results)


def _check_output_dir(folder: Path) -> None:
    """A run never writes over another one."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output_dir: {folder} is a file; name a folder")
    if (folder / "config.yaml").exists():
        raise UserError(f"output_dir: {folder} holds another run; name another folder, or remove this one")


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
    metrics = {name: value for name, value in test.items() if isinstance(value, dict)}
    console.print(metric_table(f"test: {test['documents']:,} documents", metrics))
    log.info(
        "%d documents in %.0f s of training steps (%.1f a second), best at step %d of %d; %.0f s in all",
        *(training["documents_seen"], training["seconds_in_steps"], training["documents_per_second"]),
        *(training["best_step"], training["steps"], results["wall_time_s"]),
    )
    best = folder / "checkpoints" / "best"
    limit = f" data.limit_test={config.data.limit_test}" if config.data.limit_test else ""
    files = "" if config.data.source is Source.synthetic else f" data.test={config.data.test or 'FILE'}"
    console.print("\nnext:", style="bold")
    for command in (
        f"tensorboard --logdir {folder}",
        f"python -m sentence_order.evaluate checkpoint={best} data={config.data.source.value}{files}{limit}",
        f"python -m sentence_order.predict checkpoint={best} input=FILE",
    ):
        console.print(f"  {_bin()}{command}", soft_wrap=True)


def _bin() -> str:
    """What must stand before a command that is to run in this environment where that has not been activated."""
    if sys.prefix == sys.base_prefix or os.environ.get("VIRTUAL_ENV") == sys.prefix:
        return ""
    return f"{os.path.relpath(Path(sys.prefix) / 'bin')}/"
