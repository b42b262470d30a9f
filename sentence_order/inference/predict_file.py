"""From a file of documents to a file of predicted orders."""

import io
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

from sentence_order.config.schema import InputFormat, OnError, PredictConfig
from sentence_order.config.validation import check_decoder
from sentence_order.data.readers import Document, Layout, nothing_to_order, read_documents
from sentence_order.data.records import OnFault
from sentence_order.errors import UserError
from sentence_order.inference.orderer import Prediction, SentenceOrderer
from sentence_order.inference.output import open_output
from sentence_order.model.checkpoint import load_checkpoint
from sentence_order.runtime.console import log, progress_bar, set_up_logging
from sentence_order.runtime.device import choose_runtime

# The most that is read, ordered and written at once, so that memory stays constant for any length of input.
CHUNK_DOCUMENTS, CHUNK_SENTENCES = 4096, 40_000
SUFFIXES = {".jsonl": "jsonl", ".csv": "csv", ".txt": "text"}


def predict_file(config: PredictConfig) -> None:
    """Orders the documents of `input`, in chunks, and writes one JSON object per line to `output` or standard output.

    An output file appears when it is complete; until then, and after an exception, what was done is in
    `OUTPUT.partial`. Raises UserError naming the config key, or the file and line.
    """
    set_up_logging()
    counts: Counter[str] = Counter()

    def on_fault(fault: UserError) -> None:
        if config.on_error is OnError.stop:
            fault.add_note("on_error=skip leaves such documents out")
            raise fault
        log.info("left out: %s", fault)
        counts["faulty"] += 1

    documents = read_documents(config.input, _input_format(config), Layout.of(config), on_fault)
    documents = itertools.chain([next(documents)], documents)  # a mistake in the input is reported before loading

    orderer = SentenceOrderer(load_checkpoint(config.checkpoint))
    model_config = orderer.model.config
    decoder = config.decoder.name and config.decoder.name.value
    if decoder is not None:
        check_decoder(decoder, set(model_config.heads))
    if config.threshold and model_config.calibration is None:
        log.info("threshold: this checkpoint is not calibrated; confidences are the model's own")
    runtime = choose_runtime(config.device, config.precision)
    log.info("%s", runtime.describe())
    orderer.to(runtime.device)

    documents = _leave_out_too_long(documents, orderer, on_fault)

    with open_output(config.output) as stream, progress_bar() as bar:
        task = bar.add_task("ordering", total=None, unit="documents", note="")
        predict = partial(
            orderer.predict,
            decoder=decoder,
            beam_width=config.decoder.beam_width,
            batch_tokens=config.batch_tokens,
            shuffles=config.shuffles,
            runtime=runtime,
            advance=partial(bar.advance, task),
        )
        _write_predictions(documents, predict, config.threshold, stream, counts)
        bar.update(task, total=counts["documents"])
        if not counts["orderable"]:
            raise UserError(f"{config.input}: {nothing_to_order(counts['documents'])}")

    text = f"ordered {counts['orderable'] - counts['abstained']} documents"
    if counts["abstained"]:
        text += f"; abstained from {counts['abstained']} with a confidence below {config.threshold}"
    if single := counts["documents"] - counts["orderable"]:
        text += f"; copied {single} with fewer than two sentences"
    if counts["faulty"]:
        text += f"; left out {counts['faulty']} faulty documents"
    if counts["empty"]:
        text += f"; left out {counts['empty']} empty sentences"
    log.info("%s", text)


def _write_predictions(
    documents: Iterator[Document],
    predict: Callable[..., list[Prediction]],
    threshold: float,
    stream: IO[str],
    counts: Counter[str],
) -> None:
    """Writes an object per document; counts documents, orderable ones, abstentions and empty sentences."""
    for chunk in _chunks(documents):
        predictions = predict([document.sentences for document in chunk])
        for document, prediction in zip(chunk, predictions, strict=True):
            confidence = round(prediction.confidence, 6)
            abstain = confidence < threshold
            record = {
                "id": document.id,
                "order": None if abstain else prediction.order,
                "sentences": document.sentences if abstain else prediction.sentences,
                "confidence": confidence,
            }
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")

            kept = len(prediction.order)
            counts.update(documents=1, orderable=int(kept > 1), abstained=int(abstain))
            counts["empty"] += len(document.sentences) - kept
        stream.flush()


def _leave_out_too_long(
    documents: Iterator[Document], orderer: SentenceOrderer, on_fault: OnFault
) -> Iterator[Document]:
    """The documents that the model can order; the others are passed to `on_fault`."""
    for document in documents:
        if excess := orderer.find_excess(document.sentences):
            on_fault(UserError(f"{document.where}: {excess}"))
        else:
            yield document


def _input_format(config: PredictConfig) -> str:
    """`format`, or the one that the file's name or the first characters of standard input suggest."""
    if config.format is not InputFormat.auto:
        return config.format.value
    if config.input == "-":
        # Peeking leaves the stream as it was for the reader.
        assert isinstance(sys.stdin.buffer, io.BufferedReader)
        start = sys.stdin.buffer.peek(1024).removeprefix(b"\xef\xbb\xbf").lstrip()
        return "jsonl" if start.startswith(b"{") else "text"
    name = Path(config.input.removesuffix(".gz"))
    if name.suffix not in SUFFIXES:
        raise UserError(
            f"input: the name of {config.input} does not show its format; set format=text, format=jsonl or format=csv"
        )
    return SUFFIXES[name.suffix]


def _chunks(documents: Iterator[Document]) -> Iterator[list[Document]]:
    """Lists of documents; a mistake in the input is raised behind the last list before it."""
    chunk: list[Document] = []
    sentences = 0
    fault: UserError | None = None
    try:
        for document in documents:
            chunk.append(document)
            sentences += len(document.sentences)
            if len(chunk) == CHUNK_DOCUMENTS or sentences >= CHUNK_SENTENCES:
                yield chunk
                chunk, sentences = [], 0
    except UserError as error:
        fault = error
    if chunk:
        yield chunk
    if fault is not None:
        raise fault
