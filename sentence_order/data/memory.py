"""Documents that a program passes in Python: lists of sentences, or records with fields."""

import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import xxhash

from sentence_order.config.schema import DataConfig, Source
from sentence_order.data.documents import (
    Document,
    check_encodable,
    document_from_record,
    documents_from_records,
    find_unused_gold_order,
)
from sentence_order.data.layout import Layout
from sentence_order.data.records import names_of, stop_at_fault
from sentence_order.errors import UserError

log = logging.getLogger(__name__)

GROUP = "group"  # the field of a record with its group, if `data.group_column` names no other
# What may be passed as documents: each a list of sentences, or a record with a field of them.
Documents = Iterable[Sequence[str] | Mapping[str, Any]]


def collect_documents(given: Any, name: str, layout: Layout | None = None) -> list[Document]:
    """The documents of the argument `name`: an iterable, such as a list or a `datasets.Dataset`, or a DataFrame.

    A layout says which fields of records hold what; None if a caller cannot set its keys. Raises TypeError, which says
    what is due, for another type; UserError for a record without the fields of the layout.
    """
    own = layout or Layout()
    due = f"{name}: a list of documents is due, each a list of sentences, or a dict with the field "
    due += f"'{own.text_column or own.sentences_column}'"
    if type(given).__name__ == "DataFrame":
        given = given.to_dict("records")
    if _is_no_list(given):
        raise TypeError(f"{due}; not {_describe(given)}{_hint_at_split(given, name)}")
    items = [_read_record(item) if isinstance(item, Mapping) else item for item in given]
    records = [(f"{name}[{i}]", item) for i, item in enumerate(items) if isinstance(item, dict)]
    for place, record in records[:1]:
        if layout is None and own.sentences_column not in record:
            fields = names_of(list(record))
            raise UserError(
                f"{place}: no field '{own.sentences_column}' (available: {fields}); pass lists of sentences"
            )
    if len(records) == len(items):
        for advice in find_unused_gold_order(records, own):
            log.warning("%s: %s", name, advice)
    if own.document_column is not None and len(records) == len(items):
        return [*documents_from_records(records, own, stop_at_fault)]
    return [_read_document(item, f"{name}[{i}]", own, due) for i, item in enumerate(items)]


def _read_document(given: Any, where: str, layout: Layout, due: str) -> Document:
    if isinstance(given, dict):
        group_column = layout.group_column or (GROUP if GROUP in given else None)
        return document_from_record(given, replace(layout, group_column=group_column), where)
    if _is_no_list(given):
        hint = "; for one document use order(sentences)" if where.startswith("documents") else ""
        raise TypeError(f"{due}; {where} is {_describe(given)}{hint}")
    return Document(where, check_sentences(given, where), where=where)


def _read_record(given: Mapping[str, Any]) -> dict[str, Any]:
    """A record with Python's own values in place of those of numpy, as pandas gives them, and lists for tuples."""
    plain = {str(name): value.tolist() if hasattr(value, "tolist") else value for name, value in given.items()}
    return {name: [*value] if isinstance(value, tuple) else value for name, value in plain.items()}


def _hint_at_split(given: Any, name: str) -> str:
    """For a dictionary of splits, such as a `datasets.DatasetDict`."""
    splits = [key for key in given if isinstance(given[key], Iterable)] if isinstance(given, Mapping) else []
    return f"; pass one of its splits, such as {name}[{splits[0]!r}]" if {"train", "test"} & {*splits} else ""


def check_sentences(given: Any, name: str = "sentences") -> list[str]:
    """The sentences of one document, the argument `name`. Raises TypeError for what is no list of texts."""
    if _is_no_list(given):
        raise TypeError(f"{name}: a list of sentences is due, not {_describe(given)}")
    sentences = [*given]
    for i, sentence in enumerate(sentences):
        if not isinstance(sentence, str):
            what = f"{_describe(sentence)}, not a text"
            hint = "; leave out what is missing" if sentence is None or sentence != sentence else ""
            raise TypeError(f"{name}: a list of sentences is due; {name}[{i}] is {what}{hint}")
        check_encodable(f"{name}[{i}]", sentence)
    return [str(sentence) for sentence in sentences]  # numpy has texts of its own


def _is_no_list(value: Any) -> bool:
    """True for a text, for what has no order, and for a table, whose items are the names of its columns."""
    is_table = type(value).__name__ == "DataFrame"
    return isinstance(value, str | bytes | Mapping | Set) or is_table or not isinstance(value, Iterable)


def _describe(value: Any) -> str:
    names = {str: "a text", dict: "a dict", type(None): "None"}
    return names.get(type(value), f"of type {type(value).__name__}")


def use_documents(
    config: DataConfig, given: Mapping[str, Documents | None]
) -> tuple[DataConfig, dict[str, list[Document]]]:
    """The config of a run that reads the documents of a program, by split, in place of files; and these.

    Without any, the config as it is. Raises TypeError for what are no documents, and UserError if documents are
    missing, or files are named as well.
    """
    arguments = {split: f"{split}_documents" for split in given}
    named = [key for key in ("train", "validation", "test", "hub_id") if getattr(config, key)]
    passed = {split: documents for split, documents in given.items() if documents is not None}
    if not passed:
        if config.source is Source.memory:
            raise UserError(
                "data.source: the documents of this run were passed to Trainer in Python; to resume it, pass the same "
                "ones again: Trainer(load_config('resume=RUN'), train_documents=...).train()"
            )
        return config, {}
    if "train" not in passed:
        raise UserError("train_documents: missing; documents for training are needed beside those for evaluation")
    if named or config.source not in (Source.synthetic, Source.memory):
        what = f"data.{named[0]}" if named else f"data={config.source}"
        raise UserError(f"{what}: cannot be combined with train_documents; leave out the one or the other")
    config = replace(config, source=Source.memory)
    layout = Layout.of(config)
    documents = {split: collect_documents(passed[split], arguments[split], layout) for split in passed}
    for split, found in documents.items():
        if not found:
            raise UserError(f"{arguments[split]}: no documents")
    return config, documents


def digest_documents(documents: Iterable[Document]) -> str:
    """A digest of all that is read of some documents."""
    digest = xxhash.xxh3_128()
    for document in documents:
        for text in (document.id, document.group, *document.sentences):
            encoded = text.encode()
            digest.update(b"%d:%b" % (len(encoded), encoded))
        digest.update(b";")
    return digest.hexdigest()
