"""Gold orders that stand beside shuffled sentences, as columns of numbers."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from sentence_order.errors import UserError

# The share of records in which a column must hold a permutation to be pointed at.
MIN_SHARE = 0.9
# Numbers with what parts them in a text: "2 0 1", "[2, 0, 1]", "2;0;1".
NUMBERS = re.compile(r"[\[(]?\s*['\"]?-?\d{1,6}(?:\.0+)?['\"]?(?:[\s,;|]+['\"]?-?\d{1,6}(?:\.0+)?['\"]?)*\s*[\])]?")


def restore_gold_order(
    sentences: Sequence[str], value: Any, meaning: str, base: int, where: str, name: str
) -> list[str]:
    """Puts sentences into their gold order.

    Args:
        value: a number for each sentence, as a list or a text.
        meaning: of the k-th number: which sentence is k-th in gold order ("order"), or the gold position of sentence k
            ("position").
        base: of the numbers, 0 or 1.
        where, name: of the record and of its field, for the complaint.

    Raises UserError if the numbers are not a permutation.
    """
    numbers = read_numbers(value)
    count = len(sentences)
    if numbers is None or sorted(numbers) != list(range(base, base + count)):
        shown = repr(value)
        raise UserError(
            f"{where}: field '{name}' must hold each number from {base} to {base + count - 1} once, for {count} "
            f"sentences (data.gold_order_base={base}), not {shown[:100]}{'...' * (len(shown) > 100)}"
        )
    indices = [number - base for number in numbers]
    if meaning == "position":
        indices = sorted(range(count), key=indices.__getitem__)
    return [sentences[index] for index in indices]


def read_numbers(value: Any) -> list[int] | None:
    """Whole numbers from a list of them, or of texts, or from one text; None if it holds anything else."""
    if isinstance(value, str):
        value = re.findall(r"-?\d+(?:\.0+)?", value) if NUMBERS.fullmatch(value.strip()) else None
    if not isinstance(value, list | tuple):
        return None
    numbers = []
    for item in value:
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


def check_not_numbers(sentences: Sequence[str], where: str, name: str) -> None:
    """Raises UserError if all sentences are small numbers, which are more likely an order than a document."""
    real = [sentence for sentence in sentences if sentence.strip()]
    if len(real) > 1 and all(re.fullmatch(r"\s*-?\d{1,4}(?:\.0+)?\s*", sentence) for sentence in real):
        key = f"gold_order_columns=[{name}]" if "," in name else f"gold_order_column={name}"
        raise UserError(
            f"{where}: field '{name}' holds numbers, not sentences; if they are the gold order of another field, {key}"
        )


def is_blank(value: Any) -> bool:
    """True for an empty cell of a table, which pandas writes as NaN."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def find_gold_order_columns(records: Iterable[tuple[dict[str, Any], int]], known: Sequence[str]) -> list[str]:
    """The columns, none of them `known`, that look like gold orders: permutations in most records, and not all sorted.

    Args:
        records: each with its number of sentences; those of fewer than two are passed over.

    A result is a name, or for columns that hold a number each and differ in a number in their name, all their names
    with commas between them.
    """
    is_sorted: dict[str, list[bool]] = {}
    total = 0
    for record, count in records:
        if count < 2:
            continue
        total += 1
        for name, value in _candidates(record, known).items():
            numbers = read_numbers(value) or []
            base = min(numbers, default=0)
            if base in (0, 1) and sorted(numbers) == list(range(base, base + count)):
                is_sorted.setdefault(name, []).append(numbers == sorted(numbers))
    return [name for name, found in is_sorted.items() if len(found) >= MIN_SHARE * total and not all(found)]


def _candidates(record: dict[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """The values of the other columns, and those of columns that are numbered, such as `order1` to `order5`."""
    others = {name: value for name, value in record.items() if name not in known}
    groups: dict[str, list[str]] = {}
    for name in others:
        if re.search(r"\d", name):
            groups.setdefault(re.sub(r"\d+", "#", name), []).append(name)
    numbered = [names for names in groups.values() if len(names) > 1]
    joined = {",".join(names): [others[name] for name in names if not is_blank(others[name])] for names in numbered}
    return others | joined
