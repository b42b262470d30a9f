"""A document is its text: keys, fingerprints and the ranks that break ties."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sentence_order.data.identity import document_key, rank_texts, text_fingerprint
from tests.properties import settings

texts = st.lists(st.text(), min_size=1, max_size=8)


def test_the_key_is_of_the_sentences_in_their_order() -> None:
    assert document_key(["a", "b"]) == document_key(["a", "b"])
    assert len({document_key(text) for text in (["a", "b"], ["b", "a"], ["a b"], ["a"], ["A", "b"])}) == 5


def test_copies_have_one_fingerprint() -> None:
    text = ["Tom sat.", "He é."]
    copies = [
        ["he e\u0301 .", " TOM  sat."],
        ["\u201cTom sat\u201d", "- he, \u00e9!"],
        ["T\u00adom\u200b sat", "\ufeffhe \u00e9"],  # invisible characters
        ["Tom sat.", " ", "He é."],
        ["Step 1: Tom sat.", "Step 2: He é."],
        ["\uff34om sat.", "He\u00a0é."],
    ]
    for copy in copies:
        assert text_fingerprint(copy) == text_fingerprint(text)
    for other in (["Tom sat."], ["Tom sat.", "He e."], ["Tom sat. He é."]):
        assert text_fingerprint(other) != text_fingerprint(text)


@given(texts, st.randoms())
@settings()
def test_ranks_number_the_distinct_texts_and_follow_them_when_they_are_shuffled(
    document: list[str], dice: random.Random
) -> None:
    ranks = rank_texts(document)
    assert sorted(set(ranks)) == list(range(len(set(document))))
    rank = dict(zip(document, ranks, strict=True))
    dice.shuffle(document)
    assert rank_texts(document) == [rank[text] for text in document]


def test_ranks_of_numbered_sentences_do_not_know_the_number() -> None:
    """In the alphabet they would be in order; here each of the six comes first in about a sixth of the documents."""
    ranks = np.array([rank_texts([f"Story {n}: part {k}." for k in range(6)]) for n in range(6000)])
    firsts = np.bincount(ranks.argmin(1), minlength=6)
    assert (abs(firsts - 1000) < 120).all(), "four standard deviations"
    rising = (np.diff(ranks) > 0).mean()
    assert abs(rising - 0.5) < 0.012, "four standard deviations"
