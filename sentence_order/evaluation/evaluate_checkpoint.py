"""From a checkpoint and a corpus to tables and a results file."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sentence_order.config.components import DECODERS, readers_of
from sentence_order.config.schema import DecoderConfig, DecoderName, EvaluateConfig, Overlap, Source, Split
from sentence_order.config.validation import check_decoder
from sentence_order.data.documents import Document
from sentence_order.data.inspection import inspect_corpora
from sentence_order.data.overlap import EarlierTraining, resolve_overlap
from sentence_order.data.sources import load_splits
from sentence_order.data.tokenization import Corpus, tokenize_corpus
from sentence_order.evaluation.evaluator import Evaluation, evaluate_corpus
from sentence_order.evaluation.inspection import write_predictions
from sentence_order.evaluation.results import as_json, decoder_results, provenance, split_results, write_json
from sentence_order.evaluation.tables import breakdown_table, decoder_table, metric_table
from sentence_order.inference.calibration import Calibration
from sentence_order.inference.scoring import describe_decoding
from sentence_order.model.checkpoint import load_checkpoint
from sentence_order.model.limits import check_fits
from sentence_order.model.linear import place_model
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.prefix_cache.fill import attach_hidden_states
from sentence_order.runtime.console import console, log, progress_bar, set_up_logging
from sentence_order.runtime.device import Runtime, choose_runtime
from sentence_order.runtime.distributed import SINGLE_PROCESS, Processes


def evaluate_checkpoint(config: EvaluateConfig, processes: Processes = SINGLE_PROCESS) -> None:
    """Evaluates a checkpoint on one split, prints tables and writes the results. Raises UserError.

    Several processes share the batches; the main one prints and writes.
    """
    set_up_logging(quiet=not processes.is_main)
    with processes.errors_once():
        model = load_checkpoint(config.checkpoint)
        runtime = choose_runtime(config.device, config.precision, processes)
    runtime = place_model(model, runtime)
    log.info("%s", runtime.describe())
    evaluation, corpus, record = evaluate_model(model, config, runtime, f"checkpoint={config.checkpoint}")
    if not processes.is_main:
        return

    log.info("evaluated: %s", describe_decoding(evaluation.decoding_seconds, evaluation.seconds))

    name = config.split.value
    found = record[name]
    record |= {"checkpoint": config.checkpoint}
    console.print(breakdown_table(found, console.width))
    if "decoders" in record:
        console.print(decoder_table(record["decoders"]))
    console.print(metric_table(name, found))
    if config.predictions is not None:
        write_predictions(Path(config.predictions), evaluation, corpus, Calibration.of(model.config))
    if config.output not in (None, "-"):
        write_json(Path(str(config.output)), record)
    elif config.output == "-" or not sys.stdout.isatty():
        del found["per_document"]  # only written to files
        print(as_json(record))
    else:
        log.info("for the whole results, with those of each document, add output=FILE")


def evaluate_model(
    model: SentenceOrdererModel,
    config: EvaluateConfig,
    runtime: Runtime,
    model_name: str,
    documents: Sequence[Document] | None = None,
) -> tuple[Evaluation, Corpus, dict[str, Any]]:
    """Evaluates a model, which is on the device of the runtime, on one split: on the `documents`, if a program has
    passed them.

    Returns the evaluation, its corpus, and the record of it for a results file. Raises UserError.
    """
    compare_all, name = config.decoder.name == "all", config.split.value
    given = None if documents is None else {name: documents}
    with runtime.processes.main_process_first():
        decoder = _choose_decoder(config, model)
        corpus, overlap = _load_corpus(config, model, runtime, model_name, given)
    with progress_bar() as bar:
        task = bar.add_task("evaluating", total=len(corpus), unit="documents", note="")
        evaluation = evaluate_corpus(
            model,
            corpus,
            decoder,
            runtime,
            seed=config.seed,
            batch_tokens=config.batch_tokens,
            shuffles=config.shuffles,
            compare=readers_of(set(model.config.heads), DECODERS) if compare_all else [],
            advance=partial(bar.advance, task),
        )
    assert evaluation is not None, "nothing stops it"

    resamples = config.bootstrap_resamples, config.seed
    record = {
        name: split_results(evaluation, corpus, Calibration.of(model.config), *resamples),
        "split": name,
        "overlap": overlap,
        "decoder": decoder.name.value if decoder.name else None,
        "beam_width": decoder.beam_width,
        "seed": config.seed,
        "shuffles": config.shuffles,
        "device": str(runtime.device),
        **provenance(),
    }
    if compare_all:
        record["decoders"] = decoder_results(evaluation, *resamples)
    return evaluation, corpus, record


def _choose_decoder(config: EvaluateConfig, model: SentenceOrdererModel) -> DecoderConfig:
    """The decoder that was set, or the one of training, also if all are compared."""
    name = config.decoder.name
    name = model.config.decoder if name is None or name == "all" else name
    check_decoder(name, set(model.config.heads))
    return DecoderConfig(DecoderName(name), config.decoder.beam_width or model.config.beam_width)


def _splits_to_load(config: EvaluateConfig) -> list[str]:
    """The split to evaluate and, if the documents that it shares with later ones are dropped, those that there are."""
    name, data = config.split.value, config.data
    if data.overlap is not Overlap.drop:
        return [name]
    names = [split.value for split in Split]
    later = names[names.index(name) + 1 :]
    return [name, *(own for own in later if getattr(data, own) or data.train or data.source is Source.synthetic)]


def _load_corpus(
    config: EvaluateConfig,
    model: SentenceOrdererModel,
    runtime: Runtime,
    model_name: str,
    documents: Mapping[str, Sequence[Document]] | None,
) -> tuple[Corpus, dict[str, Any]]:
    """The documents to evaluate, with the output of the frozen prefix if that is cached; and the number of them that
    the model was trained on."""
    name = config.split.value
    raw = load_splits(config.data, [*(documents or _splits_to_load(config))], config.cache, documents)
    policy, earlier = config.data.overlap, EarlierTraining(model.training_documents, model_name)
    raw, overlap = resolve_overlap(raw, policy, earlier, evaluated=[name])
    assert model.tokenizer is not None
    model_settings = {key: getattr(model.config, key) for key in ("max_sentence_tokens", "strip_enumeration")}
    data = replace(config.data, **model_settings)
    corpus = tokenize_corpus(raw[name], model.tokenizer, data, name, config.cache)
    inspect_corpora({name: corpus}, data)
    check_fits(model.config, corpus.tokens, corpus.sizes, f"data.{name}")
    if config.shuffles > 1 and not model.config.depends_on_input_order:
        log.info("shuffles: this model does not depend on the input order; its scores are the same for every shuffle")

    model.freeze(model.config.frozen_blocks)  # the cache of training is used
    tokens = int(corpus.tokens.sum())
    corpora = attach_hidden_states(
        model, {name: corpus}, config.cache, runtime, tokens_read=tokens, batch_tokens=config.batch_tokens
    )
    return corpora[name], overlap
