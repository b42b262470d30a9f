"""Evaluates a checkpoint: python -m sentence_order.evaluate checkpoint=DIR data=GROUP [output=FILE]."""

from sentence_order import cli
from sentence_order.checks import check_data, check_decoder, check_positive
from sentence_order.config import DecoderName, EvaluateConfig
from sentence_order.errors import UserError
from sentence_order.files import check_output


def evaluate(config: EvaluateConfig) -> None:
    """Orders every document of a split under its fixed shuffle and reports metrics with intervals.

    The table goes to standard error; the JSON goes to `output`, or to standard output.
    """
    check_data(config.data)
    for key in ("batch_tokens", "bootstrap_resamples", "shuffles"):
        check_positive(key, getattr(config, key))
    check_positive("seed", config.seed, zero=True)
    check_positive("cache.max_gb", config.cache.max_gb, most=float("inf"))
    check_positive("decoder.beam_width", config.decoder.beam_width)
    check_output("output", config.output)
    check_output("scores", config.scores)
    from functools import partial
    from pathlib import Path

    from sentence_order.checkpoints import load_checkpoint
    from sentence_order.console import breakdown_table, console, log, metric_table, progress_bar, set_up_logging
    from sentence_order.data.sources import load_splits
    from sentence_order.data.tokenization import tokenize_corpus
    from sentence_order.kept_scores import ScoreKeeper
    from sentence_order.model.build import check_fits
    from sentence_order.prefix.fill import attach_states
    from sentence_order.results import provenance, put_out, split_results
    from sentence_order.runtime import choose_runtime
    from sentence_order.training.evaluation import evaluate_corpus

    set_up_logging()
    model = load_checkpoint(config.checkpoint)
    config.decoder.name = config.decoder.name or DecoderName(model.config.decoder)
    config.decoder.beam_width = config.decoder.beam_width or model.config.beam_width
    check_decoder(config.decoder.name.value, set(model.config.heads))
    if config.scores and model.pointer_head is not None:
        raise UserError("scores: a pointer tells the next sentence only, and has no scores to keep")
    runtime = choose_runtime(config.device, config.precision)
    model.to(runtime.device)
    name = config.split.value
    raw = load_splits(config.data, [name])[name]
    assert model.tokenizer is not None
    corpus = tokenize_corpus(raw, model.tokenizer, config.data.max_sentences, model.config.max_sentence_tokens, name)
    log.info("%s: %s", name, corpus.describe())
    check_fits(model, corpus.tokens, corpus.sizes, f"data.{name}")
    if config.shuffles > 1 and not model.knows_the_shuffle:
        log.info("shuffles: this model does not depend on how its input is shuffled; their scores are the same")
    keeper = ScoreKeeper() if config.scores else None
    model.freeze(model.config.frozen_blocks)  # what training has kept of these texts is read
    corpus = attach_states(
        model,
        {name: corpus},
        config.cache,
        runtime,
        tokens_read=int(corpus.tokens.sum()),
        batch_tokens=config.batch_tokens,
    )[name]
    with progress_bar() as bar:
        task = bar.add_task("evaluating", total=len(corpus), unit="documents", note="")
        evaluation = evaluate_corpus(
            model,
            corpus,
            config.decoder,
            runtime,
            seed=config.seed,
            batch_tokens=config.batch_tokens,
            shuffles=config.shuffles,
            keeper=keeper,
            advance=partial(bar.advance, task),
        )
    assert evaluation is not None
    ids = list(corpus.documents["id"])
    found = split_results(evaluation, ids, model.config.calibration, config.bootstrap_resamples, config.seed)
    console.print(metric_table(name, found))
    console.print(breakdown_table(found))
    about = {
        "checkpoint": config.checkpoint,
        "split": name,
        "decoder": config.decoder.name.value,
        "beam_width": config.decoder.beam_width,
        "seed": config.seed,
        "shuffles": config.shuffles,
    }
    if keeper is not None:
        assert config.scores is not None
        keeper.save(Path(config.scores), ids, about)
    record = {
        name: found,
        **about,
        "device": str(runtime.device),
        **provenance(),
    }
    if config.output is None:
        del found["per_document"]  # for a file
    put_out(record, config.output)


def main() -> None:
    """The console script `sentence-order-evaluate`."""
    cli.run("evaluate", evaluate)


if __name__ == "__main__":
    main()
