"""Where a file keeps a document's id and sentences: the keys that say it, and those to propose for a record."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from sentence_order.config.commands import as_typed
from sentence_order.config.schema import DataConfig, GoldOrderConfig, InputFormat, LayoutConfig, PredictConfig
from sentence_order.data.gold_order import read_numbers
from sentence_order.data.lists import parse_list
from sentence_order.data.sentences import split_sentences

# Names of columns that say which document a sentence belongs to, and where it stands in it.
DOCUMENT_NAME = re.compile(r"(?:story|doc|document|article|paper|recipe|text|para(?:graph)?)[_ ]?id|document", re.I)
POSITION_NAME = re.compile(
    r".*(?:order|position|pos|index|idx|number|step|rank)|(?:sent(?:ence)?|line|step)_?(?:id|no|num|nr)", re.I
)
SENTENCE_END = re.compile(r"[.!?…。\uff01\uff1f]\W*$")
MAX_RATIO = 5  # of the longest column to the one in the middle, if each holds a sentence
MAX_DEPTH = 5  # of objects within objects, in which sentences are looked for


@dataclass
class Layout(GoldOrderConfig, LayoutConfig):
    """Where a file keeps a document's id and sentences, as the keys of the `data` config group say.

    The prefix is that of their keys, for messages: `predict` has them without a group.
    """

    prefix: str = "data."
    any_text: bool = False

    @classmethod
    def of(cls, config: DataConfig | PredictConfig) -> "Layout":
        found = {item.name: getattr(config, item.name) for item in fields(cls) if hasattr(config, item.name)}
        if isinstance(config, DataConfig):
            return cls(**found)
        return cls(**found, prefix="", any_text=config.format is InputFormat.text)

    @property
    def as_any_text(self) -> str:
        """How one insists on text, for messages."""
        return f"{'data=text data.any_text=true' if self.prefix else 'format=text'} reads it as text"

    @property
    def columns(self) -> list[str]:
        """The columns of a table that are read."""
        text_columns = [] if self.text_column is None else [self.text_column]
        gold = self.gold_order_columns or ([] if self.gold_order_column is None else [self.gold_order_column])
        sentences = text_columns or self.sentence_columns or [self.sentences_column]
        others = (self.document_column, self.position_column, self.group_column)
        return [self.id_column, *sentences, *gold, *(name for name in others if name is not None)]

    def choose_columns(self, names: list[str]) -> list[str]:
        """Those of a table's columns that are read; all if one is missing, which the complaint then lists."""
        if self.has_columns(names):
            return [name for name in names if name in self.columns]
        return names

    def has_columns(self, names: list[str]) -> bool:
        """True if a record of these fields has all that are read; the id may be missing."""
        return set(self.columns) - {self.id_column} <= set(names)


def suggest_keys(record: Mapping[str, Any], layout: Layout) -> str:
    """The keys that would read a record which has not the columns that a layout names, as they are typed."""
    own = layout.prefix
    if any(name.rstrip().endswith((".", "!", "?")) for name in record):
        return "; the first row must name the columns"
    is_list = [isinstance(value, list) and any(map(_is_prose, value)) for value in record.values()]
    if len(is_list) > 1 and all(is_list) and len({re.sub(r"\d+", "#", name) for name in record}) == 1:
        return "; an object with a list for each document is not read; write a list in each line"
    found = {key: value for key, value in _find_keys(record).items() if own or not key.startswith("gold_order")}
    if keys := {key: value for key, value in found.items() if value != getattr(layout, key)}:
        return f"; set {' '.join(as_typed(own + key, value) for key, value in keys.items())}"
    return (
        f"; the sentences are named by {own}sentences_column=NAME, {own}sentence_columns=[NAME,...] or "
        f"{own}text_column=NAME"
    )


def _find_keys(record: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """The keys of columns that look like sentences, and those of the document's; none if there are none."""
    texts = {name: value for name, value in record.items() if _is_prose(value)}
    positions = [name for name in record if POSITION_NAME.fullmatch(name) and name not in texts]
    documents = [name for name in record if DOCUMENT_NAME.fullmatch(name) and name not in [*texts, *positions]]
    identity = {"id_column": documents[0]} if documents and "id" not in record else {}
    numbered: dict[str, list[str]] = {}
    for name in filter(re.compile(r"\d").search, record):
        numbered.setdefault(re.sub(r"\d+", "#", name), []).append(name)
    if wide := [names for names in numbered.values() if len(names) > 1 and texts.keys() & {*names}]:
        most: list[str] = max(wide, key=len)
        in_order = sorted(most, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
        return {"sentence_columns": in_order, **identity}

    parsed = {name: parse_list(value) if isinstance(value, str) else value for name, value in record.items()}
    parsed = {name: [value] if isinstance(value, dict) else value for name, value in parsed.items()}
    lists = {name: list(_flatten(value)) for name, value in parsed.items() if isinstance(value, list)}
    if sentences := [name for name, value in lists.items() if any(map(_is_prose, value))]:
        best = max(sentences, key=lambda name: len(str(lists[name])))
        return {"sentences_column": best, **_find_order(parsed, len(parsed[best] or [])), **identity}
    if nested := [name for name, value in lists.items() if value and isinstance(value[0], dict)]:
        inner = {name: _find_keys(lists[name][0], depth + 1) if depth < MAX_DEPTH else {} for name in nested}
        best = max(nested, key=lambda name: len(inner[name]))
        path = ".".join([best, *filter(None, [inner[best].get("records")])])
        return {**inner[best], "records": path} if inner[best] else {}

    if not texts:
        return {}
    longest = {"text_column": max(texts, key=lambda name: len(texts[name]))}
    if documents and positions:
        return {"document_column": documents[0], "position_column": positions[0], **longest}
    whole = [name for name, text in texts.items() if SENTENCE_END.search(text)] or list(texts)
    lengths = sorted(len(texts[name]) for name in whole)
    if len(whole) > 2 and lengths[-1] < MAX_RATIO * lengths[len(lengths) // 2]:
        return {"sentence_columns": whole, **identity}
    if depth and len(split_sentences(texts[longest["text_column"]])) < 2:
        return {}  # an object for each sentence, which would lose its document
    return {**longest, **identity}


def _find_order(parsed: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The keys of a field with a permutation of the sentences."""
    for name, value in parsed.items():
        numbers = sorted(read_numbers(value) or [])
        if numbers and numbers == list(range(numbers[0], numbers[0] + count)) and numbers[0] in (0, 1):
            return {"gold_order_column": name, "gold_order_base": numbers[0]}
    return {}


def _is_prose(value: Any) -> bool:
    return isinstance(value, str) and (" " in value.strip() or not value.isascii()) and parse_list(value) is None


def _flatten(values: list[Any]) -> Iterator[Any]:
    """The first item of each list of lists."""
    for value in values:
        while isinstance(value, list) and value:
            value = value[0]
        yield value
