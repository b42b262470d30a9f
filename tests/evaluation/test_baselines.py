"""The order by words beats a random one by what words tell, and both are counted as a model's orders are."""

from random import Random

import numpy as np
import pytest

from sentence_order.config.schema import DataConfig
from sentence_order.data.synthetic import generate
from sentence_order.data.tokenization import Corpus, tokenize_corpus
from sentence_order.evaluation import baselines as baselines_module
from sentence_order.evaluation.baselines import baseline_counts, score_sentences
from sentence_order.evaluation.metrics import metrics_of, summarise
from sentence_order.model.tiny import tiny_tokenizer
from tests.corpora import raw_split

STORIES = [["it starts", "it goes", "it ends"]] * 40
TOKENIZER = tiny_tokenizer(["it starts goes ends b1 b2 b3"], 400)


def corpus_of(documents: list[list[str]]) -> Corpus:
    return tokenize_corpus(raw_split(documents), TOKENIZER, DataConfig(), "test")


def baselines(train: Corpus, test: Corpus) -> dict[str, dict[str, float]]:
    given = [Random(row).sample(range(size), size) for row, size in enumerate(test.sizes.tolist())]
    return {name: summarise(metrics_of(counts)) for name, counts in baseline_counts(train, test, given).items()}


def test_words_that_tell_the_place_give_the_order() -> None:
    found = baselines(corpus_of(STORIES), corpus_of([["b1 starts", "b2 goes", "ends b1"], ["starts", "ends"]] * 20))
    assert found["bag_of_words"]["tau"] == found["bag_of_words"]["pmr"] == 1
    assert abs(found["random_order"]["tau"]) < 0.4


def test_words_that_training_has_not_seen_leave_the_random_order() -> None:
    found = baselines(corpus_of([["starts", "ends"]]), corpus_of([["b1 b2 b3", "b3 b2 b1", "b2 b1 b3"]] * 9))
    assert found["bag_of_words"] == found["random_order"]


def test_the_score_of_a_token_by_hand() -> None:
    """It is in two first sentences, at -1/2, and thirty more are added at 0."""
    train = corpus_of([["starts", "ends"], ["starts", "goes"]])
    starts, goes = score_sentences(train, corpus_of([["starts", "goes"]]))
    shared = 0.0  # the special tokens, which are in all
    assert starts == pytest.approx(shared - 2 * 0.5 / 32)
    assert goes == pytest.approx(shared + 0.5 / 31)


def test_only_the_first_training_documents_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    test = corpus_of([["it ends", "b1 starts", "goes"]])
    first = corpus_of([["starts", "goes"], ["b1", "it", "ends"]])
    more = corpus_of([["starts", "goes"], ["b1", "it", "ends"], ["ends b2", "starts"]])
    alone = score_sentences(first, test)
    assert not np.array_equal(score_sentences(more, test), alone)
    monkeypatch.setattr(baselines_module, "MAX_TRAINING_DOCUMENTS", 2)
    np.testing.assert_array_equal(score_sentences(more, test), alone)


def test_counts_are_those_of_each_document_in_its_row() -> None:
    test = corpus_of([["starts", "ends"], ["starts", "goes", "ends"], ["starts", "ends"]])
    counts = baseline_counts(corpus_of(STORIES), test, [[1, 0], [2, 1, 0], [0, 1]])["random_order"]
    assert counts["sentences"].tolist() == [2, 3, 2]
    assert counts["inversions"].tolist() == [1, 3, 0]


def test_words_stay_weak_on_stories_of_unseen_plots() -> None:
    stories = {"train": [sentences for _, sentences, _ in generate("train", 0, 400)]}
    stories["test"] = [sentences for _, sentences, group in generate("test", 0, 800) if group == "new plots"]
    tokenizer = tiny_tokenizer([sentence for story in stories["train"] for sentence in story], 8000)
    train, test = (tokenize_corpus(raw_split(stories[name]), tokenizer, DataConfig(), name) for name in stories)
    found = baselines(train, test)
    assert found["random_order"]["tau"] + 0.1 < found["bag_of_words"]["tau"] < 0.4
    assert np.isfinite(list(found["bag_of_words"].values())).all()
