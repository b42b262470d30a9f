"""A gold order that stands beside shuffled sentences is used, in every form, or pointed at."""

import csv
import json
import logging
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentence_order.config.schema import DataConfig, Source
from sentence_order.data.documents import document_from_record
from sentence_order.data.gold_order import find_gold_orders, read_numbers, restore_gold_order
from sentence_order.data.layout import Layout
from sentence_order.data.readers import read_documents
from sentence_order.data.sources import load_splits
from sentence_order.errors import UserError
from tests.properties import settings

GOLD, SHUFFLED = ["He rose.", "He ate.", "He left."], ["He left.", "He rose.", "He ate."]
# The second, the third, then the first of the shuffled ones; these stand at places 2, 0, 1.
ORDER, POSITION = [1, 2, 0], [2, 0, 1]


def find_columns(records: list[tuple[dict[str, Any], list[str]]], known: list[str]) -> list[str]:
    return [re.split(" (has|have) a permutation", advice)[0] for advice in find_gold_orders(records, known)]


@pytest.mark.parametrize(
    "value", [ORDER, ["1", "2", "0"], [1.0, 2.0, 0.0], "[1, 2, 0]", "1 2 0", "1;2;0", "['1' '2' '0']"]
)
def test_order_in_every_spelling(value: Any) -> None:
    assert restore_gold_order(SHUFFLED, value, "order", 0, "f:1", "x") == GOLD


def test_position_and_base() -> None:
    for base in (0, 1):
        moved = [number + base for number in POSITION]
        assert restore_gold_order(SHUFFLED, moved, "position", base, "f:1", "x") == GOLD
        assert restore_gold_order(SHUFFLED, [n + base for n in ORDER], "order", base, "f:1", "x") == GOLD


@given(st.integers(1, 8), st.randoms())
@settings()
def test_order_and_position_are_inverses(count: int, dice: random.Random) -> None:
    gold, order = [f"s{k}" for k in range(count)], list(range(count))
    dice.shuffle(order)  # the k-th in gold order is sentence order[k] of the shuffled
    shuffled = [gold[order.index(k)] for k in range(count)]
    position = [order.index(k) for k in range(count)]
    assert restore_gold_order(shuffled, order, "order", 0, "", "") == gold
    assert restore_gold_order(shuffled, position, "position", 0, "", "") == gold


@pytest.mark.parametrize(
    "value", [[0, 1], [0, 1, 1], [1, 2, 3], [0, 1, 2.5], [True, 0, 2], "a b c", None, [], 5, ["0", None, "1"]]
)
def test_what_is_no_permutation_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match=r"f:1: field 'x' must hold each number from 0 to 2 once"):
        restore_gold_order(SHUFFLED, value, "order", 0, "f:1", "x")


@given(st.recursive(st.none() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
@settings()
def test_anything_else_has_no_numbers(value: Any) -> None:
    numbers = read_numbers(value)
    assert numbers is None or all(type(number) is int for number in numbers)


def test_one_number_for_each_column_of_a_wide_table() -> None:
    layout = Layout(
        sentence_columns=["s1", "s2", "s3", "s4"],
        gold_order_columns=["o1", "o2", "o3", "o4"],
        gold_order="position",
        gold_order_base=1,
    )
    record = {
        **dict(zip(layout.sentence_columns, [*SHUFFLED, ""], strict=True)),
        "o1": "3",
        "o2": "1",
        "o3": "2",
        "o4": "",
    }
    assert document_from_record(record, layout, "f:1").sentences == GOLD
    with pytest.raises(UserError, match="'o1,o2,o3,o4'"):
        document_from_record({**record, "o2": "2"}, layout, "f:1")


@pytest.mark.parametrize("sentences", [["0", "1"], ["3.0", "1.0", " 2 "], ["12", "", "7"]])
@pytest.mark.parametrize("file_format", ["jsonl", "text"])
def test_a_list_of_numbers_is_no_document(sentences: list[str], file_format: str, tmp_path: Path) -> None:
    file = tmp_path / "file"

    def read(*documents: list[str]) -> list[list[str]]:
        lines = [
            "\n".join(filter(None, text)) + "\n" if file_format == "text" else json.dumps(text) for text in documents
        ]
        file.write_text("\n".join(line if file_format == "text" else f'{{"sentences": {line}}}' for line in lines))
        return [document.sentences for document in read_documents(str(file), file_format, Layout())]

    for first, line in (([], 1), ([["Alone."]], 3 if file_format == "text" else 2)):
        with pytest.raises(UserError, match=f"file:{line}: holds numbers.* data.gold_order_column"):
            read(*first, sentences, GOLD)
    assert len(read(GOLD, sentences)) == 2, "one of many may be a document"


def test_columns_that_hold_permutations_are_found() -> None:
    records = [
        {"a": [1, 0, 2], "same": [0, 1, 2], "some": order, "n1": 2, "n2": 3, "n3": 1, "label": 1, "text": "1 0 2 3"}
        for order in ([1, 0, 2], [1, 1, 1])
    ]
    assert find_columns([(record, GOLD) for record in records], ["id"]) == ["a", "n1,n2,n3"]
    assert find_columns([(record, GOLD) for record in records], ["a", "n1"]) == []
    assert find_columns([({"a": [0]}, ["x"])], []) == []


def test_lists_may_be_filled_up_to_a_common_length() -> None:
    for blank in (-1, None, float("nan"), "", "-1"):
        assert read_numbers([1, 2, 0, blank, blank]) == ORDER
        assert read_numbers([1, blank, 0]) is None or blank in (-1, "-1")
        assert restore_gold_order(SHUFFLED, [*ORDER, blank], "order", 0, "f:1", "x") == GOLD
    assert find_columns([({"order": [*ORDER, -1, -1]}, SHUFFLED)] * 3, []) == ["order"]


def test_a_gold_text_beside_a_shuffled_one_is_found() -> None:
    wide = dict(zip(("g1", "g2", "g3"), GOLD, strict=True))
    (one, three) = find_gold_orders([({"s": SHUFFLED, "gold": GOLD, "other": GOLD[:2], **wide}, SHUFFLED)], ["s"])
    assert one.startswith("gold has the same sentences in other orders")
    assert "data.sentences_column=gold" in one
    assert "data.sentence_columns=[g1,g2,g3]" in three
    assert not find_gold_orders([({"s": GOLD, "copy": GOLD}, GOLD)], ["s"])


def test_columns_of_tables_with_gaps_are_found_and_used() -> None:
    """Wide tables hold documents of several lengths, and pandas writes NaN for an empty cell."""
    columns = [f"s{k}" for k in range(4)], [f"o{k}" for k in range(4)]
    rows = [
        dict(zip([*columns[0], *columns[1]], [*SHUFFLED, blank, 3, 1, 2, blank], strict=True)) for blank in (None, "")
    ]
    assert find_columns([(row, SHUFFLED) for row in rows], columns[0]) == ["o0,o1,o2,o3"]
    layout = Layout(
        sentence_columns=columns[0], gold_order_columns=columns[1], gold_order="position", gold_order_base=1
    )
    for row in [*rows, {**rows[0], "s3": " ", "o3": float("nan")}]:
        assert document_from_record(row, layout, "f:1").sentences == GOLD
    listed = Layout(sentence_columns=columns[0], gold_order_column="order")
    assert document_from_record({**rows[0], "order": ORDER}, listed, "f:1").sentences == GOLD


def test_a_column_that_a_few_records_lack_is_found() -> None:
    records = [({"order": [1, 0] if n % 3 else None}, GOLD[:2]) for n in range(40)]
    assert find_columns(records, []) == ["order"]
    assert find_columns([*records, *records[::3] * 2], []) == [], "most records lack it"
    assert find_columns([*records, ({"order": "first, second"}, GOLD[:2])] * 5, []) == ["order"]
    assert find_columns([*records[:9], ({"order": "first, second"}, GOLD[:2])], []) == [], "a seventh is none"


def test_a_corpus_with_a_gold_order_column_is_read_in_gold_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = [{"shuf_sents": SHUFFLED, "orig_sents": [str(number) for number in ORDER]} for _ in range(3)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with (tmp_path / "x.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["shuf_sents", "orig_sents"], *[[json.dumps(SHUFFLED), "1, 2, 0"]] * 3])
    for source in (Source.jsonl, Source.csv):
        config = DataConfig(source, train=str(tmp_path / f"x.{source}"), validation="x", test="x")
        config.sentences_column = "shuf_sents"
        caplog.clear()
        with caplog.at_level(logging.WARNING, "sentence_order"):
            assert load_splits(config, ["train"])["train"]["sentences"][0] == SHUFFLED
        (warning,) = caplog.messages
        assert "data.gold_order_column=orig_sents" in warning
        config.gold_order_column = "orig_sents"
        caplog.clear()
        with caplog.at_level(logging.INFO, "sentence_order"):
            assert load_splits(config, ["train"])["train"]["sentences"][2] == GOLD
        (how,) = caplog.messages
        assert "by orig_sents: its k-th number is which sentence comes k-th, from 0" in how
