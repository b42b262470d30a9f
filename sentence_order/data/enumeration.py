"""Finds and strips numbers, letters and times at the heads of sentences, from which their order can be read.

Whether a document has them does not depend on the order of its sentences, so that shuffled ones are stripped alike.
"""

import re
import unicodedata
from collections.abc import Sequence

# At least this share of a document's sentences must have one, of one kind.
MIN_SHARE = 0.8

_HEAD = r"[\s#*+\u2022(\[-]*"
# What stands between the enumerator and the sentence; "of 5" and "/5" are how many there are.
_TAIL = r"(?:\s*(?:of|/)\s*\d+\b)?\s*[*.):\],;\u3001\u3002\u2013\u2014-]*\s*"
_NOT_A_PART = r"(?!\s?[.,:]\d|-\w|/\d+\s)"  # of a decimal, a time, a word, a fraction
_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ROMAN = {"i": 1, "\u0131": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_CHINESE = "\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341"

# Kinds of enumerators, the most special first. `value` is compared; `word` must be the same in all sentences.
KINDS = {
    name: re.compile(_HEAD + pattern + _TAIL, re.IGNORECASE)
    for name, pattern in {
        "dates": r"(?P<value>\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?Z?)?)",
        "times": r"(?:at\s+)?(?P<value>\d{1,2}(?:[:.h]\d\d(?::\d\d)?(?:\s*[ap]\.?m\b\.?)?|\s*[ap]\.?m\b\.?))",
        "numbered words": r"(?P<word>[^\W\d_][^\s\d.,:;()\[\]#]*?)(?:\s*#?\s*(?P<digits>\d{1,4})\b"
        + _NOT_A_PART
        + r"|\s+(?P<letters>[ivxlc]+|"
        + "|".join(_WORDS)
        + r")\b)",
        "numbers": r"(?P<value>\d{1,6})(?:st|nd|rd|th)?\b" + _NOT_A_PART,
        "ordinals": rf"(?P<value>{'|'.join(_ORDINALS)})(?:ly)?\b",
        "Chinese numbers": rf"\u7b2c?(?P<value>[{_CHINESE}]{{1,3}})(?:\u6b65|(?=[\u3001.:,)]))",
        "Roman numbers": r"(?P<value>[ivxlc]+)\s?(?=[.):\]])",
        "letters": r"(?P<value>[^\W\d_])\s?(?=[.):\]])",
    }.items()
}


def find_enumeration(sentences: Sequence[str]) -> tuple[str, list[re.Match[str] | None]] | None:
    """The kind of a document's enumerators and the match of each sentence, or None if it has none.

    At least `MIN_SHARE` of two or more sentences have one, and they are not all equal; numbers and letters all differ.
    """
    heads = [unicodedata.normalize("NFKC", sentence) for sentence in sentences]  # also of circled and wide numbers
    for kind, pattern in KINDS.items():
        matches = [pattern.match(head) for head in heads]
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
    groups = match.groupdict()
    text = (groups.get("value") or groups.get("digits") or groups["letters"]).casefold()
    if kind == "times":
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        hour = numbers[0] % 12 + 12 * ("p" in text) if "m" in text else numbers[0]
        return sum(number * unit for number, unit in zip([hour, *numbers[1:]], (3600, 60, 1), strict=False))
    if kind in ("dates", "letters"):
        return text
    if kind == "Chinese numbers":
        digits = [1 + _CHINESE.index(digit) for digit in text]
        tens = [1, *digits] if digits[0] == 10 else digits
        return tens[0] if len(tens) == 1 else tens[0] * 10 + sum(tens[2:])
    if text.isdigit():
        return int(text)
    for words in (_WORDS, _ORDINALS):
        if text in words:
            return 1 + words.index(text)
    digits = [_ROMAN[letter] for letter in text if letter in _ROMAN]  # not the dot of a Turkish capital I
    return sum(-digit if digit < max(digits[k:]) else digit for k, digit in enumerate(digits))
