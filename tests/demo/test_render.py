"""The HTML of the page."""

import re
from dataclasses import replace

import pytest

from sentence_order.demo import render
from sentence_order.demo.answers import Answer
from sentence_order.inference.details import DoubtedPair, OrderProbability, RankedOrder
from sentence_order.inference.ordering import Prediction

SCRIPT = "<script>alert(1)</script>"
SENTENCES = [SCRIPT, "${alert(2)} {{value}}", '"&`']
PREDICTION = Prediction(
    order=[2, 0, 1],
    sentences=[SENTENCES[k] for k in (2, 0, 1)],
    confidence=0.72,
    probability=0.5,
    top_k=[RankedOrder([2, 0, 1], 0.5), RankedOrder([2, 1, 0], 0.2)],
    pairs=[[0.0, 0.75, 0.125], [0.25, 0.0, 0.25], [0.875, 0.75, 0.0]],
)


def test_sentences_and_names_are_escaped() -> None:
    doubted = OrderProbability(0.001, False, [DoubtedPair(0, 1, 0.25), DoubtedPair(1, 2, 0.375)])
    for html in (
        render.render_own_order(doubted, SENTENCES, 0.5),
        render.render_message(SCRIPT),
        render.render_model(SCRIPT),
    ):
        assert "<script>" not in html
        assert "&lt;script&gt;" in html


@pytest.mark.parametrize(("same", "said"), [(None, ""), (True, "the same order"), (False, "another order")])
def test_the_confidence_is_in_words_and_number(same: bool | None, said: str) -> None:
    html = render.render_confidence(Answer(SENTENCES, PREDICTION, 0.05), same)
    for text in ("Sure", "72 %", "3 sentences in 0.05 s", "Calibrated", said):
        assert text in html


def test_sentences_that_are_not_read_to_the_end_are_in_the_note() -> None:
    said = "Of 2 sentences only the first 128 tokens were read."
    assert said in render.render_confidence(Answer(SENTENCES, PREDICTION, 0.05, 2, 128))
    assert "tokens" not in render.render_confidence(Answer(SENTENCES, PREDICTION, 0.05, 0, 128))


def test_the_likeliest_orders_count_from_one_and_mark_what_differs() -> None:
    first, second = re.findall("<li>.*?</li>", render.render_orders(PREDICTION))
    assert re.findall(r">(\d+)</b>", first) == ["3", "1", "2"]
    assert "so-differs" not in first
    assert second.count("so-differs") == 2


def test_the_map_has_both_sentences_of_a_pair_in_the_predicted_order() -> None:
    html = render.render_map(PREDICTION)
    assert re.findall(r'title="(.*?)"', html)[:2] == ["3 before 1: 88 %", "3 before 2: 75 %"]
    assert html.count("so-none") == 3
    assert "the model's own" in html
    assert "calibrated" in render.render_map(replace(PREDICTION, pairs_calibrated=PREDICTION.pairs))


def test_in_the_map_only_what_is_certain_has_100_percent() -> None:
    pairs = [[0.0, 0.996, 1.0], [0.004, 0.0, 0.5], [0.0, 0.5, 0.0]]
    html = render.render_map(replace(PREDICTION, order=[0, 1, 2], pairs=pairs))
    assert re.findall(r": (\d+) %", html) == ["99", "100", "1", "50", "0", "50"]


def test_what_a_model_does_not_have_is_said() -> None:
    assert "no probabilities of pairs" in render.render_map(replace(PREDICTION, pairs=None))
    assert "no probabilities of pairs" in render.render_own_order(OrderProbability(0.1, False, None), SENTENCES, 0.5)
    assert "beam search" in render.render_orders(replace(PREDICTION, pairs=None))
    assert "beam search" not in render.render_orders(PREDICTION)
    assert "doubts no pair" in render.render_own_order(OrderProbability(0.1, False, []), SENTENCES, 0.5)


def test_many_sentences_have_no_map_and_approximate_probabilities() -> None:
    many = replace(PREDICTION, order=list(range(41)), pairs=[[0.5] * 41] * 41, approximate=True)
    assert "at most 40 sentences; here are 41" in render.render_map(many)
    assert "approximate" in render.render_orders(many)
    assert "approximate" in render.render_model_order(0.1, approximate=True)
    assert "approximate" not in render.render_model_order(0.1, approximate=False)
