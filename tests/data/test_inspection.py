"""What would make a corpus worthless is reported before it is used, with a way out."""

import logging
import re

import pytest

from sentence_order.config.schema import DataConfig
from sentence_order.data.inspection import find_problems, inspect_corpora
from sentence_order.data.tokenization import Corpus, tokenize_corpus
from sentence_order.model.tiny import tiny_tokenizer
from tests.corpora import raw_split

TOKENIZER = tiny_tokenizer(["Tom baked a cake . It ate it : 1 2 3 10:30 11:30 12:15"], 90)
STORY = ["Tom baked a cake.", "Tom ate it.", "It ate Tom."]


def corpus_of(documents: list[list[str]], **settings: object) -> tuple[Corpus, DataConfig]:
    data = DataConfig(**settings)  # type: ignore[arg-type]
    return tokenize_corpus(raw_split(documents), TOKENIZER, data, "train"), data


@pytest.mark.parametrize(
    ("documents", "settings", "problem"),
    [
        ([STORY] * 3, {}, None),
        ([["汤姆烤了一个蛋糕。", "他吃了它。"], STORY], {}, "tokens are unknown .* encoder=xlm_roberta_base"),
        (
            [STORY] * 9,
            {"max_sentence_tokens": 5},
            "100% of the sentences are cut at 5 tokens; .* data.max_sentence_tokens",
        ),
        ([STORY, ["Tom."], ["A cake."]], {}, "2 of 3 documents have fewer than two sentences.*data.text_column"),
        (
            [["1. a cake", "2. it", "3. Tom"]] * 2 + [STORY],
            {},
            r'in 67% .* numbers .*strip_enumeration=true .*"1\. a cake".*"a cake"',
        ),
        ([["1. a cake", "2. it", "3. Tom"]] * 2 + [STORY], {"strip_enumeration": True}, None),
        ([["1. a cake", "2. it", "3. Tom"], STORY], {}, None),  # not in most
        ([["3. a", "1. it", "2. cake"]] * 2, {}, None),  # numbers that do not tell the order
        ([["1. a", "2. it"], STORY, STORY], {}, None),  # two sentences are in their order by chance
        ([["a cake", "a cake", "Tom", "a cake"]], {}, r"50% of the pairs .* a tau of 0\.50, not 0"),
        ([["10:30 a", "11:30 it", "12:15 cake"]], {}, "times"),
        ([["1 a", "2 it"], ["2 it", "1 a"]] * 50, {}, None),  # in pairs they rise or fall, as any two numbers do
        ([["1 a", "2 it"]] * 9, {}, "numbers that rise"),
        ([["3 a", "2 it", "1 Tom"], STORY] + [["1 a", "2 it", "3 Tom"]] * 2 + [STORY], {}, None),  # 2 of 5 rise
        ([["cake", "a", "1. it", "2. Tom", "3. a"]], {}, '"1. it" becomes "it"'),
        ([["x1 1 2 3 4 1: a", "x1 1 2 3 4 2: a", "x1 1 2 3 4 3: a"]], {"strip_enumeration": True}, None),
    ],
)
def test_problems_of_a_corpus_are_found(
    documents: list[list[str]], settings: dict[str, object], problem: str | None
) -> None:
    found = list(find_problems(*corpus_of(documents, **settings)).values())
    assert len(found) == (problem is not None), found
    assert problem is None or re.search(problem, found[0]), found[0]


def test_sentences_that_are_equal_behind_the_cut_are_reported() -> None:
    cut, equal = find_problems(*corpus_of([STORY], max_sentence_tokens=3)).values()
    assert cut.startswith("100% of the sentences are cut at 3 tokens")
    assert re.match("67% of the sentences have the same tokens .* data.max_sentence_tokens", equal)


def test_a_column_with_too_many_groups_is_reported() -> None:
    data, groups = DataConfig(), [f"g{n}" for n in range(21)]
    corpus = tokenize_corpus(raw_split([STORY] * 21, groups=groups), TOKENIZER, data, "test")
    assert ", 21 groups;" in corpus.describe()
    assert find_problems(corpus, data) == {
        "groups": "data.group_column: 21 groups; results are given for the 20 largest"
    }


def test_the_log_file_shows_documents_as_they_were_read(caplog: pytest.LogCaptureFixture) -> None:
    corpus, data = corpus_of([STORY, STORY[::-1], STORY])
    with caplog.at_level(logging.DEBUG, "sentence_order"):
        inspect_corpora({"train": corpus}, data)
    first, *lines = caplog.messages
    assert re.fullmatch("train: +3 documents, +9 sentences, +[0-9]+ tokens; .*", first)
    documents = [("d0", STORY), ("d1", STORY[::-1])]
    assert lines == [
        f"train, as read: document {name}, sentence {k}: {text}"
        for name, story in documents
        for k, text in enumerate(story, 1)
    ]
    assert {record.levelname for record in caplog.records[1:]} == {"DEBUG"}


def test_the_log_file_shows_sentences_without_the_enumeration_that_the_model_does_not_see(
    caplog: pytest.LogCaptureFixture,
) -> None:
    corpus, data = corpus_of([["1. a cake", "2. it", "3. Tom"]], strip_enumeration=True)
    with caplog.at_level(logging.DEBUG, "sentence_order"):
        inspect_corpora({"train": corpus}, data)
    assert [message.split(": ")[-1] for message in caplog.messages[1:]] == ["a cake", "it", "Tom"]


def test_a_problem_of_several_splits_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    corpus, data = corpus_of([["1. a cake", "2. it", "3. Tom"]])
    inspect_corpora({"train": corpus, "validation": corpus, "test": corpus}, data)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].startswith("train: in 100% of the documents")
