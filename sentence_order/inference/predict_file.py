"""From a file of documents to a file of predicted orders."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO

from sentence_order.config.schema import OnError, PredictConfig
from sentence_order.data.documents import Document, nothing_to_order
from sentence_order.data.files import listed
from sentence_order.data.layout import Layout
from sentence_order.data.readers import describe_dialects, read_files
from sentence_order.data.records import OnFault
from sentence_order.errors import UserError, counted
from sentence_order.inference.files import choose_format, find_inputs, input_format, is_terminal, open_output
from sentence_order.inference.ordering import Prediction, find_document_excess, order_documents
from sentence_order.model.checkpoint import load_checkpoint
from sentence_order.model.linear import place_model
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.console import log, progress_bar, set_up_logging
from sentence_order.runtime.device import choose_runtime

# The most that is read, ordered and written at once, so that memory stays constant for any length of input.
CHUNK_DOCUMENTS, CHUNK_SENTENCES = 4096, 40_000
# Lines of plain text that are probably not the sentences of one document; the length in characters, on average.
MANY_LINES, LONG_LINE = 10, 200


def predict_file(config: PredictConfig) -> None:
    """Orders the documents of `input`, in chunks, and writes the orders to `output`. Raises UserError."""
    set_up_logging()
    counts: Counter[str] = Counter()

    def on_fault(fault: UserError) -> None:
        if config.on_error is OnError.stop:
            fault.add_note("on_error=skip leaves such documents out")
            raise fault
        log.info("left out: %s", fault)
        counts["faulty"] += 1

    inputs = [(path, input_format(config, path)) for path in find_inputs(config)]
    layout = Layout.of(config)
    documents = read_files(inputs, layout, on_fault)
    first = next(documents)  # a mistake in the input is reported before loading
    documents = itertools.chain([first], documents)
    count, length = len(first.sentences), sum(map(len, first.sentences))
    if inputs[0][1] == "text" and config.text_layout == "lines" and length > LONG_LINE * max(MANY_LINES, count):
        log.info("input: %d long lines are read as one document; text_layout=documents reads one in each", count)
    for line in describe_dialects(inputs, layout):
        log.info("input: %s", line)
    model = load_checkpoint(config.checkpoint)
    if config.threshold and model.config.calibration is None:
        log.info("threshold: this checkpoint is not calibrated; confidences are the model's own")
    runtime = place_model(model, choose_runtime(config.device, config.precision))
    log.info("%s", runtime.describe())

    bar = progress_bar()
    bar.disable |= is_terminal(config.output)  # it would be drawn among the results
    with open_output(config.output) as stream, bar:
        task = bar.add_task("ordering", total=None, unit="documents", note="")
        predict = partial(
            order_documents,
            model,
            runtime=runtime,
            decoder=config.decoder.name and config.decoder.name.value,
            beam_width=config.decoder.beam_width,
            batch_tokens=config.batch_tokens,
            shuffles=config.shuffles,
            advance=partial(bar.advance, task),
        )
        _write_predictions(_chunks(documents, model, on_fault), predict, config, stream, counts)
        bar.update(task, total=counts["documents"])

    text = f"ordered {counted(counts['orderable'] - counts['abstained'], 'document')}"
    if counts["abstained"]:
        text += f"; abstained from {counts['abstained']} with a confidence below {config.threshold}"
    if single := counts["documents"] - counts["orderable"]:
        text += f"; copied {single} with fewer than two sentences"
    if counts["faulty"]:
        text += f"; left out {counted(counts['faulty'], 'faulty document')}"
    if counts["empty"]:
        text += f"; left out {counted(counts['empty'], 'empty sentence')}"
    log.info("%s", text)


def _write_predictions(
    chunks: Iterator[list[Document]],
    predict: Callable[..., list[Prediction]],
    config: PredictConfig,
    stream: IO[str],
    counts: Counter[str],
) -> None:
    """Writes the order of each document; counts documents, orderable ones, abstentions and empty sentences.

    Raises UserError if none has two sentences; and before it writes, unless they are many.
    """
    format_record, pending = choose_format(config.output), ""
    for chunk in chunks:
        predictions = predict([document.sentences for document in chunk])
        for document, prediction in zip(chunk, predictions, strict=True):
            confidence = round(prediction.confidence, 6)
            abstain = confidence < config.threshold
            record = {
                "id": document.id,
                "order": None if abstain else prediction.order,
                "sentences": document.sentences if abstain else prediction.sentences,
                "confidence": confidence,
            }
            pending += format_record(record)
            kept = len(prediction.order)
            counts.update(documents=1, orderable=int(kept > 1), abstained=int(abstain))
            counts["empty"] += len(document.sentences) - kept
        if counts["orderable"] or counts["documents"] >= CHUNK_DOCUMENTS:
            stream.write(pending)
            stream.flush()
            pending = ""
    if not counts["orderable"]:
        raise UserError(f"{', '.join(listed(config.input))}: {nothing_to_order(counts['documents'])}")


def _chunks(documents: Iterator[Document], model: SentenceOrdererModel, on_fault: OnFault) -> Iterator[list[Document]]:
    """Lists of documents that the model can order; a mistake in the input is raised behind the last list before it."""
    chunk: list[Document] = []
    sentences = 0
    try:
        for document in documents:
            if excess := find_document_excess(model, document.sentences):
                on_fault(UserError(f"{document.where}: {excess}"))
                continue
            chunk.append(document)
            sentences += len(document.sentences)
            if len(chunk) == CHUNK_DOCUMENTS or sentences >= CHUNK_SENTENCES:
                yield chunk
                chunk, sentences = [], 0
    except UserError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk
