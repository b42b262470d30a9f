"""A record without the columns that are read is answered with the keys that would read it."""

from typing import Any

import pytest

from sentence_order.data.layout import Layout, suggest_keys

STEPS = '["Mix the eggs and the flour.", "Bake it for an hour."]'


@pytest.mark.parametrize(
    ("record", "keys"),
    [
        (
            {"storyid": "7f", "storytitle": "A trip home", **{f"sentence{n}": "He ran off." for n in (1, 2, 10)}},
            "sentence_columns=[sentence1,sentence2,sentence10] {}id_column=storyid",
        ),
        (
            {"": "0", "title": "A cake", "ingredients": '["1 egg"]', "directions": STEPS, "NER": '["egg"]'},
            "sentences_column=directions",
        ),
        ({"id": 1, "orig_sents": ["1", "0"], "shuf_sents": ["He left.", "He came."]}, "sentences_column=shuf_sents"),
        ({"train": {"docs": [{"sentences": ["He left."]}]}, "dev": {"docs": []}}, "records=train.docs"),
        (
            {"story_id": "3", "order": "1", "text": "He left."},
            "document_column=story_id {}position_column=order {}text",
        ),
        ({"title": "A cake", "abstract": "We bake a cake. It is good."}, "text_column=abstract"),
        (
            {"images": [{"title": "A b"}], "annotations": [[{"story_id": "3", "order": 0, "text": "He left."}]]},
            "document_column=story_id {}position_column=order {}text_column=text {}records=annotations",
        ),
        ({"data": {"docs": [{"sentences": ["He left."]}]}}, "records=data.docs"),
        ({"first part": "He left.", "number": "3"}, "text_column=first part"),
        (
            {"topic": "known plots", "first": "He came home at night.", "then": "He ate.", "last": "He went to bed."},
            "sentence_columns=[first,then,last]",
        ),
    ],
)
@pytest.mark.parametrize("prefix", ["data.", ""])
def test_the_keys_that_would_read_a_record_are_proposed(record: dict[str, Any], keys: str, prefix: str) -> None:
    found = suggest_keys(record, Layout(prefix=prefix))
    assert f"; set {prefix}{keys.replace('{}', prefix)}" in found.replace("'", "")  # quoted for the shell


def test_a_permutation_beside_the_sentences_is_proposed_as_gold_order() -> None:
    record = {"orig_sents": ["2", "1"], "shuf_sents": ["He left.", "He came."]}
    keys = "data.sentences_column=shuf_sents data.gold_order_column=orig_sents data.gold_order_base=1"
    assert suggest_keys(record, Layout()) == f"; set {keys}"
    assert suggest_keys(record, Layout(prefix="")) == "; set sentences_column=shuf_sents"


def test_nothing_is_proposed_that_reads_something_else() -> None:
    objects = {"id": "a", "sents": [{"text": "He came."}, {"text": "He left."}]}
    assert "records" not in suggest_keys(objects, Layout())
    assert "records=docs" in suggest_keys({"docs": [{"text": "He came. Then he left again."}]}, Layout())
    documents = {"story0": ["He came.", "He left."], "story1": ["She sat.", "She rose."]}
    assert suggest_keys(documents, Layout()).endswith("is not read; write a list in each line")


def test_without_a_guess_the_keys_are_named() -> None:
    deep: dict[str, Any] = {}
    for _ in range(900):
        deep = {"a": deep}
    assert suggest_keys(deep, Layout()).startswith("; the sentences are named by")
    assert suggest_keys({"a": 1}, Layout()).startswith("; the sentences are named by data.sentences_column=NAME")
    assert suggest_keys({"7": "3", "He left.": "He came."}, Layout()) == "; the first row must name the columns"
