"""What is ordered: the format of an input, and a look at it before anything heavy is imported."""

import io
import sys
from pathlib import Path

from sentence_order.config.schema import InputFormat, OnError, PredictConfig
from sentence_order.data.readers import Layout, read_documents
from sentence_order.data.records import stop_at_fault
from sentence_order.errors import UserError

SUFFIXES = {".jsonl": "jsonl", ".csv": "csv", ".txt": "text"}


def check_input(config: PredictConfig) -> None:
    """Reads the first document of a file. Raises UserError if that is not possible."""
    if config.input != "-":
        on_fault = stop_at_fault if config.on_error is OnError.stop else lambda fault: None
        next(read_documents(config.input, input_format(config), Layout.of(config), on_fault))


def input_format(config: PredictConfig) -> str:
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
