"""Reads records, JSON objects or rows of a table, from a user's files; a complaint names the file and the line."""

import csv
import glob
import gzip
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from sentence_order.errors import UserError, first_line

# A longer line, cell or text is refused: a small packed file can hold one that fills all memory.
MAX_RECORD_BYTES = 2**26
# The csv module refuses longer fields than 128 KiB by default; a document in one cell may be longer.
csv.field_size_limit(MAX_RECORD_BYTES)


Record = dict[str, Any]
OnFault = Callable[[UserError], None]
# From the names of a table's columns to those that are read.
ChooseColumns = Callable[[list[str]], list[str]]


class FileError(UserError):
    """A fault behind which nothing more of the file can be read."""


def stop_at_fault(fault: UserError) -> NoReturn:
    """Raises the fault."""
    raise fault


@contextmanager
def faults_to(on_fault: OnFault) -> Iterator[None]:
    """Within the block a single record is read; a UserError ends the block and is passed to `on_fault`."""
    try:
        yield
    except FileError:
        raise
    except UserError as fault:
        on_fault(fault)


def find_path_problem(path: str) -> str | None:
    """Why a path cannot be read as a file, or None. A pipe is refused, since one without a writer would block."""
    try:
        mode = os.stat(path).st_mode  # `os.path.isfile` would not tell a missing permission from a missing file
    except PermissionError:
        return "permission denied"
    except (OSError, ValueError):
        return "no such file"
    if not os.access(path, os.R_OK):
        return "permission denied"
    if stat.S_ISDIR(mode):
        return "a folder, not a file"
    return None if stat.S_ISREG(mode) else "a pipe or a device, not a file"


def match_files(pattern: str) -> list[str]:
    """The paths that a glob matches, and the folders that it should look into and has no permission for.

    Raises OSError, ValueError or NotImplementedError if it is not a valid one.
    """
    found = _glob(pattern)
    if "**" in pattern:
        found = [path for path in found if not os.path.isdir(path)]
    whole = Path(pattern)
    for folder, inner in zip(whole.parents, [whole, *whole.parents], strict=False):
        is_listed = glob.has_magic(inner.name) or folder.name == "**"
        access = os.X_OK | os.R_OK if is_listed else os.X_OK
        found += [path for path in _glob(str(folder)) if os.path.isdir(path) and not os.access(path, access)]
    return found


def _glob(pattern: str) -> list[str]:
    if "**" not in pattern:
        return glob.glob(pattern)
    # Not by `glob`, which under `**` follows links to folders, and may be led round in circles for ever.
    anchor, named = Path(pattern).anchor, set(Path(pattern).parts)
    found = Path(anchor).glob(pattern.removeprefix(anchor))
    return [str(path) for path in found if not any(part[0] == "." for part in {*path.parts} - named)]


def read_jsonl(path: str, choose: ChooseColumns, on_fault: OnFault) -> Iterator[tuple[str, Record]]:
    """Yields each line's object with its place ("FILE:LINE")."""
    for number, line in read_lines(path):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        with faults_to(on_fault):
            check_utf8(line, where)
            try:
                record = json.loads(line, object_pairs_hook=_object)
            except (ValueError, RecursionError) as error:  # also a number of thousands of digits
                hint = "; each line must be a JSON object" if line.lstrip().startswith("[") else ""
                raise UserError(f"{where}: not JSON: {error}{hint}") from error
            if not isinstance(record, dict):
                raise UserError(f"{where}: must be a JSON object, not {kind_of(record)}")
            yield where, record


def read_csv(path: str, choose: ChooseColumns, on_fault: OnFault) -> Iterator[tuple[str, Record]]:
    """Yields each row's cells, all of them texts, with its place ("FILE:LINE")."""
    rows = csv.DictReader((line for _, line in read_lines(path)), strict=True)
    try:
        names = list(rows.fieldnames or [])
    except csv.Error as error:
        raise UserError(f"{path}:1: not CSV: {error}") from error
    check_utf8("".join(names), f"{path}:1")
    if twice := _find_twice(names):
        raise UserError(f"{path}:{rows.line_num}: column '{twice}' appears twice")

    while True:
        with faults_to(on_fault):
            first = rows.reader.line_num + 1
            try:
                row: dict[Any, Any] = next(rows)
            except StopIteration:
                return
            except csv.Error as error:  # the next row is looked for in the next line
                last = rows.reader.line_num
                begin = f", in a row that begins in line {first}" if last > first else ""
                raise UserError(f"{path}:{last}: not CSV: {error}{begin}") from error
            where = f"{path}:{rows.line_num}"
            if None in row:
                raise UserError(f"{where}: more cells than the header has columns")
            record = {column: value for column, value in row.items() if value is not None}
            check_utf8("".join(record.values()), where)
            yield where, record


def read_parquet(path: str, choose: ChooseColumns, on_fault: OnFault) -> Iterator[tuple[str, Record]]:
    """Yields each row with its place ("FILE:ROW"); only the chosen columns are read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as table:
            names = table.schema_arrow.names
            if twice := _find_twice(names):
                raise UserError(f"{path}: column '{twice}' appears twice")
            # Few at a time: a small file can hold a long text once, for thousands of rows.
            rows = (record for batch in table.iter_batches(16, columns=choose(names)) for record in batch.to_pylist())
            for row, record in enumerate(rows, start=1):
                yield f"{path}:{row}", record
    except (pa.ArrowException, UnicodeDecodeError) as error:  # damage may show in the text alone
        raise UserError(f"{path}: not a parquet file, or damaged: {first_line(error)}") from error


def read_lines(path: str) -> Iterator[tuple[int, str]]:
    """Numbered lines of a UTF-8 file, line ends kept, without byte order marks, which joined files have within them.

    What is not UTF-8 passes, for a record to be refused by `check_utf8` without an end to the reading.
    """
    with _open(path) as stream:
        number = 0
        while raw := stream.readline(MAX_RECORD_BYTES + 1):
            number += 1
            if len(raw) > MAX_RECORD_BYTES:
                raise FileError(f"{path}:{number}: a line of more than {MAX_RECORD_BYTES >> 20} MiB")
            yield number, raw.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def check_utf8(text: str, where: str) -> None:
    """Raises UserError if the bytes that `read_lines` has read were not UTF-8."""
    if not text.isascii():
        try:
            text.encode("utf-8", "surrogateescape").decode()
        except UnicodeDecodeError as error:
            raise UserError(f"{where}: not UTF-8: {error.reason} at byte {error.start}") from error


def _open(path: str) -> AbstractContextManager[IO[bytes]]:
    if path == "-":
        return nullcontext(sys.stdin.buffer)
    return cast(IO[bytes], gzip.open(path)) if path.endswith(".gz") else open(path, "rb")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a field that appears twice is an error, since either value could be meant."""
    if twice := _find_twice([name for name, _ in pairs]):
        raise ValueError(f"field '{twice}' appears twice")
    return dict(pairs)


def _find_twice(names: list[str]) -> str | None:
    """The first name that stands in the list before, as it is shown in messages."""
    if len(set(names)) == len(names):
        return None
    return names_of([next(name for number, name in enumerate(names) if name in names[:number])])


def names_of(names: list[str]) -> str:
    """Names of fields on one line: files may hold any, and any number of them."""
    shown = [repr(str(name))[1:-1] for name in names[:20]]
    return ", ".join([*shown, *([f"and {len(names) - 20:,} more"] if len(names) > 20 else [])]) or "none"


def kind_of(value: Any) -> str:
    names = {dict: "an object", str: "a string", bool: "true or false", int: "a number", float: "a number"}
    if value is None:
        return "null"
    if isinstance(value, list):
        odd = [item for item in value if not isinstance(item, str)]
        return f"a list that holds {kind_of(odd[0])}" if odd else "a list"
    return names.get(type(value), type(value).__name__)
