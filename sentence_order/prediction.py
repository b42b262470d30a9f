"""From a file of documents to a file of predicted orders."""

import io
import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import IO

from sentence_order.checkpoints import load_checkpoint
from sentence_order.checks import check_decoder
from sentence_order.config import InputFormat, PredictConfig
from sentence_order.console import log, progress_bar, set_up_logging
from sentence_order.data.readers import Document, Layout, read_documents
from sentence_order.errors import UserError
from sentence_order.files import atomic_file
from sentence_order.inference import predict
from sentence_order.runtime import choose_runtime

# How much is read, ordered and written together, at most; memory stays flat however long the input is.
CHUNK_DOCUMENTS, CHUNK_SENTENCES = 4096, 40_000
SUFFIXES = {".jsonl": "jsonl", ".csv": "csv", ".txt": "text"}


def predict_file(config: PredictConfig) -> None:
    """Orders the documents of `input`, in chunks, and writes a JSON object a line to `output` or standard output.

    An output file appears when all of it is there.

    Raises:
        UserError: naming the config key, or the file and line.
    """
    set_up_logging()
    file_format = _input_format(config)
    layout = Layout(
        id_column=config.id_column,
        sentences_column=config.sentences_column,
        sentence_columns=list(config.sentence_columns),
        text_column=config.text_column,
        text_layout=config.text_layout.value,
    )
    documents = read_documents(config.input, file_format, layout)
    first = next(documents)  # a mistake in the input is told before the model is loaded
    documents = itertools.chain([first], documents)
    model = load_checkpoint(config.checkpoint)
    runtime = choose_runtime(config.device, config.precision)
    model.to(runtime.device)
    if config.decoder.name:
        check_decoder(config.decoder.name.value, set(model.config.heads))
    if config.threshold and model.config.calibration is None:
        log.info("threshold: this checkpoint was not calibrated; confidences are the model's own")

    done = orderable = empty = abstained = 0
    with _output(config.output) as stream, progress_bar() as bar:
        task = bar.add_task("ordering", total=None, unit="documents", note="")
        for chunk in _chunks(documents):
            predictions = predict(
                model,
                [document.sentences for document in chunk],
                decoder=config.decoder.name and config.decoder.name.value,
                beam_width=config.decoder.beam_width,
                batch_tokens=config.batch_tokens,
                shuffles=config.shuffles,
                runtime=runtime,
                advance=partial(bar.advance, task),
            )
            for document, prediction in zip(chunk, predictions, strict=True):
                confidence = round(prediction.confidence, 6)
                abstain = confidence < config.threshold
                record = {
                    "id": document.id,
                    "order": None if abstain else prediction.order,
                    "sentences": document.sentences if abstain else prediction.sentences,
                    "confidence": confidence,
                }
                abstained += abstain
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")
                orderable += len(prediction.order) > 1
                empty += len(document.sentences) - len(prediction.order)
            done += len(chunk)
        bar.update(task, total=done)
        if not orderable:
            raise UserError(
                f"{config.input}: none of the {done:,} documents has two sentences or more; nothing to order"
            )
    single = done - orderable
    log.info(
        "ordered %d documents%s%s%s",
        orderable - abstained,
        f"; abstained from {abstained} with a confidence below {config.threshold}" if abstained else "",
        f"; {single} of one sentence or none passed through" if single else "",
        f"; {empty} empty sentences left out" if empty else "",
    )


def _input_format(config: PredictConfig) -> str:
    """`format`, or what the file's name or the first characters of standard input tell."""
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
            f"input: cannot tell the format of {config.input} by its name; set format=text, format=jsonl or format=csv"
        )
    return SUFFIXES[name.suffix]


def _output(path: str | None) -> AbstractContextManager[IO[str]]:
    return nullcontext(sys.stdout) if path is None else atomic_file(Path(path))


def _chunks(documents: Iterator[Document]) -> Iterator[list[Document]]:
    chunk: list[Document] = []
    sentences = 0
    for document in documents:
        chunk.append(document)
        sentences += len(document.sentences)
        if len(chunk) == CHUNK_DOCUMENTS or sentences >= CHUNK_SENTENCES:
            yield chunk
            chunk, sentences = [], 0
    if chunk:
        yield chunk
