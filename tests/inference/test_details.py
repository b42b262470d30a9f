"""The likeliest orders, pairs and neighbours of a document agree with each other, with `probability` and confidence."""

import logging
from itertools import combinations, pairwise, permutations
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from sentence_order import SentenceOrderer
from sentence_order.errors import UserError
from sentence_order.inference.ordering import Prediction
from sentence_order.model.modeling import SentenceOrdererModel

FIVE = ["He ate it.", "Tom baked a cake.", "It smelled of lemon.", "He bought flour.", "They were full."]
EVERYTHING = {"top_k": 200, "pairs": True, "neighbours": True}


@pytest.fixture
def orderer(make_model) -> SentenceOrderer:
    """Of random weights, which tells orders apart by more than rounding."""
    return sharpen(make_model())


def sharpen(model: SentenceOrdererModel) -> SentenceOrderer:
    for head in model.heads.values():
        for weight in head.parameters():
            weight.data *= 3
    return SentenceOrderer(model)


def predict(orderer: SentenceOrderer, sentences: list[str], **options: Any) -> Prediction:
    (prediction,) = orderer.predict([sentences], **options)
    return prediction


def test_all_of_them_agree_with_the_probabilities_of_all_orders(orderer: SentenceOrderer) -> None:
    found = predict(orderer, FIVE, **EVERYTHING)
    assert found.top_k is not None
    assert {tuple(ranked.order) for ranked in found.top_k} == set(permutations(range(5)))
    probabilities = [ranked.probability for ranked in found.top_k]
    assert sum(probabilities) == pytest.approx(1.0)
    assert all(later < 1.001 * earlier for earlier, later in pairwise(probabilities))  # to the decoders' resolution
    assert probabilities[0] > 2 * probabilities[60], "orders are as good as alike"
    assert (found.order, found.probability) == (found.top_k[0].order, pytest.approx(probabilities[0]))

    before, following = np.zeros((5, 5)), np.zeros((5, 5))
    for ranked in found.top_k:
        for i, j in combinations(ranked.order, 2):
            before[i, j] += ranked.probability
        for i, j in pairwise(ranked.order):
            following[i, j] += ranked.probability
    np.testing.assert_allclose(np.array(found.pairs), before, atol=1e-9)
    np.testing.assert_allclose(np.array(found.neighbours), following, atol=1e-9)
    for ranked in found.top_k[::17]:
        assert orderer.probability(FIVE, ranked.order).probability == pytest.approx(ranked.probability)


def test_what_is_not_asked_for_is_none_and_changes_nothing(orderer: SentenceOrderer, stories) -> None:
    plain, full = orderer.predict(stories), orderer.predict(stories, top_k=2, pairs=True, neighbours=True)
    for one, other in zip(plain, full, strict=True):
        assert (one.top_k, one.pairs, one.pairs_calibrated, one.neighbours) == (None, None, None, None)
        assert (one.order, one.confidence, one.probability) == (other.order, other.confidence, other.probability)
        assert len(other.top_k) == 2


def test_calibrated_pairs_are_scaled_in_their_log_odds(orderer: SentenceOrderer) -> None:
    assert predict(orderer, FIVE, pairs=True).pairs_calibrated is None
    orderer.model.config.pair_calibration = 0.5
    found = predict(orderer, FIVE, pairs=True)
    own, calibrated = np.array(found.pairs), np.array(found.pairs_calibrated)
    is_pair = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(calibrated[is_pair], expit(0.5 * logit(own[is_pair])))
    np.testing.assert_array_equal(calibrated[~is_pair], 0.0)


def test_the_worst_of_a_pair_comes_first(orderer: SentenceOrderer) -> None:
    pairs = np.array(predict(orderer, FIVE, pairs=True).pairs)
    order = [4, 2, 0, 3, 1]
    found = orderer.probability(FIVE, order)
    expected = sorted((pairs[i, j], i, j) for i, j in combinations(order, 2) if pairs[i, j] < 0.5)
    assert [(pair.first, pair.second) for pair in found.doubted_pairs] == [(i, j) for _, i, j in expected]
    assert [pair.probability for pair in found.doubted_pairs] == pytest.approx([value for value, _, _ in expected])
    assert expected, "no pair is doubted"
    assert not found.approximate


def test_indices_are_those_of_the_input_and_empty_sentences_have_none(orderer: SentenceOrderer) -> None:
    plain = predict(orderer, FIVE, **EVERYTHING)
    place = [0, 2, 3, 5, 6]  # of each of the five sentences
    found = predict(orderer, [FIVE[0], " ", *FIVE[1:3], "", *FIVE[3:]], **EVERYTHING)
    assert found.order == [place[i] for i in plain.order]
    assert [r.order for r in found.top_k] == [[place[i] for i in r.order] for r in plain.top_k]
    for name in ("pairs", "neighbours"):
        matrix = getattr(found, name)
        assert len(matrix) == 7
        assert {value for k in (1, 4) for value in (*matrix[k], *(row[k] for row in matrix))} == {None}
        assert [[matrix[i][j] for j in place] for i in place] == getattr(plain, name)
    assert orderer.probability([FIVE[0], " ", FIVE[1]], [2, 0]).probability > 0


def test_documents_of_less_than_two_sentences(orderer: SentenceOrderer) -> None:
    alone, empty = orderer.predict([["", "Alone."], [" "]], **EVERYTHING)
    assert [(r.order, r.probability) for r in alone.top_k] == [([1], 1.0)]
    assert alone.pairs == alone.neighbours == [[None, None], [None, 0.0]]
    assert [(r.order, r.probability) for r in empty.top_k] == [([], 1.0)]
    assert (empty.pairs, empty.probability, empty.approximate) == ([[None]], 1.0, False)
    assert orderer.probability(["Alone."], [0]).probability == 1.0
    assert orderer.probability([], []).doubted_pairs == []


def test_identical_sentences_are_one_text(orderer: SentenceOrderer) -> None:
    found = predict(orderer, ["The same.", "Another.", "The same."], **EVERYTHING)
    assert len(found.top_k) == 3
    assert sum(ranked.probability for ranked in found.top_k) == pytest.approx(1.0)
    assert found.pairs[0][2] == pytest.approx(0.5)
    for order in ([0, 1, 2], [2, 1, 0]):
        assert orderer.probability(["The same.", "Another.", "The same."], order).probability == pytest.approx(
            next(r.probability for r in found.top_k if r.order == [0, 1, 2])
        )
    swapped = orderer.probability(["The same.", "The same."], [1, 0])
    assert (swapped.probability, swapped.doubted_pairs) == (pytest.approx(1.0, abs=1e-5), [])


def test_more_than_twelve_sentences_are_approximate(orderer: SentenceOrderer) -> None:
    sentences = [f"Sentence {n} of {n * n}." for n in range(15)]
    twelve, found = orderer.predict([sentences[:12], sentences], top_k=4, pairs=True)
    assert (twelve.approximate, found.approximate) == (False, True)
    assert found.order == found.top_k[0].order
    probabilities = [ranked.probability for ranked in found.top_k]
    assert all(later < 1.001 * earlier for earlier, later in pairwise(probabilities))
    assert sum(probabilities) <= 1
    own = orderer.probability(sentences, found.order)
    assert own.approximate
    assert own.probability == pytest.approx(found.probability)
    pairs = np.array(found.pairs)
    np.testing.assert_allclose(pairs + pairs.T, 1 - np.eye(15))


def test_a_pointer_has_likeliest_orders_and_no_pairs(make_model, caplog: pytest.LogCaptureFixture) -> None:
    model = make_model(heads=["relational_pointer"], loss={"pointer": 1.0}, decoder="pointer")
    orderer = SentenceOrderer(model)
    with caplog.at_level(logging.INFO):
        found, alone = orderer.predict([FIVE[:4], FIVE[:1]], **EVERYTHING)
    assert "pairs, neighbours: a pointer network has no such probabilities" in caplog.text
    assert len(found.top_k) == 24
    assert sum(ranked.probability for ranked in found.top_k) == pytest.approx(1.0, abs=1e-4)
    assert found.order == found.top_k[0].order
    assert (found.pairs, found.neighbours, alone.pairs, alone.neighbours) == (None, None, None, None)
    own = orderer.probability(FIVE[:4], found.order)
    assert own.doubted_pairs is None
    assert own.probability == pytest.approx(found.probability, abs=1e-5)


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 2, 3, 3], [1, 2, 3, 4, 5], [0, 1, 2, 3, "4"], [[0], 1, 2, 3, 4]])
def test_an_order_of_other_sentences_is_refused(orderer: SentenceOrderer, order: list[Any]) -> None:
    with pytest.raises(UserError, match=r"order: holds each index .* \(\[0, 1, 2, 3, 4\]\), not "):
        orderer.probability(FIVE, order)


def test_of_repeated_sentences_the_order_is_the_likeliest(orderer: SentenceOrderer) -> None:
    """Also of long documents, by a narrow beam."""
    sentences = [f"Sentence {n % 11} of {n % 11 * 7}." for n in range(16)]
    for width in (8, 64):
        found = predict(orderer, sentences, top_k=6, beam_width=width)
        assert found.order == found.top_k[0].order
        assert found.probability == pytest.approx(found.top_k[0].probability)
        texts = [tuple(sentences[i] for i in ranked.order) for ranked in found.top_k]
        assert len(set(texts)) == 6
        assert sum(ranked.probability for ranked in found.top_k) <= 1


def test_the_number_of_orders_has_a_range(orderer: SentenceOrderer) -> None:
    with pytest.raises(UserError, match="top_k: must be at least 0"):
        orderer.predict([FIVE], top_k=-1)
