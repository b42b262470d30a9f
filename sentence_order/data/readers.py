"""Reads documents from a user's own files, one at a time."""

import logging
from collections.abc import Iterator, Sequence
from itertools import islice

from sentence_order.data.documents import Document, documents_from_records, find_unused_gold_order, refuse_numbers
from sentence_order.data.formats import find_delimiter
from sentence_order.data.json_records import read_json
from sentence_order.data.layout import Layout
from sentence_order.data.plain_text import read_text
from sentence_order.data.records import OnFault, read_csv, read_parquet, stop_at_fault
from sentence_order.data.streams import failures_as_user_errors, find_path_problem, open_text
from sentence_order.errors import UserError

log = logging.getLogger(__name__)

# Files of an input that are looked at to say how they are read.
NUM_DESCRIBED = 20
RECORD_READERS = {"jsonl": read_json, "csv": read_csv, "parquet": read_parquet}


class NoDocumentsError(UserError):
    """A file without any document."""


def read_files(
    files: Sequence[tuple[str, str]], layout: Layout, on_fault: OnFault = stop_at_fault, only_first: bool = False
) -> Iterator[Document]:
    """Yields the documents, or only the first one, of each file, which comes with its format; see `read_documents`.

    A file without any is left out with a warning, if others have some. With a row per sentence, a UserError is raised
    for a document in two files.
    """
    empty: list[NoDocumentsError] = []
    place_of: dict[str, str] = {}
    for path, file_format in files:
        try:
            for document in islice(read_documents(path, file_format, layout, on_fault), 1 if only_first else None):
                if layout.document_column is not None and (other := place_of.setdefault(document.id, path)) != path:
                    both = f"{document.id!r} has rows in {other} and {path}"
                    raise UserError(f"{layout.prefix}document_column: {both}; put them into one file")
                yield document
        except NoDocumentsError as fault:
            empty.append(fault)
    if empty and len(empty) == len(files):
        raise empty[0]
    for reason in empty if not only_first else []:
        log.warning("left out: %s", reason)


def read_documents(
    path: str, file_format: str, layout: Layout, on_fault: OnFault = stop_at_fault
) -> Iterator[Document]:
    """Yields the documents of one file: jsonl, csv, parquet or text.

    `-` is standard input, and a packed file is unpacked on the way. A record that is not UTF-8 or does not hold a
    document is passed to `on_fault`, and if that returns, left out. Raises UserError if the file is missing, damaged,
    something else, or without documents.
    """
    if path != "-" and (problem := find_path_problem(path)):
        raise UserError(f"{path}: {problem}")
    empty, faulty = True, 0

    def count_fault(fault: UserError) -> None:
        nonlocal faulty
        faulty += 1
        on_fault(fault)

    with failures_as_user_errors(path):
        if file_format == "text":
            documents = read_text(path, layout, count_fault)
        else:
            found = RECORD_READERS[file_format](path, layout, count_fault)
            documents = documents_from_records(found, layout, count_fault)
        for document in refuse_numbers(documents, layout.prefix):
            empty = False
            yield document
    if empty and faulty:
        raise UserError(f"{path}: all {faulty:,} documents are faulty")
    if empty:
        raise NoDocumentsError(f"{path}: the file holds no documents")


def find_unused_gold_order_of_file(path: str, file_format: str, layout: Layout) -> list[str]:
    """Advice as `find_unused_gold_order` gives it. Raises UserError as `read_documents` does."""
    if file_format == "text":
        return []
    with failures_as_user_errors(path):
        return find_unused_gold_order(RECORD_READERS[file_format](path, layout, stop_at_fault, True), layout)


def describe_dialects(files: Sequence[tuple[str, str]], layout: Layout) -> Iterator[str]:
    """What was found out about the first files, and is not the usual, with the keys that set it; each dialect once."""
    known = set()
    for path, file_format in files[:NUM_DESCRIBED]:
        if path == "-" or file_format == "parquet":
            continue
        found = {}
        with failures_as_user_errors(path), open_text(path, layout) as (start, stream):
            delimiter = find_delimiter(start, layout)
            if file_format == "csv" and layout.delimiter is None and delimiter != ",":
                found["delimiter"] = "tab-separated" if delimiter == "\t" else f"'{delimiter}'-separated"
            if layout.encoding is None and stream.encoding != "utf-8":
                found["encoding"] = stream.encoding
        dialect = ", ".join(found.values())
        if found and dialect not in known:
            keys, verb = " and ".join(layout.prefix + key for key in found), "set them" if len(found) > 1 else "sets it"
            yield f"{path} read as {dialect}; {keys} {verb}"
        known.add(dialect)
