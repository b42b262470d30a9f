"""Dropped and truncated sentences are counted, and the others are tokenised one by one."""

import numpy as np
import pytest

from sentence_order.config.schema import DataConfig
from sentence_order.data import encoding
from sentence_order.data.encoding import tokenize_documents
from sentence_order.data.identity import document_key
from sentence_order.data.tokenization import tokenize_corpus
from sentence_order.errors import UserError
from sentence_order.model.tiny import tiny_tokenizer
from tests.corpora import raw_split

TOKENIZER = tiny_tokenizer(["a b c d e f g"], 50)
LIMITS = DataConfig(max_sentences=3, max_sentence_tokens=6)


def test_dropped_and_truncated_sentences_are_counted() -> None:
    documents = raw_split([["a b", " ", "c"], ["a"], ["", "b"], ["a", "b", "c", "d"], ["a b c d e f g", "b"]])
    corpus = tokenize_corpus(documents, TOKENIZER, LIMITS, "train")
    assert corpus.documents["id"] == ["d0", "d3", "d4"]
    assert corpus.documents["sentences"][1] == ["a", "b", "c"]
    assert corpus.counts == {
        **{"empty": 2, "cut": 1, "beyond": 1, "repeated": 0, "alike": 0},
        **{"short": 2, "copies": 0},
    }
    assert corpus.lengths.tolist() == [4, 3, 3, 3, 3, 6, 3]
    assert corpus.sizes.tolist() == [2, 3, 2]
    assert corpus.tokens.tolist() == [7, 9, 9]
    assert corpus.input_ids[7:16].tolist() == [i for text in "abc" for i in TOKENIZER(text)["input_ids"]]
    assert "3 documents" in corpus.describe()
    assert corpus.describe().count(",") == 2 + 3, "after two commas, four of the counts"


def test_what_cannot_be_told_apart_is_counted() -> None:
    """Equal texts, equal tokens after the limit, and words that are not in the vocabulary."""
    same = ["a b", "c", "a b", "c  "]
    documents = raw_split([same, ["a b c d e", "a b c d f", "a b c d g"], ["xx", "yy", "a"], same])
    corpus = tokenize_corpus(documents, TOKENIZER, DataConfig(max_sentence_tokens=5), "train")
    assert corpus.counts == {"empty": 0, "cut": 3, "beyond": 0, "repeated": 4, "alike": 5, "short": 0, "copies": 1}
    assert corpus.num_unknown_tokens == 2


def test_tokenising_many_documents_equals_tokenising_them_one_by_one() -> None:
    texts = [["a b", "c" * (n % 3), "d e f g"[: 1 + n % 7]] if n % 1000 else ["a"] for n in range(2500)]
    corpus = tokenize_corpus(raw_split(texts), TOKENIZER, LIMITS, "train")
    kept = [n for n in range(2500) if n % 1000]
    columns = tokenize_documents([texts[n] for n in kept], TOKENIZER, 3, 6)
    assert corpus.keys.tolist() == columns["key"]
    assert columns["key"][:2] == [document_key(["a b", "c", "d"]), document_key(["a b", "cc", "d e"])]
    assert corpus.sizes.tolist() == list(map(len, columns["lengths"]))
    for column in ("input_ids", "lengths", "text_rank"):
        values = getattr(corpus, column)
        assert values.dtype == np.int32
        assert values.tolist() == [value for document in columns[column] for value in document]


def test_tokens_do_not_depend_on_how_many_texts_are_encoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [["a b", "c"], [], ["d", "e f", "g"]]
    whole = tokenize_documents(documents, TOKENIZER, None, 9)
    monkeypatch.setattr(encoding, "ENCODED_AT_ONCE", 2)
    assert tokenize_documents(documents, TOKENIZER, None, 9) == whole


def test_stripped_enumerators_are_not_read_and_stay_in_the_text() -> None:
    numbered = [["1. a b", "2. c", "3. d"]]
    columns = tokenize_documents(numbered, TOKENIZER, None, 9, strip_enumeration=True)
    plain = tokenize_documents([["a b", "c", "d"]], TOKENIZER, None, 9)
    assert columns["input_ids"] == plain["input_ids"]
    assert columns["sentences"] == numbered
    assert tokenize_documents(numbered, TOKENIZER, None, 9)["input_ids"] != plain["input_ids"]


def test_truncation_keeps_the_last_special_token() -> None:
    columns = tokenize_documents([["a b c", "d"]], TOKENIZER, None, 4)
    whole = TOKENIZER("a b c")["input_ids"]
    assert columns["input_ids"][0] == [*whole[:3], whole[-1], *TOKENIZER("d")["input_ids"]]


def test_a_split_with_nothing_to_order_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.test: none of the 2 documents"):
        tokenize_corpus(raw_split([["a"], []]), TOKENIZER, LIMITS, "test")
