"""Predictions do not depend on how the text was given, and take whatever text there is."""

import random

import pytest

from sentence_order.config import PositionIds
from sentence_order.decoding import DECODERS
from sentence_order.errors import UserError
from sentence_order.model.modeling import SentenceOrderer


def test_order_does_not_depend_on_the_input(tiny_model: SentenceOrderer, stories) -> None:
    shuffled = [random.Random(7).sample(story, len(story)) for story in stories]
    plain, other = tiny_model.predict(stories), tiny_model.predict(shuffled)
    assert [p.sentences for p in plain] == [p.sentences for p in other]
    assert [p.confidence for p in plain] == pytest.approx([p.confidence for p in other], abs=1e-5)


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_prediction_is_a_permutation(tiny_model: SentenceOrderer, stories, decoder: str) -> None:
    for story, prediction in zip(stories, tiny_model.predict(stories, decoder=decoder), strict=True):
        assert sorted(prediction.order) == list(range(len(story)))
        assert prediction.sentences == [story[i] for i in prediction.order]
        assert 0 <= prediction.confidence <= 1


def test_batching_changes_nothing(tiny_model: SentenceOrderer, stories) -> None:
    together = tiny_model.predict(stories)
    alone = [tiny_model.predict([story], batch_tokens=1)[0] for story in stories]
    assert [p.order for p in together] == [p.order for p in alone]


def test_odd_documents(tiny_model: SentenceOrderer) -> None:
    documents = [
        [],
        ["Alone."],
        ["", "  "],
        ["b", "", "a"],
        ["same", "same", "same"],
        ["שלום עולם.", "🙂🙂", "\u0000\u200b", "x" * 5000],
        [f"Sentence number {n}." for n in range(150)],
    ]
    predictions = tiny_model.predict(documents)
    assert [p.order for p in predictions[:3]] == [[], [0], []]
    assert sorted(predictions[3].order) == [0, 2]
    assert predictions[4].confidence == pytest.approx(1.0)  # all orders of identical sentences are right
    assert sorted(predictions[6].order) == list(range(150))
    assert tiny_model.order([]) == []
    assert tiny_model.order(["One.", "Two."]) in ([0, 1], [1, 0])


def test_a_document_that_is_too_long_to_be_ordered(tiny_model: SentenceOrderer) -> None:
    with pytest.raises(UserError, match=r"input: a document has 4,097 sentences, and up to 4,096 can be ordered"):
        tiny_model.predict([["One.", "Two."], ["a"] * 4097])


def test_a_document_that_is_too_long_to_be_read_in_one_piece(make_model) -> None:
    model = make_model(joint_from=0, position_ids=PositionIds.per_document, set_layers=0)
    document = [f"Sentence number {n} is one of many." for n in range(100)]
    with pytest.raises(UserError, match=r"input: a document has \d+ tokens, .* reads up to 512; leave it out"):
        model.predict([document])
