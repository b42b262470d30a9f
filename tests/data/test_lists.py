"""Lists of sentences are read as JSON, Python, numpy and pandas print them."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentence_order.data.lists import parse_list
from tests.properties import settings

texts = st.text(max_size=12) | st.sampled_from(["it's", 'a "b"', "both ' and \"", "a\nb", "\\", "a, b", "[x]"])


@given(st.lists(texts | st.none(), max_size=5))
@settings(max_examples=200)
def test_lists_are_read_as_they_were_printed(written: list[str | None]) -> None:
    assert parse_list(json.dumps(written)) == written
    assert parse_list(repr(written)) == written
    assert parse_list(repr(tuple(written))) == written
    with np.printoptions(threshold=100):
        array = np.array(written, dtype=object)
        assert parse_list(str(array)) == written
        assert parse_list(repr(array)) == written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("['He left.' 'She ate.\\n'\n \"It's late.\"]", ["He left.", "She ate.\n", "It's late."]),
        ("['a', nan, None, 'b',]", ["a", None, None, "b"]),
        ("array(['a', 'b'], dtype='<U1')", ["a", "b"]),
        ("[np.str_('a'), np.str_(\"b\")]", ["a", "b"]),
        ("[u'a', u'b']", ["a", "b"]),
        ("['a' 'b'] and more", None),
        ("['a' ... 'b']", None),
        ("(He left.) She ate.", None),
        ("['a'", None),
        ("", None),
        ('{"a": 1}', None),
        ("[1, 2]", [1, 2]),
    ],
)
def test_other_spellings(text: str, expected: list[Any] | None) -> None:
    assert parse_list(text) == expected


def test_long_texts_cost_no_more_than_their_length() -> None:
    for text in (" " * 10**6, "[" + " " * 10**6, "['a'" + " " * 10**6 + "x", "['" + "x" * 10**6, "[" + "'a' " * 10**5):
        assert parse_list(text) is None
