"""Gold orders that stand beside shuffled sentences, as columns of numbers."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sentence_order.config.commands import as_typed
from sentence_order.errors import UserError

# The share of records in which a column must hold a permutation to be pointed at.
MIN_SHARE = 0.9
# Numbers with what parts them in a text: "2 0 1", "[2, 0, 1]", "2;0;1".
NUMBERS = re.compile(r"[\[(]?\s*['\"]?-?\d{1,6}(?:\.0+)?['\"]?(?:[\s,;|]+['\"]?-?\d{1,6}(?:\.0+)?['\"]?)*\s*[\])]?")


def restore_gold_order(
    sentences: Sequence[str], value: Any, meaning: str, base: int, where: str, name: str
) -> list[str]:
    """Puts sentences into their gold order, by numbers (from `base`) in the field `name` of the record at `where`.

    The k-th number means which sentence is k-th ("order"), or the gold position of sentence k ("position"). Raises
    UserError if the numbers are not a permutation.
    """
    numbers = read_numbers(value)
    count = len(sentences)
    if numbers is None or sorted(numbers) != list(range(base, base + count)):
        shown = repr(value)
        raise UserError(
            f"{where}: field '{name}' must hold each number from {base} to {base + count - 1} once, for {count} "
            f"sentences (data.gold_order_base={base}, which may be 0 or 1), not "
            f"{shown[:100]}{'...' * (len(shown) > 100)}"
        )
    indices = [number - base for number in numbers]
    if meaning == "position":
        indices = sorted(range(count), key=indices.__getitem__)
    return [sentences[index] for index in indices]


def read_numbers(value: Any) -> list[int] | None:
    """Whole numbers from a list of them, or of texts, or from one text; None if it holds anything else.

    Lists may be filled up to a common length by blank items or -1.
    """
    if isinstance(value, str):
        value = re.findall(r"-?\d+(?:\.0+)?", value) if NUMBERS.fullmatch(value.strip()) else None
    if not isinstance(value, list | tuple):
        return None
    count = len(value)
    while count and (is_blank(value[count - 1]) or value[count - 1] in (-1, "-1")):
        count -= 1
    numbers = []
    for item in value[:count]:
        if isinstance(item, bool) or not isinstance(item, int | float | str):
            return None
        try:
            number = float(item)
        except (ValueError, OverflowError):
            return None
        if not number.is_integer() or abs(number) > 10**6:
            return None
        numbers.append(int(number))
    return numbers


def are_numbers(sentences: Sequence[str]) -> bool:
    """True if two sentences or more are small numbers, all of them: more likely an order than a document."""
    return len(sentences) > 1 and all(re.fullmatch(r"\s*-?\d{1,4}(?:\.0+)?\s*", sentence) for sentence in sentences)


def is_blank(value: Any) -> bool:
    """True for an empty cell of a table, which pandas writes as NaN."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def find_gold_orders(records: Iterable[tuple[Mapping[str, Any], Sequence[str]]], known: Sequence[str]) -> list[str]:
    """What looks like a gold order beside the sentences in columns that are not `known`; each as advice to the user.

    That are columns which, in most records that fill them, hold a permutation, or the same sentences, and not always in
    the order of the sentences. Records come with their sentences; those of fewer than two are passed over.
    """
    filled: Counter[str] = Counter()
    is_sorted: dict[tuple[str, str], list[bool]] = {}
    total = 0
    for record, given in records:
        sentences = [sentence for sentence in given if sentence.strip()]
        if len(sentences) < 2:
            continue
        total += 1
        for name, value in _candidates(record, known).items():
            filled[name] += not (is_blank(value) or value == [])
            numbers = read_numbers(value) or []
            base = min(numbers, default=0)
            if base in (0, 1) and sorted(numbers) == list(range(base, base + len(sentences))):
                is_sorted.setdefault((name, "a permutation"), []).append(numbers == sorted(numbers))
            elif isinstance(value, list) and len(value) == len(given) and set(map(str, value)) == set(given):
                is_sorted.setdefault((name, "other orders"), []).append(value == list(given))
    return [
        _advise(name, what)
        for (name, what), found in is_sorted.items()
        if len(found) >= MIN_SHARE * filled[name] and 2 * filled[name] >= total and not all(found)
    ]


def _advise(name: str, what: str) -> str:
    verb, columns = ("have", name.split(",")) if "," in name else ("has", name)
    if what == "other orders":
        key = as_typed("data.sentence_columns" if columns != name else "data.sentences_column", columns)
        return f"{name} {verb} the same sentences in other orders; if these are the gold orders, set {key}"
    key = as_typed("data.gold_order_columns" if columns != name else "data.gold_order_column", columns)
    return (
        f"{name} {verb} a permutation of the sentences in most documents, and is not used; if that is the gold order, "
        f"add {key} (and data.gold_order=order|position, data.gold_order_base=0|1)"
    )


def _candidates(record: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """The values of the other columns, and those of columns that are numbered, such as `order1` to `order5`, with
    commas between their names."""
    others = {name: value for name, value in record.items() if name not in known}
    groups: dict[str, list[str]] = {}
    for name in others:
        if re.search(r"\d", name):
            groups.setdefault(re.sub(r"\d+", "#", name), []).append(name)
    numbered = [names for names in groups.values() if len(names) > 1]
    joined = {",".join(names): [others[name] for name in names if not is_blank(others[name])] for names in numbered}
    return others | joined
