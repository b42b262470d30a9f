"""Reads records, rows of a table or lines, from a user's files; a complaint names the file and the line."""

import csv
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, NoReturn

from sentence_order.data.formats import NUM_LINES_SEARCHED, PREAMBLE, check_format, find_delimiter
from sentence_order.data.layout import Layout
from sentence_order.data.streams import START_BYTES, FileError, identify, open_text
from sentence_order.errors import UserError, first_line

# A longer line, cell or text is refused: a small packed file can hold one that fills all memory.
MAX_RECORD_BYTES = 2**26
# The csv module refuses longer fields than 128 KiB by default; a document in one cell may be longer.
csv.field_size_limit(MAX_RECORD_BYTES)
# A quote within a cell as MySQL writes it, and not JSON in a cell, whose quotes are doubled.
ESCAPED_QUOTE = re.compile(r"\\\"(?![\"\r\n,;\t|]|$)")

Record = dict[str, Any]
OnFault = Callable[[UserError], None]


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


def read_csv(path: str, layout: Layout, on_fault: OnFault, all_columns: bool = False) -> Iterator[tuple[str, Record]]:
    """Yields each row's cells, all of them texts, with its place ("FILE:LINE"); cells that a row lacks are empty."""
    with open_text(path, layout) as (start, stream):
        check_format(path, start, "csv", layout)
        preamble = PREAMBLE.match(start)[0]  # type: ignore[index]
        skipped = preamble.count("\n") or preamble.count("\r")
        lines = (line for number, line in number_lines(path, stream) if number > skipped)
        delimiter, escape = find_delimiter(start, layout), "\\" if ESCAPED_QUOTE.search(start) else None
        start = start[len(preamble) :]
        rows = csv.DictReader(
            lines,
            restval="",
            delimiter=delimiter,
            escapechar=escape,
            quoting=csv.QUOTE_NONE if delimiter == "\t" and _is_unquoted(start, escape) else csv.QUOTE_MINIMAL,
            strict=True,
        )
        try:
            names = rows.fieldnames = [name.strip() for name in rows.fieldnames or []]
        except csv.Error as error:
            raise UserError(f"{path}:{skipped + 1}: not CSV: {error}") from error
        check_utf8("".join(names), f"{path}:{skipped + 1}", layout.prefix)
        if twice := find_twice(names):
            raise UserError(f"{path}:{rows.line_num + skipped}: column '{twice}' appears twice")
        while True:
            with faults_to(on_fault):
                row = _next_row(rows, path, skipped)
                if row is None:
                    return
                where = f"{path}:{rows.line_num + skipped}"
                if any(row.pop(None, ())):
                    hint = f"quote cells that contain {delimiter!r}, or name another {layout.prefix}delimiter"
                    raise UserError(f"{where}: more cells than the header has columns; {hint}")
                check_utf8("".join(row.values()), where, layout.prefix)
                yield where, row


def _next_row(rows: "csv.DictReader[str]", path: str, skipped: int) -> dict[Any, Any] | None:
    first = rows.reader.line_num + skipped + 1
    try:
        return next(rows, None)
    except csv.Error as error:  # the next row is looked for in the next line
        last = rows.reader.line_num + skipped
        begin = f", in a row that begins in line {first}" if last > first else ""
        raise UserError(f"{path}:{last}: not CSV: {error}{begin}; a quote within a cell is written twice") from error


def _is_unquoted(start: str, escape: str | None) -> bool:
    """True if a tab-separated file has quotes that enclose no cell, and without regard to them all rows are as long."""
    lines = start.splitlines(keepends=True)[:NUM_LINES_SEARCHED]
    try:
        list(csv.reader(lines, delimiter="\t", escapechar=escape, strict=True))
    except csv.Error as error:
        return "expected after" in str(error) and len({line.count("\t") for line in lines[:-1]}) == 1
    return False


def read_parquet(
    path: str, layout: Layout, on_fault: OnFault, all_columns: bool = False
) -> Iterator[tuple[str, Record]]:
    """Yields each row with its place ("FILE:ROW"); only the columns of the layout are read, or all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as table:
            names = table.schema_arrow.names
            if twice := find_twice(names):
                raise UserError(f"{path}: column '{twice}' appears twice")
            columns = names if all_columns else layout.choose_columns(names)
            # Few at a time: a small file can hold a long text once, for thousands of rows.
            rows = (record for batch in table.iter_batches(16, columns=columns) for record in batch.to_pylist())
            for row, record in enumerate(rows, start=1):
                yield f"{path}:{row}", record
    except (pa.ArrowException, UnicodeDecodeError) as error:  # damage may show in the text alone
        with open(path, "rb") as stream:
            start = stream.read(START_BYTES)
        check_format(path, start.decode(errors="replace"), "parquet", layout)
        kind = None if start.startswith(b"PAR1") else identify(start, layout)
        raise UserError(f"{path}: not a Parquet file, or damaged: {kind or first_line(error)}") from error


def number_lines(path: str, stream: IO[str]) -> Iterator[tuple[int, str]]:
    """Numbered lines, line ends kept, without byte order marks, which joined files have within them.

    What is not UTF-8 passes, for a record to be refused by `check_utf8` without an end to the reading.
    """
    for number in itertools.count(1):
        line = stream.readline(MAX_RECORD_BYTES + 1)
        if len(line) > MAX_RECORD_BYTES:
            raise FileError(f"{path}:{number}: a line of more than {MAX_RECORD_BYTES >> 20} MiB")
        if not line:
            return
        yield number, line.removeprefix("\ufeff")


def check_utf8(text: str, where: str, prefix: str) -> None:
    """Raises UserError if the bytes that were read were not UTF-8."""
    if not text.isascii():
        try:
            text.encode("utf-8", "surrogateescape").decode()
        except UnicodeDecodeError as error:
            hint = f"{prefix}encoding=cp1252 or another name reads other encodings"
            raise UserError(f"{where}: not UTF-8: {error.reason} at byte {error.start}; {hint}") from error


def find_twice(names: list[str]) -> str | None:
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
