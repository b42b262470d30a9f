"""Finds and strips numbers, letters and times at the heads of sentences, from which their order can be read.

Whether a document has them does not depend on the order of its sentences, so that shuffled ones are stripped alike.
"""

import re
from collections.abc import Sequence

# At least this share of a document's sentences must have one, of one kind.
MIN_SHARE = 0.8

_TAIL = r"\s*[.):\],;\u3001\u3002\uff0e\u2013\u2014-]*\s*"  # what stands between the enumerator and the sentence
_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_NUMBER = r"(?:\d{1,4}|[ivxlc]+|" + "|".join(_WORDS) + r")\b(?![.,:/]\d|-\w)"

# Kinds of enumerators, the most special first. `value` is compared; `word` must be the same in all sentences.
KINDS = {
    "dates": re.compile(r"[(\[]?(?P<value>\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?)" + _TAIL, re.I),
    "times": re.compile(
        r"[(\[]?(?:at\s+)?(?P<value>\d{1,2}(?:[:.h]\d\d(?::\d\d)?(?:\s*[ap]\.?m\b\.?)?|\s*[ap]\.?m\b\.?))" + _TAIL, re.I
    ),
    "numbered words": re.compile(r"[(\[]?(?P<word>[^\W\d_]+)\s+(?P<value>" + _NUMBER + ")" + _TAIL, re.I),
    "numbers": re.compile(r"[(\[#]*\s*(?P<value>\d{1,4})\b(?!\s?[.,:]\d|-\w|/\d+\s)(?:/\d+)?" + _TAIL),
    "Roman numbers": re.compile(r"[(\[]?(?P<value>[ivxlc]+)\s?[.):\]]\s*", re.I),
    "letters": re.compile(r"[(\[]?(?P<value>[^\W\d_])\s?[.):\]]\s*", re.I),
}


def find_enumeration(sentences: Sequence[str]) -> tuple[str, list[re.Match[str] | None]] | None:
    """The kind of a document's enumerators and the match of each sentence, or None if it has none.

    At least `MIN_SHARE` of two or more sentences have one, and they are not all equal; numbers and letters all differ.
    """
    for kind, pattern in KINDS.items():
        matches = [pattern.match(sentence.lstrip()) for sentence in sentences]
        found = [match for match in matches if match]
        if len(found) < max(2, MIN_SHARE * len(sentences)):
            continue
        values = {read_value(kind, match) for match in found}
        words = {match["word"].casefold() for match in found if kind == "numbered words"}
        enough = 2 if kind in ("dates", "times") else len(found)
        if len(values) >= enough and len(words) <= 1:
            return kind, matches
    return None


def strip_enumeration(sentences: Sequence[str]) -> list[str]:
    """The sentences without their enumerators, if they have any; one that is nothing else stays as it is."""
    found = find_enumeration(sentences)
    if found is None:
        return list(sentences)
    return [
        (match and match.string[match.end() :]) or sentence for sentence, match in zip(sentences, found[1], strict=True)
    ]


def reveals_order(sentences: Sequence[str]) -> str | None:
    """The kind of enumerators that rise, or fall, through the sentences in gold order; None if there are none."""
    found = find_enumeration(sentences)
    if found is None:
        return None
    kind, matches = found
    values = [read_value(kind, match) for match in matches if match]
    return kind if values in (sorted(values), sorted(values, reverse=True)) else None


def read_value(kind: str, match: re.Match[str]) -> int | str:
    """The value of an enumerator, which rises with the order if it is one."""
    text = match["value"].casefold()
    if kind == "times":
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        hour = numbers[0] % 12 + 12 * ("p" in text) if "m" in text else numbers[0]
        return sum(number * unit for number, unit in zip([hour, *numbers[1:]], (3600, 60, 1), strict=False))
    if kind in ("dates", "letters"):
        return text
    if text.isdigit():
        return int(text)
    if text in _WORDS:
        return 1 + _WORDS.index(text)
    digits = [_ROMAN[letter] for letter in text]
    return sum(-digit if digit < max(digits[k:]) else digit for k, digit in enumerate(digits))
