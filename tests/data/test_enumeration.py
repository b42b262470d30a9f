"""Enumerators are found whatever their form, and nothing else is taken for one."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentence_order.data.enumeration import find_enumeration, reveals_order, strip_enumeration
from tests.properties import settings

TEXT = ["Boil the water.", "Add 2 eggs.", "Wait.", "Peel them.", "Eat."]
HEADS = {
    "numbers": [
        *("{}. ", "{}) ", "({}) ", "[{}] ", "{}: ", "{} . ", "#{} ", "{} - ", "{} ", "{}、", "({}/5) ", "{}.", " {}) "),
        *("{}\u2013 ", "- {}. ", "**{}.** ", "{}/5: ", "{} of 5: ", "#{}: "),
        *("\u201c{}. ", "\u00b7 {}) ", "> {}. ", "_{}_. ", "{}\u00ba ", "{}.1. ", "2.{}) ", "17000{}: ", "2020010{} "),
    ],
    "numbered words": ["Step {}: ", "step {} ", "Schritt {}. ", "DAY {} - ", "[Part {}] "],
    "numbered words in other forms": [
        "Step #{}: ",
        "Q{}: ",
        "Step{} ",
        "\u6b65\u9aa4{}\uff1a",
        "\u09a7\u09be\u09aa {}: ",
        *("No. {}: ", "Step ({}): ", "Step: {} ", "Step {}a: ", "Gen 1:{} ", "\u7b2c{}: "),
    ],
    "verses": ["1:{} ", "[{}:1] "],
    "times": [
        "00:00:0{},500 --> 00:00:09,000 ",
        "{}:15 ",
        "[{}:15] ",
        "{}:15:30 - ",
        "At {} am, ",
        "0{}:05: ",
        "{}.15 p.m. ",
    ],
    "dates": ["2026-01-0{} ", "[2026-01-0{} 10:15:00] ", "2026-01-0{}: ", "2026/1/{} ", "2026.01.{}: "],
}


@pytest.mark.parametrize(("kind", "head"), [(kind, head) for kind, heads in HEADS.items() for head in heads])
def test_enumerators_of_every_form_are_found_and_stripped(kind: str, head: str) -> None:
    kind = kind.removesuffix(" in other forms")
    numbered = [head.format(k) + text for k, text in enumerate(TEXT, 1)]
    assert reveals_order(numbered) == (kind, "rise")
    assert reveals_order(numbered[::-1]) == (kind, "fall")
    shuffled = [numbered[k] for k in (2, 0, 3, 1, 4)]
    assert reveals_order(shuffled) is None
    assert find_enumeration(shuffled) is not None
    assert strip_enumeration(numbered) == TEXT
    assert strip_enumeration(shuffled) == [TEXT[k] for k in (2, 0, 3, 1, 4)]


@pytest.mark.parametrize(
    ("kind", "heads"),
    [
        ("numbered words", ["Step one: ", "Step two: ", "Step three: ", "Step four: ", "Step five: "]),
        ("numbered words", ["Part I. ", "Part II. ", "Part III. ", "Part IV. ", "Part V. "]),
        ("Roman numbers", ["i) ", "ii) ", "iii) ", "iv) ", "v) "]),
        ("Roman numbers", ["\u0130) ", "\u0130\u0130) ", "\u0130\u0130\u0130) ", "\u0130V) ", "V) "]),  # Turkish
        ("Roman numbers", ["\u0131) ", "\u0131\u0131) ", "\u0131\u0131\u0131) ", "\u0131v) ", "v) "]),
        ("ordinals", ["First, ", "Second, ", "Third, ", "Fourthly, ", "Fifth, "]),
        ("numbers", ["1st ", "2nd ", "3rd ", "4th ", "5th "]),
        ("numbers", [chr(0x2460 + k) for k in range(5)]),  # circled
        ("numbers", [chr(0x2776 + k) for k in range(5)]),
        ("numbers", [f"{k}\ufe0f\u20e3 " for k in range(1, 6)]),  # on keys
        ("number words", ["One: ", "Two: ", "Three: ", "Four: ", "Five - "]),
        ("lettered words", ["Step A: ", "Step B: ", "Step C: ", "Step D: ", "Step E: "]),
        ("Roman numbers", ["I - ", "II - ", "III \u2013 ", "IV - ", "V - "]),
        ("dates", ["12/31/2019 ", "01/01/2020 ", "01/02/2020 ", "02/01/2020 ", "02/02/2020 "]),
        ("dates", ["13.01.2019: ", "14.01.2019: ", "15.01.2019: ", "16.01.2019: ", "17.01.2019: "]),
        ("Chinese numbers", [f"\u7b2c{k}\u6b65\uff1a" for k in range(8, 13)]),
        ("Chinese numbers", [f"{k}\ub2e8\uacc4: " for k in range(8, 13)]),
        ("ordinals", ["First, ", "", "Second, ", "", "Third, "]),
        ("numbers", ["1. Step 1: ", "2. Step 2: ", "3. Step 3: ", "4. Step 4: ", "5. Step 5: "]),
        ("Chinese numbers", [digit + "\u3001" for digit in "\u4e00\u4e8c\u4e09\u56db\u4e94"]),
        (
            "Chinese numbers",
            [f"\u7b2c{digit}\u6b65\uff1a" for digit in "\u516b\u4e5d\u5341"]
            + ["\u7b2c\u5341\u4e00\u6b65: ", "\u7b2c\u4e8c\u5341\u6b65: "],
        ),
        ("letters", ["a) ", "b) ", "c) ", "d) ", "e) "]),
        ("letters", ["A. ", "B. ", "C. ", "D. ", "E. "]),
        ("times", ["11:50 am ", "12:10 pm ", "1 pm ", "2:30 p.m. ", "11 pm "]),
        ("numbers", ["1. ", "2. ", "", "4. ", "5. "]),  # one is missing
        ("numbers", ["1914: ", "1916: ", "1917: ", "1918: ", "1919: "]),
    ],
)
def test_enumerators_are_compared_by_their_value(kind: str, heads: list[str]) -> None:
    numbered = [head + text for head, text in zip(heads, TEXT, strict=True)]
    assert reveals_order(numbered) == (kind, "rise")
    assert strip_enumeration(numbered) == TEXT


@pytest.mark.parametrize(
    "sentences",
    [
        TEXT,
        ["1. Boil.", "Wait.", "Eat."],  # one of three
        ["1. Boil.", "2. Wait.", "Eat."],  # two of three
        ["3D glasses help.", "4K screens too.", "5kg is the weight."],
        ["One of them ran.", "Two sat.", "Three slept."],
        ["1. Boil.", "1. Wait.", "1. Eat."],  # all are equal
        ["2.5 cups of flour.", "3.5 cups of milk."],
        ["10-year-old Tom ran.", "11-year-old Ann sat."],
        ["1,000 people came.", "2,000 people left."],
        ["Tom ran 3 miles.", "Ann ran 4 miles."],  # after two words
        ["I ran.", "I sat."],
        ["Tom 3 Ann.", "Ann 4 Tom."],  # other words
        ["1/2 of it is salt.", "3/4 of it is gone."],
    ],
)
def test_ordinary_sentences_have_no_enumerators(sentences: list[str]) -> None:
    assert find_enumeration(sentences) is None
    assert strip_enumeration(sentences) == sentences


def test_a_sentence_that_is_an_enumerator_alone_stays() -> None:
    assert strip_enumeration(["1.", "2. Wait."]) == ["1.", "Wait."]


@given(
    st.lists(st.from_regex(r"[\[(]?[1-9ivx]{0,3}[.):]? ?(am|h|-)? ?[A-c]*", fullmatch=True), max_size=6), st.randoms()
)
@settings()
def test_stripping_does_not_depend_on_the_order(sentences: list[str], dice: random.Random) -> None:
    stripped = dict(zip(sentences, strip_enumeration(sentences), strict=True))
    reveals_order(sentences)
    dice.shuffle(sentences)
    assert strip_enumeration(sentences) == [stripped[sentence] for sentence in sentences]
