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
from sentence_order.inference.details import Details
from sentence_order.inference.files import Record, choose_format, find_inputs, input_format, is_terminal, open_output
from sentence_order.inference.ordering import Prediction, find_document_excess, order_documents
from sentence_order.inference.write_shards import write_shards
from sentence_order.model.checkpoint import find_checkpoint, load_model
from sentence_order.model.linear import place_model
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.console import console, log, progress_bar, set_up_logging
from sentence_order.runtime.device import choose_runtime
from sentence_order.runtime.distributed import SINGLE_PROCESS, Processes

# The most that is read, ordered and written at once, so that memory stays constant for any length of input.
CHUNK_DOCUMENTS, CHUNK_SENTENCES = 4096, 40_000
# Lines of plain text that are probably not the sentences of one document; the length in characters, on average.
MANY_LINES, LONG_LINE = 10, 200


def predict_file(config: PredictConfig, processes: Processes = SINGLE_PROCESS) -> None:
    """Orders the documents of `input`, in chunks, and writes the orders to `output`, or to parts in that folder.

    Several processes share the parts. Raises UserError.
    """
    set_up_logging(quiet=not processes.is_main)
    counts: Counter[str] = Counter()

    def on_fault(fault: UserError, is_own: bool = False) -> None:
        if config.on_error is OnError.stop:
            fault.add_note("on_error=skip leaves such documents out")
            raise fault
        if not is_own and not processes.is_main:  # all processes read all documents
            return
        console.quiet = False
        log.info("left out: %s", fault)
        console.quiet = not processes.is_main
        counts["faulty"] += 1

    with processes.errors_once():
        documents = _open_input(config, on_fault)  # a mistake in the input is reported before loading
        checkpoint = find_checkpoint(config.checkpoint)
        model = load_model(checkpoint)
        runtime = choose_runtime(config.device, config.precision, processes)
    if config.threshold and model.config.calibration is None:
        log.info("threshold: this checkpoint is not calibrated; confidences are the model's own")
    details = Details.of(config)
    details.log_missing(model.config)
    runtime = place_model(model, runtime)
    log.info("%s", runtime.describe())

    bar = progress_bar()
    bar.disable |= is_terminal(config.output)  # it would be drawn among the results
    with bar:
        note = f"process 0 of {processes.world_size}" if processes.world_size > 1 else ""
        task = bar.add_task("ordering", total=None, unit="documents", note=note)
        predict = partial(
            order_documents,
            model,
            runtime=runtime,
            decoder=config.decoder.name and config.decoder.name.value,
            beam_width=config.decoder.beam_width,
            batch_tokens=config.batch_tokens,
            shuffles=config.shuffles,
            details=details,
            advance=partial(bar.advance, task),
        )

        def format_orders(documents: Iterator[Document]) -> Iterator[str]:
            chunks = _chunks(documents, model, partial(on_fault, is_own=True))
            return _format_predictions(chunks, predict, config, counts)

        if config.shard_documents is None:
            with open_output(config.output) as stream:
                _write_predictions(format_orders(documents), config, stream, counts)
        else:
            write_shards(config, documents, checkpoint, format_orders, counts, runtime)
        bar.update(task, total=counts["documents"])
    log.info("%s", _summary(config, counts))


def _open_input(config: PredictConfig, on_fault: OnFault) -> Iterator[Document]:
    """The documents of `input`, of which the first has been read; logs how they are read."""
    inputs = [(path, input_format(config, path)) for path in find_inputs(config)]
    layout = Layout.of(config)
    documents = read_files(inputs, layout, on_fault)
    first = next(documents)
    count, length = len(first.sentences), sum(map(len, first.sentences))
    if inputs[0][1] == "text" and config.text_layout == "lines" and length > LONG_LINE * max(MANY_LINES, count):
        log.info("input: %d long lines are read as one document; text_layout=documents reads one in each", count)
    for line in describe_dialects(inputs, layout):
        log.info("input: %s", line)
    return itertools.chain([first], documents)


def _summary(config: PredictConfig, counts: Counter[str]) -> str:
    """What was done, for the last line."""
    text = f"ordered {counted(counts['orderable'] - counts['abstained'], 'document')}"
    if counts["abstained"]:
        text += f"; abstained from {counts['abstained']} with a confidence below {config.threshold}"
    if single := counts["documents"] - counts["orderable"]:
        text += f"; copied {single} with fewer than two sentences"
    if counts["faulty"]:
        text += f"; left out {counted(counts['faulty'], 'faulty document')}"
    if counts["empty"]:
        text += f"; left out {counted(counts['empty'], 'empty sentence')}"
    if config.shard_documents is not None:
        text += f"; wrote {counted(counts['parts'], 'part')} to {config.output}"
    if counts["parts_there"]:
        text += f", where {counts['parts_there']:,} had been written before"
    return text


def _format_predictions(
    chunks: Iterator[list[Document]],
    predict: Callable[..., list[Prediction]],
    config: PredictConfig,
    counts: Counter[str],
) -> Iterator[str]:
    """The text of each chunk of predictions; counts documents, orderable ones, abstentions and empty sentences."""
    format_record = choose_format(config.output)
    for chunk in chunks:
        predictions, text = predict([document.sentences for document in chunk]), ""
        for document, prediction in zip(chunk, predictions, strict=True):
            confidence = round(prediction.confidence, 6)
            abstain = confidence < config.threshold
            record = {
                "id": document.id,
                "order": None if abstain else prediction.order,
                "sentences": document.sentences if abstain else prediction.sentences,
                "confidence": confidence,
                **_details(prediction, config),
            }
            text += format_record(record)
            kept = len(prediction.order)
            counts.update(documents=1, orderable=int(kept > 1), abstained=int(abstain))
            counts["empty"] += len(document.sentences) - kept
        yield text


def _details(prediction: Prediction, config: PredictConfig) -> Record:
    """The fields beside the order that were asked for, with numbers of six digits."""
    if not (config.top_k or config.pairs or config.neighbours):
        return {}
    record: Record = {"probability": _shorten(prediction.probability), "approximate": prediction.approximate}
    if prediction.top_k is not None:
        record["top_k"] = [{"order": r.order, "probability": _shorten(r.probability)} for r in prediction.top_k]
    for name in ("pairs", "pairs_calibrated", "neighbours"):
        if (matrix := getattr(prediction, name)) is not None:
            record[name] = [[None if value is None else _shorten(value) for value in row] for row in matrix]
    return record


def _shorten(probability: float) -> float:
    return float(f"{probability:.6g}")


def _write_predictions(texts: Iterator[str], config: PredictConfig, stream: IO[str], counts: Counter[str]) -> None:
    """Writes the order of each document. Raises UserError if none has two sentences, before it writes unless they are
    many.
    """
    pending = ""
    for text in texts:
        pending += text
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
