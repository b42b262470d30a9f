"""Documents in two splits, or of an earlier training, are counted, dropped or refused."""

import logging

import numpy as np
import pytest
from datasets import Dataset

from sentence_order.config.schema import Overlap
from sentence_order.data.identity import text_fingerprint
from sentence_order.data.overlap import EarlierTraining, resolve_overlap
from sentence_order.errors import UserError
from tests.corpora import raw_split

TEXTS = [[f"Tom had {n} apples.", "He ate one."] for n in range(10)]


def splits() -> dict[str, Dataset]:
    """Train has 2 of the validation's and 3 of the test's documents, validation 1 of the test's."""
    copies = [[sentence.upper() + " " for sentence in reversed(TEXTS[n])] for n in (4, 5, 7, 8, 9)]
    return {
        "train": raw_split([*TEXTS[:4], *copies]),
        "validation": raw_split([*TEXTS[4:6], TEXTS[6]]),
        "test": raw_split(TEXTS[6:10]),
    }


COUNTS: dict[str, object] = {"train_in_validation": 2, "train_in_test": 3, "validation_in_test": 1}


def test_overlap_is_counted_in_one_line_each(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sentence_order"):
        found, counts = resolve_overlap(splits(), Overlap.warn)
    assert counts == {"policy": "warn", **COUNTS}
    assert {name: len(split) for name, split in found.items()} == {"train": 9, "validation": 3, "test": 4}
    assert [line.split(" (")[0] for line in caplog.messages] == [
        "overlap: 2 of 9 documents of data.train are also in data.validation",
        "overlap: 3 of 9 documents of data.train are also in data.test",
        "overlap: 1 of 3 documents of data.validation are also in data.test",
    ]


def test_dropped_documents_leave_the_test_as_it_is() -> None:
    found, counts = resolve_overlap(splits(), Overlap.drop)
    assert counts == {"policy": "drop", **COUNTS}
    assert found["train"]["sentences"] == TEXTS[:4]
    assert found["validation"]["sentences"] == TEXTS[4:6]
    assert found["test"]["sentences"] == TEXTS[6:10]
    again, counts = resolve_overlap(found, Overlap.error)
    assert set(counts.values()) == {"error", 0}
    assert again == found


def test_what_a_checkpoint_was_trained_on_is_dropped_from_what_is_evaluated() -> None:
    trained_on = np.array([text_fingerprint(TEXTS[n]) for n in (0, 7, 8)], dtype=np.uint64)
    found, counts = resolve_overlap(
        {"test": splits()["test"]}, Overlap.drop, EarlierTraining(trained_on, "checkpoint=run"), ["test"]
    )
    assert counts == {"policy": "drop", "test_in_earlier_training": 2}
    assert found["test"]["sentences"] == [TEXTS[6], TEXTS[9]]


def test_overlap_may_be_an_error() -> None:
    with pytest.raises(UserError, match=r"2 of 9 documents of data\.train .* data\.validation"):
        resolve_overlap(splits(), Overlap.error)
    everything = np.array([text_fingerprint(text) for text in TEXTS], dtype=np.uint64)
    with pytest.raises(
        UserError, match=r"data\.test are among those that checkpoint=run was trained on.*would leave none"
    ):
        resolve_overlap(
            {"test": splits()["test"]}, Overlap.drop, EarlierTraining(everything, "checkpoint=run"), ["test"]
        )


def test_what_is_not_known_is_not_counted_as_nothing(caplog: pytest.LogCaptureFixture) -> None:
    old = EarlierTraining(None, "checkpoint=old")
    _, counts = resolve_overlap({"test": splits()["test"]}, Overlap.error, old, ["test"])
    assert counts == {"policy": "error", "test_in_earlier_training": None}
    assert "not known, since checkpoint=old does not record" in caplog.text


def test_documents_without_an_order_do_not_count() -> None:
    short = [["Alone."], [], ["", " "]]
    found, counts = resolve_overlap({"train": raw_split([*short, TEXTS[0]]), "test": raw_split(short)}, Overlap.error)
    assert counts["train_in_test"] == 0
    assert len(found["train"]) == 4
