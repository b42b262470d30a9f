"""Reads documents from plain text."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from sentence_order.config.schema import TextLayout
from sentence_order.data import records
from sentence_order.data.documents import Document
from sentence_order.data.formats import SEPARATOR, check_format, has_separator
from sentence_order.data.layout import Layout
from sentence_order.data.sentences import split_sentences
from sentence_order.data.streams import open_text
from sentence_order.errors import UserError


def read_text(path: str, layout: Layout, on_fault: records.OnFault) -> Iterator[Document]:
    """Documents stand apart by blank lines; within one, a line is a sentence or the lines are running text.

    If `<eos>` stands between sentences, or with `text_layout=documents`, a line is a document.
    """
    with open_text(path, layout) as (start, stream):
        check_format(path, start, "text", layout)
        lines = records.number_lines(path, stream)
        stripped = ((number, line.strip()) for number, line in lines)
        is_marked = has_separator(start) and not layout.any_text
        if is_marked:
            layout = replace(layout, text_layout=TextLayout.lines)
        if is_marked or layout.text_layout == "documents":
            for number, line in stripped:
                parts = SEPARATOR.split(line) if is_marked else [line]
                with records.faults_to(on_fault):
                    if line:
                        yield _document_from_lines(((number, part.strip()) for part in parts), layout, path)
            return
        for is_text, block in groupby(stripped, key=lambda numbered: numbered[1] != ""):
            if is_text:
                with records.faults_to(on_fault):
                    yield _document_from_lines(block, layout, path)


def _document_from_lines(block: Iterator[tuple[int, str]], layout: Layout, path: str) -> Document:
    where, lines, size = "", [], 0
    for number, line in block:
        records.check_utf8(line, f"{path}:{number}", layout.prefix)
        where = where or f"{path}:{number}"
        lines.append(line)
        size += sys.getsizeof(line)
        if size > records.MAX_RECORD_BYTES:
            raise UserError(f"{where}: {len(lines):,} lines without a blank one, which is too much for a document")
    sentences = lines if layout.text_layout == "lines" else split_sentences("\n".join(lines))
    return Document(where, sentences, where=where)
