"""Examples and batches are pure functions of (seed, epoch, text); batches are padded and masked."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sentence_order.config.schema import DataConfig
from sentence_order.data.batching import load_batches, load_shuffles, make_batches
from sentence_order.data.examples import collate, draw_permutation, make_example
from sentence_order.data.identity import document_key
from sentence_order.data.tokenization import Corpus, tokenize_corpus
from sentence_order.model.tiny import tiny_tokenizer
from tests.corpora import raw_split
from tests.properties import settings

ROW = {"input_ids": [1, 2, 3, 4, 5, 6], "lengths": [1, 3, 2], "text_rank": [2, 0, 1]}


def permutation(seed: int, epoch: int | None, text: str, count: int) -> list[int]:
    return draw_permutation(seed, epoch, document_key([text]), count).tolist()


@pytest.fixture(scope="module")
def corpus(stories: list[list[str]]) -> Corpus:
    tokenizer = tiny_tokenizer((sentence for story in stories for sentence in story), 500)
    return tokenize_corpus(raw_split(stories), tokenizer, DataConfig(max_sentence_tokens=64), "train")


def test_example_by_hand() -> None:
    example = make_example(ROW, 9, [2, 0, 1])
    assert example["input_ids"].tolist() == [5, 6, 1, 2, 3, 4]
    assert example["lengths"].tolist() == [2, 1, 3]
    assert example["positions"].tolist() == [2, 0, 1]
    assert example["text_rank"].tolist() == [1, 2, 0]
    assert example["document"].item() == 9


def test_batch_by_hand() -> None:
    short = {"input_ids": [7, 8], "lengths": [1, 1], "text_rank": [0, 1]}
    batch = collate([make_example(ROW, 0, [0, 1, 2]), make_example(short, 1, [1, 0])])
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5, 6], [8, 7, 0, 0, 0, 0]]
    assert batch["lengths"].tolist() == [[1, 3, 2], [1, 1, 0]]
    assert batch["positions"].tolist() == [[0, 1, 2], [1, 0, 0]]
    assert batch["mask"].tolist() == [[True, True, True], [True, True, False]]
    assert batch["document"].tolist() == [0, 1]


def test_permutations_are_stable_across_processes_and_versions() -> None:
    assert permutation(0, 0, "story-1", 5) == [3, 0, 1, 4, 2]
    assert permutation(0, None, "story-1", 5) == [0, 3, 1, 2, 4]


def test_permutations_depend_on_seed_epoch_and_document() -> None:
    reference = permutation(0, 0, "a", 20)
    assert reference == permutation(0, 0, "a", 20)
    others = [(1, 0, "a"), (0, 1, "a"), (0, None, "a"), (0, 0, "b")]
    assert all(permutation(*key, 20) != reference for key in others)


def test_permutations_are_uniform() -> None:
    first = [permutation(0, None, f"document {n}", 4)[0] for n in range(4000)]
    assert np.bincount(first) == pytest.approx([1000] * 4, abs=120)  # four standard deviations


@pytest.mark.parametrize(
    ("epoch", "batches"),
    [
        (0, [[1, 0], [11, 10, 9], [5, 4, 3, 2], [8, 7, 6]]),
        (1, [[5, 4, 3, 2], [8, 7, 6], [11, 10, 9], [1, 0]]),
        (None, [[11, 10, 9], [8, 7, 6], [5, 4, 3, 2], [1, 0]]),
    ],
)
def test_batches_are_stable_across_processes_and_versions(epoch: int | None, batches: list[list[int]]) -> None:
    assert make_batches(np.arange(20, 32), 100, seed=3, epoch=epoch) == batches


@settings(max_examples=50)
@given(
    lengths=st.lists(st.integers(2, 300), min_size=1, max_size=200),
    budget=st.integers(1, 1000),
    epoch=st.none() | st.integers(0, 3),
)
def test_batches_have_every_document_once_and_fit_the_budget(
    lengths: list[int], budget: int, epoch: int | None
) -> None:
    batches = make_batches(np.array(lengths), budget, seed=1, epoch=epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= budget
    assert batches == make_batches(np.array(lengths), budget, seed=1, epoch=epoch)


@pytest.mark.parametrize(("mean", "deviation", "most"), [(63, 9, 0.1), (180, 70, 0.15)], ids=["like ROC", "like ACL"])
@pytest.mark.parametrize("budget", [512, 4096])
def test_padding_share_is_small_and_epochs_differ(mean: int, deviation: int, most: float, budget: int) -> None:
    lengths = np.random.default_rng(0).normal(mean, deviation, 5000).astype(int).clip(20)
    batches = make_batches(lengths, budget, seed=0, epoch=0)
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert 1 - lengths.sum() / padded < most
    assert list(batches) != make_batches(lengths, budget, seed=0, epoch=1)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_workers(corpus: Corpus, workers: int) -> None:
    rows = make_batches(corpus.tokens, 300, seed=5, epoch=2)
    reference = list(load_batches(corpus, rows, seed=5, epoch=2))
    batches = list(load_batches(corpus, rows, seed=5, epoch=2, workers=workers))
    assert len(batches) == len(reference) > 5
    for batch, expected in zip(batches, reference, strict=True):
        assert all(torch.equal(batch[name], expected[name]) for name in expected)


def test_documents_of_batches_are_permuted_by_seed_epoch_and_text(corpus: Corpus) -> None:
    seen = 0
    for batches in load_shuffles(corpus, make_batches(corpus.tokens, 400), seed=2, shuffles=3):
        for number, batch in enumerate(batches):
            assert torch.equal(batch["document"], batches[0]["document"])
            for row, positions, mask in zip(batch["document"].tolist(), batch["positions"], batch["mask"], strict=True):
                sentences = corpus.documents[row]["sentences"]
                expected = draw_permutation(2, number or None, document_key(sentences), len(sentences))
                assert positions[mask].tolist() == expected.tolist()
                seen += 1
    assert seen == 3 * len(corpus)
