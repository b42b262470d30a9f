"""What a training run starts from: the corpora, the model with what is frozen in it, and the prefix cache."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from sentence_order.config.schema import Precision, Split, TrainConfig
from sentence_order.data.documents import Document
from sentence_order.data.overlap import EarlierTraining, resolve_overlap
from sentence_order.data.sources import load_splits
from sentence_order.data.tokenization import Corpus, tokenize_corpus
from sentence_order.model.build import build_model, copy_weights
from sentence_order.model.checkpoint import load_checkpoint
from sentence_order.model.freezing import BlockReport, check_separable, freeze_phases, report_blocks
from sentence_order.model.limits import check_fits
from sentence_order.model.linear import place_model, use_kernels
from sentence_order.model.locations import TINY, find_local_checkpoint
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.model.tiny import tiny_tokenizer
from sentence_order.model.tokenizer import load_tokenizer
from sentence_order.prefix_cache.fill import attach_hidden_states
from sentence_order.runtime.device import Runtime, choose_runtime
from sentence_order.runtime.distributed import SINGLE_PROCESS, Processes
from sentence_order.runtime.kernels import Kernels, has_bf16, onednn_available
from sentence_order.training.batch_size import max_batch_tokens
from sentence_order.training.run_config import read_config
from sentence_order.training.run_dir import find_run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setup:
    model: SentenceOrdererModel
    corpora: dict[str, Corpus]
    runtime: Runtime
    blocks: list[BlockReport]
    overlap: dict[str, Any]  # documents that two splits share, or that `init_from` was trained on
    seconds_in_cache: float = 0.0


def set_up(
    config: TrainConfig,
    processes: Processes = SINGLE_PROCESS,
    documents: Mapping[str, Sequence[Document]] | None = None,
) -> Setup:
    """Loads and tokenises the corpora, and builds the model with its first frozen blocks.

    `documents` are those that a program has passed, by split.

    Raises UserError naming the config key, or the file and line.
    """
    log.info("loading documents (%s) and encoder (%s)", config.data.source, config.encoder.name)
    with processes.main_process_first():
        runtime = choose_runtime(config.device, config.precision, processes)
        setup = _load(config, runtime, documents)
    return replace(setup, runtime=place_model(setup.model, runtime, auto_bf16=config.precision is Precision.auto))


def _load(config: TrainConfig, runtime: Runtime, documents: Mapping[str, Sequence[Document]] | None) -> Setup:
    start = load_checkpoint(config.init_from, "init_from") if config.init_from else None
    splits = [split.value for split in Split]
    loaded = ["train"] if config.debug.overfit else splits
    raw = load_splits(config.data, loaded, config.cache, documents)
    earlier = EarlierTraining(start.training_documents, f"init_from={config.init_from}") if start else None
    raw, overlap = resolve_overlap(raw, config.data.overlap, earlier, evaluated=loaded[1:] or loaded)
    if start and start.tokenizer:
        tokenizer = start.tokenizer
    elif config.encoder.name == TINY:
        texts = (sentence for document in raw["train"] for sentence in document["sentences"])
        tokenizer = tiny_tokenizer(texts, config.encoder.tiny_vocabulary)
    else:
        tokenizer = load_tokenizer(config.encoder.name)

    # The model first: settings that do not fit the encoder are reported before minutes of tokenising.
    model = build_model(config.encoder, config.model, tokenizer, config.data, config.loss, config.decoder, config.seed)
    if start is not None:
        where = find_local_checkpoint(str(config.init_from), "init_from") or Path(str(config.init_from))
        run = find_run(where)
        encoders = [read_config(run).encoder.name if run else "of another name", config.encoder.name]
        log.info("init_from: weights of %s: %s", where, copy_weights(model, start, str(where), encoders))
    phases = freeze_phases(config.freeze, model.num_layers)
    check_separable(model, phases, config.optim.layer_decay)
    if phases[-1].blocks and 0 not in phases[-1].blocks:
        message = (
            "layers are frozen above embeddings that train: nothing is cached or saved; freeze.depth=%s freezes both"
        )
        log.warning(message, config.freeze.layers if isinstance(config.freeze.layers, int | str) else "N")
    model.freeze(phases[0].blocks, permanent=phases[-1].blocks)
    model.gradient_checkpointing = config.trainer.gradient_checkpointing
    blocks = report_blocks(model, phases)

    corpora = {}
    for name, split in raw.items():
        corpora[name] = corpus = tokenize_corpus(split, tokenizer, config.data, name, config.cache)
        check_fits(model.config, corpus.tokens, corpus.sizes, f"data.{name}")
    model.training_documents = np.unique(corpora["train"].fingerprints)
    if earlier is not None:  # not known if those of one training are not
        known = earlier.fingerprints
        model.training_documents = None if known is None else np.union1d(model.training_documents, known)
    if config.debug.overfit:
        corpora = dict.fromkeys(splits, corpora["train"])
    return Setup(model, corpora, runtime, blocks, overlap)


def keep_kernels(setup: Setup, saved: dict[str, Any] | None, precision: Precision) -> Setup:
    """Computes linear layers by the kernels that a run has begun with, where they are saved, or says why not."""
    runtime = setup.runtime
    if saved is None or runtime.device.type != "cpu" or (kernels := Kernels(**saved)) == runtime.kernels:
        return setup
    reason = None
    is_auto = precision is Precision.auto and "all" not in (kernels.bf16, runtime.kernels.bf16)
    if not is_auto and kernels.bf16 != runtime.kernels.bf16:
        reason = "precision has changed"
    elif kernels != kernels.only(onednn_available(), has_bf16()):
        reason = "this machine does not have them"
    if reason is not None:
        message = "resuming with linear layers by %s, and by %s before: %s; products are rounded differently"
        log.info(message, runtime.kernels, kernels, reason)
        return setup
    log.debug("linear layers: %s (as the run has begun)", kernels)
    use_kernels(setup.model, kernels)
    return replace(setup, runtime=replace(runtime, kernels=kernels))


def attach_cache(config: TrainConfig, setup: Setup, num_runs_sharing_cache: int = 1) -> Setup:
    """Attaches the cached output of the frozen prefix to the corpora, if that pays for that number of runs."""
    started, trainer = time.perf_counter(), config.trainer
    tokens = {name: int(corpus.tokens.sum()) for name, corpus in setup.corpora.items()}
    if trainer.max_steps is None:
        training = trainer.epochs * tokens["train"]
    else:
        batch_tokens = max_batch_tokens(trainer.batch_tokens, setup.runtime)
        training = trainer.max_steps * trainer.accumulate * batch_tokens
    with setup.runtime.processes.main_process_first():
        corpora = attach_hidden_states(
            setup.model,
            setup.corpora,
            config.cache,
            setup.runtime,
            # At least one validation.
            tokens_read=num_runs_sharing_cache * (training + tokens["validation"] + tokens["test"]),
            batch_tokens=trainer.eval_batch_tokens,
        )
    return replace(setup, corpora=corpora, seconds_in_cache=time.perf_counter() - started)


def parameter_table(blocks: list[BlockReport]) -> Table:
    """The number of parameters of every block, and when these are trained."""
    table = Table(title="Trainable parameters", title_justify="left")
    table.add_column("block")
    table.add_column("parameters", justify="right")
    table.add_column("state")
    # Layers of one state that follow each other share a row.
    for (trained_from, _), group in groupby(
        blocks, lambda block: (block.trained_from, block.name.rstrip("0123456789"))
    ):
        first, *others = group
        name = f"{first.name} to {others[-1].name}" if others else first.name
        state = {None: "[cyan]frozen[/cyan]", 0.0: "trained"}.get(trained_from)
        state = state or f"[cyan]unfrozen at epoch {trained_from:g}[/cyan]"
        table.add_row(name, f"{sum(block.parameters for block in (first, *others)):,}", state)
    trained = sum(block.parameters for block in blocks if block.trained_from is not None)
    total = sum(block.parameters for block in blocks)
    table.add_section()
    table.add_row("all", f"{total:,}", f"{trained:,} trained ({trained / total:.0%})")
    return table
