"""What is read and written by `predict`: what was done is kept if something fails later."""

import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from sentence_order.config.schema import InputFormat, OnError, PredictConfig
from sentence_order.config.validation import check_layout, find_refused
from sentence_order.data.files import find_files
from sentence_order.data.formats import find_format, format_by_name, has_separator
from sentence_order.data.layout import Layout
from sentence_order.data.readers import read_files
from sentence_order.data.records import stop_at_fault
from sentence_order.data.streams import failures_as_user_errors, open_text
from sentence_order.errors import UserError, printable
from sentence_order.runtime.files import is_stream, oserrors_with_path

TEXT_SUFFIX, TABLE_SUFFIXES = ".txt", (".csv", ".tsv", ".parquet", ".xlsx", ".xls")

Record = dict[str, Any]


def find_inputs(config: PredictConfig) -> list[str]:
    """The files that `input` names; `-` alone for standard input. Raises UserError if there are none."""
    return ["-"] if config.input == "-" else find_files("input", config.input)


def check_input(config: PredictConfig) -> None:
    """Reads the first document of each file. Raises UserError if that is not possible."""
    on_fault = stop_at_fault if config.on_error is OnError.stop else lambda fault: None
    check_layout(config, None, "")
    if config.input != "-":
        files = [(path, input_format(config, path)) for path in find_inputs(config)]
        list(read_files(files, Layout.of(config), on_fault, only_first=True))
    elif config.format is InputFormat.parquet:
        raise UserError("format=parquet: cannot be read from standard input; give a file")


def input_format(config: PredictConfig, path: str) -> str:
    """`format`, or the one that a file's name or, of others and of standard input, its beginning suggests.

    What looks like text is a table, or JSON, if keys say so. Raises UserError if the keys are for other formats.
    """
    layout, is_text = Layout.of(config), False
    found = config.format.value if config.format is not InputFormat.auto else format_by_name(path)
    if found is None:
        with failures_as_user_errors(path), open_text(path, layout) as (start, _):
            found = find_format(start)  # which leaves standard input as it was for the reader
            is_text = found == "text" and path != "-" and not has_separator(start)
    if found == "text" and config.format is InputFormat.auto:
        found = next((other for other in ("text", "csv", "jsonl") if not find_refused(config, other)), found)
    check_layout(config, found, "")
    if found == "text" and is_text:
        raise UserError(
            f"input: the name of {path} does not show its format; set format=text, format=jsonl, format=csv or "
            "format=parquet"
        )
    return found


def partial_path(output: str | Path) -> Path:
    """Where an output file, or the one that a link leads to, is until it is complete."""
    return Path(f"{os.path.realpath(output)}.partial")


def is_terminal(output: str | None) -> bool:
    """True if what is written to an output is read on a terminal."""
    return output is None and sys.stdout.isatty()


def choose_format(output: str | None) -> Callable[[Record], str]:
    """How a prediction is written: as a line of JSON; as text, in a file of that suffix; or for a terminal."""
    if is_terminal(output):
        return _format_for_terminal
    return _format_as_text if output is not None and Path(output).suffix == TEXT_SUFFIX else _format_as_json


def check_details(config: PredictConfig) -> None:
    """Raises UserError for what is asked for beside the orders, where these are written as text."""
    for name in ("top_k", "pairs", "neighbours"):
        if getattr(config, name) and config.output is not None and Path(config.output).suffix == TEXT_SUFFIX:
            raise UserError(f"{name}: {config.output} gets the sentences alone, as text; name a file in .jsonl")


def check_suffix(key: str, output: str | None, accepts_text: bool = True) -> None:
    """Raises UserError for the name of a table, which predictions are not written as, or of a text if that is not."""
    suffix = "" if output is None else Path(output).suffix
    if suffix in (TABLE_SUFFIXES if accepts_text else (TEXT_SUFFIX, *TABLE_SUFFIXES)):
        text = f", or as text to a name in {TEXT_SUFFIX}" if accepts_text else ""
        raise UserError(f"{key}: orders are written as JSONL{text}, not as {suffix}")


def _format_as_json(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _format_as_text(record: Record) -> str:
    """A sentence per line, in predicted order, and a blank line behind the document."""
    return "".join(f"{' '.join(sentence.split())}\n" for sentence in record["sentences"] if sentence.strip()) + "\n"


def _format_for_terminal(record: Record) -> str:
    abstained = ", as given" if record["order"] is None else ""
    lines = [f"{record['id']} (confidence {record['confidence']:.2f}{abstained})"]
    lines += [f"  {' '.join(sentence.split())}" for sentence in record["sentences"] if sentence.strip()]
    if "probability" in record:
        about = ", approximate" if record["approximate"] else ""
        lines += [f"  the model's own probabilities{about}; sentences count from 0, as in the input"]
    for ranked in record.get("top_k", []):
        lines.append(f"    probability {ranked['probability']:.3g}: {' '.join(map(str, ranked['order']))}")
    for name in ("pairs", "pairs_calibrated", "neighbours"):
        if name in record:
            relation = "directly before" if name == "neighbours" else "before"
            lines.append(f"    {name}: that the sentence of the row comes {relation} that of the column")
            lines.append(" " * 9 + " ".join(f"{j:4}" for j in range(len(record[name]))))
            lines += [f"    {i:4} {_format_row(row)}" for i, row in enumerate(record[name])]
    return "".join(f"{printable(line)}\n" for line in lines) + "\n"


def _format_row(row: list[float | None]) -> str:
    return " ".join("   -" if value is None else f"{value:4.2f}" for value in row)


@contextmanager
def open_output(output: str | None) -> Iterator[IO[str]]:
    """Standard output (None or `-`), or a file that is `OUTPUT.partial` until the block ends without an exception.

    A stream (see `is_stream`) is written to directly. An OSError names the output; a note on any exception says where
    the complete lines are that were written before.
    """
    path = Path("standard output" if output in (None, "-") else str(output))
    if output in (None, "-"):
        with oserrors_with_path(path):
            yield sys.stdout
        return
    if is_stream(path):
        with oserrors_with_path(path), path.open("a", encoding="utf-8") as stream:
            yield stream
        return

    part = partial_path(path)
    with oserrors_with_path(path):
        part.parent.mkdir(parents=True, exist_ok=True)
        alone = _open_alone(part)
    try:
        with oserrors_with_path(path), alone:
            alone.truncate(0)
            yield alone
            alone.flush()
            os.fsync(alone.fileno())
            part.replace(part.with_suffix(""))
    except BaseException as error:
        if _cut_to_lines(part):
            error.add_note(f"what was done before is in {part}")
        raise


def _open_alone(part: Path) -> IO[str]:
    """Opens a file with a lock on it. Raises UserError if another process writes to it, or has just finished it."""
    stream = part.open("a", encoding="utf-8")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = os.path.samestat(part.stat(), os.fstat(stream.fileno()))
    except (BlockingIOError, FileNotFoundError):
        is_ours = False
    except OSError:  # some file systems have no locks
        is_ours = True
    if not is_ours:
        stream.close()
        raise UserError(f"output: another process is writing {part}; name another output")
    return stream


def check_partial(output: str) -> None:
    """Raises UserError if there is a file that `open_output` would write to, and that no prediction has left."""
    part = partial_path(output)
    if not os.path.lexists(part):
        return
    with suppress(OSError, ValueError, AttributeError, RecursionError), part.open(encoding="utf-8") as stream:
        first = stream.readline(2**26)
        if not first or {"id", "order", "sentences", "confidence"} <= json.loads(first).keys():
            return
    raise UserError(f"output: {part} is there, which is written before {output}; move it, or name another output")


def _cut_to_lines(file: Path) -> bool:
    """Cuts off an incomplete last line, and removes a file without any line; returns whether there is one."""
    if not file.is_file():
        return False
    with file.open("r+b") as stream:
        size = sum(len(line) for line in stream if line.endswith(b"\n"))
        stream.truncate(size)
    if not size:
        file.unlink()
    return size > 0
