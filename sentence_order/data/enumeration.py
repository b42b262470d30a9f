"""Finds and strips numbers, letters and times at the heads of sentences, from which their order can be read.

Whether a document has them does not depend on the order of its sentences, so that shuffled ones are stripped alike.
"""

import re
import unicodedata
from collections.abc import Sequence

# A document's enumerators are of one kind, and at least this share of two sentences or more, or of three or more, have
# one.
MIN_SHARE_OF_TWO, MIN_SHARE_OF_THREE = 0.8, 0.5
# Enumerators may stand behind one another, as in "1. Step 1:".
MAX_PASSES = 4

_HEAD = r"[\s#*+(\[<>_~\"'\u00ab\u00b7\u2013\u2014\u2018-\u201e\u2022\u2039\u25aa\u25e6-]*"
# What stands between the enumerator and the sentence; "of 5" and "/5" are how many there are.
_TAIL = r"(?:\s*(?:of|/)\s*\d+\b)?\s*[*_.):\],;>\u20e3\u3001\u3002\u2013\u2014\ufe0f-]*\s*"
_END = r"(?![\da-z\u00c0-\u024f])"  # of a number; letters of other scripts may follow at once
_NOT_A_PART = _END + r"(?!\s?[.,:]\d|-\w|/\d+\s)"  # of a decimal, a time, a word, a fraction
_MARK = r"(?=\s?[.):\]]|\s[\u2013\u2014-]\s)"  # behind what may be a word of the sentence
_CLOCK = r"\d{1,2}[:.h]\d\d(?::\d\d(?:[.,]\d{1,3})?)?(?!\d)"
_SECTION = r"\d{1,10}(?:(?:\.\d{1,3}){1,3}(?=[.):\]]))?"  # also 1.2.3, if a mark shows that it is no decimal
_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ROMAN = {"i": 1, "\u0131": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_CHINESE = "\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341"
# Digits in circles, behind which the text may follow at once.
_CIRCLED = {start + k: f"{k + 1} " for start in (0x2460, 0x2776, 0x2780, 0x278A) for k in range(10)}

# Kinds of enumerators, the most special first. `value` is compared; `word` must be the same in all sentences.
KINDS = {
    name: re.compile(_HEAD + pattern + _TAIL, re.IGNORECASE)
    for name, pattern in {
        "dates": r"(?P<value>(?:\d{4}([-/.])\d\d?\2\d\d?|\d\d?([-/.])\d\d?\3\d{4})(?:[T ]" + _CLOCK + "Z?)?)" + _END,
        "times": rf"(?:at\s+)?(?P<value>{_CLOCK}(?:\s*[ap]\.?m\b\.?)?|\d{{1,2}}\s*[ap]\.?m\b\.?)(?:\s*-+>\s*{_CLOCK})?",
        "verses": r"(?P<value>\d{1,3}:\d{1,3})" + _END,
        "Chinese numbers": rf"\u7b2c?(?P<value>[{_CHINESE}]{{1,3}}|\d{{1,4}})"
        rf"(?:\u6b65\u9aa4?|\ub2e8\uacc4|(?<=[{_CHINESE}])(?=[\u3001.:,)]))",
        "numbered words": r"(?P<word>[^\W\d_][^\s\d.,:;()\[\]#]*?)"
        r"(?:[\s.:(#]*(?P<digits>\d{1,4}(?::\d{1,3})?)(?:[a-z]\b)?"
        + _NOT_A_PART
        + rf"|\s+(?P<letters>[ivxlc]+|{'|'.join(_WORDS)})\b)",
        "lettered words": r"(?P<word>[^\W\d_]{2,})\s+(?P<value>[a-z])" + _MARK,
        "numbers": rf"(?P<value>{_SECTION})(?:st|nd|rd|th|[ao])?" + _NOT_A_PART,
        "number words": rf"(?P<value>{'|'.join(_WORDS)})" + _MARK,
        "ordinals": rf"(?P<value>{'|'.join(_ORDINALS)})(?:ly)?\b",
        "Roman numbers": r"(?P<value>[ivxlc]+)" + _MARK,
        "letters": r"(?P<value>[^\W\d_])\s?(?=[.):\]])",
    }.items()
}


def find_enumeration(sentences: Sequence[str]) -> tuple[str, list[re.Match[str] | None]] | None:
    """The kind of a document's enumerators and the match of each sentence, or None if it has none.

    Most sentences have one, and they are not all equal; numbers and letters all differ.
    """
    heads = [
        sentence if sentence.isascii() else unicodedata.normalize("NFKC", sentence.translate(_CIRCLED))
        for sentence in sentences
    ]
    count = len(sentences)
    fewest = min(max(2, MIN_SHARE_OF_TWO * count), max(3, MIN_SHARE_OF_THREE * count))
    for kind, pattern in KINDS.items():
        matches = [pattern.match(head) for head in heads]
        found = [match for match in matches if match]
        if len(found) < fewest:
            continue
        values = {read_value(kind, match) for match in found}
        words = {match["word"].casefold() for match in found if "word" in pattern.groupindex}
        enough = 2 if kind in ("dates", "times") else len(found)
        if len(values) >= enough and len(words) <= 1:
            return kind, matches
    return None


def strip_enumeration(sentences: Sequence[str]) -> list[str]:
    """The sentences without their enumerators, if they have any; one that is nothing else stays as it is."""
    stripped = list(sentences)
    for _ in range(MAX_PASSES):
        if (found := find_enumeration(stripped)) is None:
            break
        stripped = [
            (match and match.string[match.end() :]) or sentence
            for sentence, match in zip(stripped, found[1], strict=True)
        ]
    return stripped


def reveals_order(sentences: Sequence[str]) -> tuple[str, str] | None:
    """The kind of enumerators that "rise" or "fall" through the sentences in gold order; None if there are none."""
    found = find_enumeration(sentences)
    if found is None:
        return None
    kind, matches = found
    values = [read_value(kind, match) for match in matches if match]
    if values == sorted(values):
        return kind, "rise"
    return (kind, "fall") if values == sorted(values, reverse=True) else None


def read_value(kind: str, match: re.Match[str]) -> tuple[int, ...]:
    """The value of an enumerator, which rises with the order if it is one."""
    groups = match.groupdict()
    text = (groups.get("value") or groups.get("digits") or groups["letters"]).casefold()
    if kind in ("letters", "lettered words"):
        return tuple(map(ord, text))
    if numbers := tuple(int(number) for number in re.findall(r"\d+", text)):
        if kind == "times" and "m" in text:
            return (numbers[0] % 12 + 12 * ("p" in text), *numbers[1:])
        if kind == "dates" and numbers[2] > numbers[0]:  # the year is last; behind the month, unless that is above 12
            day_first = numbers[0] > 12
            return (numbers[2], numbers[day_first], numbers[not day_first], *numbers[3:])
        return numbers
    for words in (_WORDS, _ORDINALS):
        if text in words:
            return (1 + words.index(text),)
    if kind == "Chinese numbers":
        digits = [1 + _CHINESE.index(digit) for digit in text]
        tens = [1, *digits] if digits[0] == 10 else digits
        return (tens[0] if len(tens) == 1 else tens[0] * 10 + sum(tens[2:]),)
    digits = [_ROMAN[letter] for letter in text if letter in _ROMAN]  # not the dot of a Turkish capital I
    return (sum(-digit if digit < max(digits[k:]) else digit for k, digit in enumerate(digits)),)
