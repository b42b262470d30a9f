"""Batches are pure functions of (seed, epoch, text); they are padded and masked."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sentence_order.arrays import FloatArray, IntArray
from sentence_order.config.schema import DataConfig
from sentence_order.data.batching import load_batches, load_shuffles, make_batches
from sentence_order.data.examples import Batch, CachedHiddenStates, TokenizedDocuments, make_batch
from sentence_order.data.identity import document_key
from sentence_order.data.permutations import draw_permutations
from sentence_order.data.tokenization import Corpus, tokenize_corpus
from sentence_order.model.tiny import tiny_tokenizer
from tests.corpora import raw_split
from tests.properties import settings

BY_HAND = TokenizedDocuments.of([5, 6], [[1, 2, 3, 4, 5, 6], [7, 8]], [[1, 3, 2], [1, 1]], [[2, 0, 1], [0, 1]])
KEYS = st.integers(0, 2**64 - 1)


def draw(seed: int, epoch: int | None, key: int, count: int) -> list[int]:
    return draw_permutations(seed, epoch, np.array([key], dtype=np.uint64), np.array([count]))[0].tolist()


@pytest.fixture(scope="module")
def corpus(stories: list[list[str]]) -> Corpus:
    tokenizer = tiny_tokenizer((sentence for story in stories for sentence in story), 500)
    return tokenize_corpus(raw_split(stories), tokenizer, DataConfig(max_sentence_tokens=64), "train")


def documents_of(sizes: Sequence[int]) -> TokenizedDocuments:
    """Random documents of so many sentences."""
    generator = np.random.default_rng(0)
    lengths = [generator.integers(1, 9, size).tolist() for size in sizes]
    tokens = [generator.integers(1, 1000, sum(own)).tolist() for own in lengths]
    ranks = [generator.integers(0, size, size).tolist() for size in sizes]
    return TokenizedDocuments.of(generator.integers(0, 2**63, len(sizes)), tokens, lengths, ranks)


def with_states(documents: TokenizedDocuments, dtype: str, by_token: bool) -> TokenizedDocuments:
    """The documents with states in three shards, of sentences in any order."""
    generator = np.random.default_rng(1)
    count = documents.lengths if by_token else np.ones_like(documents.lengths)
    shard = generator.integers(0, 3, len(count))
    start, shards = np.zeros(len(count), dtype=np.int64), list[FloatArray]()
    for number in range(3):
        own = generator.permutation(np.flatnonzero(shard == number))
        start[own] = count[own].cumsum() - count[own]
        shards.append(generator.standard_normal((int(count[own].sum()), 4)).astype(dtype))
    return replace(documents, states=CachedHiddenStates(shards, shard, start, count))


def slow_batch(documents: TokenizedDocuments, rows: Sequence[int], seed: int, epoch: int | None) -> Batch:
    """What `load_batches` makes, document by document and sentence by sentence."""
    columns: dict[str, list[Tensor]] = {"lengths": [], "positions": [], "text_rank": [], "mask": [], "content": []}
    for row in rows:
        first, last = documents.first_sentence[row : row + 2].tolist()
        order = draw(seed, epoch, int(documents.keys[row]), last - first)
        contents: list[FloatArray | IntArray] = []
        for sentence in (first + position for position in order):
            if (states := documents.states) is None:
                start, end = documents.first_token[sentence : sentence + 2].tolist()
                contents.append(documents.input_ids[start:end].astype(np.int64))
            else:
                start = states.start[sentence]
                contents.append(states.shards[states.shard[sentence]][start : start + states.count[sentence]])
        own = {
            "lengths": documents.lengths[first:last][order].astype(np.int64),
            "positions": np.array(order),
            "text_rank": documents.text_rank[first:last][order].astype(np.int64),
            "mask": np.ones(last - first, dtype=bool),
            "content": np.concatenate(contents),
        }
        for name, values in own.items():
            columns[name].append(torch.from_numpy(values))
    content = columns.pop("content")
    batch = {name: pad_sequence(column, batch_first=True) for name, column in columns.items()}
    key = "input_ids" if documents.states is None else "prefix"
    batch[key] = pad_sequence(content, batch_first=True) if key == "input_ids" else torch.cat(content)
    return batch | {"document": torch.tensor(rows)}


def assert_equal(batch: Batch, expected: Batch) -> None:
    assert batch.keys() == expected.keys()
    for name, tensor in expected.items():
        assert batch[name].dtype is tensor.dtype, name
        assert torch.equal(batch[name], tensor), name


def test_batch_by_hand() -> None:
    batch = make_batch(BY_HAND, [0, 1], np.array([[2, 0, 1], [1, 0, 9]]))
    assert batch["input_ids"].tolist() == [[5, 6, 1, 2, 3, 4], [8, 7, 0, 0, 0, 0]]
    assert batch["lengths"].tolist() == [[2, 1, 3], [1, 1, 0]]
    assert batch["positions"].tolist() == [[2, 0, 1], [1, 0, 0]]
    assert batch["text_rank"].tolist() == [[1, 2, 0], [1, 0, 0]]
    assert batch["mask"].tolist() == [[True, True, True], [True, True, False]]
    assert batch["document"].tolist() == [0, 1]


def test_without_a_given_order_sentences_come_as_they_stand() -> None:
    batch = make_batch(BY_HAND, [1, 0])
    assert batch["input_ids"].tolist() == [[7, 8, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6]]
    assert batch["positions"].tolist() == [[0, 1, 0], [0, 1, 2]]
    assert batch["document"].tolist() == [1, 0]


def test_a_batch_without_documents_is_empty() -> None:
    assert make_batch(BY_HAND, []) == {}
    assert next(load_batches(BY_HAND, [[], [1]], 0, 0)) == {}
    none = TokenizedDocuments.of([], [], [], [])
    assert make_batch(none, []) == {}


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 12) | st.integers(1, 100), min_size=1, max_size=6),
    states=st.none() | st.tuples(st.sampled_from(["float32", "float16"]), st.booleans()),
    epoch=st.none() | st.integers(0, 3),
    data=st.data(),
)
def test_batches_are_those_made_document_by_document(
    sizes: list[int], states: tuple[str, bool] | None, epoch: int | None, data: st.DataObject
) -> None:
    documents = documents_of(sizes)
    if states is not None:
        documents = with_states(documents, *states)
    rows = data.draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=8))
    (batch,) = load_batches(documents, [rows], 3, epoch)
    assert_equal(batch, slow_batch(documents, rows, 3, epoch))


def test_permutations_are_stable_across_processes_and_versions() -> None:
    key = document_key(["story-1"])
    assert draw(0, 0, key, 5) == [0, 1, 2, 4, 3]
    assert draw(0, None, key, 5) == [0, 4, 1, 3, 2]
    assert draw(2**62, 2**20, 2**64 - 1, 5) == [2, 3, 4, 0, 1]


def test_hashes_are_those_of_splitmix64() -> None:
    """Worked out with Python's own integers."""
    mask, gamma = 2**64 - 1, 0x9E3779B97F4A7C15

    def mix(x: int) -> int:
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & mask
        x = (x ^ x >> 27) * 0x94D049BB133111EB & mask
        return x ^ x >> 31

    # The first output of the generator from state 1234567, as published with its code.
    assert mix(1234567 + gamma & mask) == 6457827717110365317
    for seed, epoch, key in ((0, None, 0), (7, 0, 2**64 - 1), (2**62, 5, 12345)):
        state = mix(mix(mix(seed + gamma & mask) + (0 if epoch is None else epoch + 1) * gamma & mask) ^ key)
        hashes = [mix(state + (k + 1) * gamma & mask) for k in range(50)]
        assert draw(seed, epoch, key, 50) == sorted(range(50), key=hashes.__getitem__)


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**64 - 1),
    epoch=st.none() | st.integers(0, 2**62),
    documents=st.lists(st.tuples(KEYS, st.integers(0, 100)), min_size=1, max_size=6),
)
def test_permutations_do_not_depend_on_the_rest_of_the_batch(
    seed: int, epoch: int | None, documents: list[tuple[int, int]]
) -> None:
    keys, counts = (np.array(column, dtype=np.uint64) for column in zip(*documents, strict=True))
    drawn = draw_permutations(seed, epoch, keys, counts.astype(int))
    assert drawn.shape == (len(documents), counts.max())
    for order, (key, count) in zip(drawn.tolist(), documents, strict=True):
        assert order[:count] == draw(seed, epoch, key, count)
        assert sorted(order[:count]) == list(range(count))
        assert order[count:] == list(range(count, len(order)))


def test_permutations_depend_on_seed_epoch_and_document() -> None:
    """Neighbours have nothing in common: of two random orders of five, one pair in 120 is equal."""
    base, keys = 12345, np.arange(6000, dtype=np.uint64)
    counts = np.full(len(keys), 5)
    reference = draw_permutations(base, 0, keys, counts)
    assert (draw_permutations(base, 0, keys, counts) == reference).all()
    others = [(base + 1, 0, keys), (base, 1, keys), (base, None, keys), (base, 0, keys + np.uint64(1))]
    for seed, epoch, own in [*others, (base ^ 2**40, 0, keys), (base, 0, keys ^ np.uint64(2**63))]:
        equal = (draw_permutations(seed, epoch, own, counts) == reference).all(1).sum()
        assert equal == pytest.approx(50, abs=28)  # four standard deviations


@pytest.mark.parametrize("vary", ["keys", "seeds", "epochs", "random keys"])
def test_permutations_are_uniform(vary: str) -> None:
    """By chi-square over all 120 orders of five sentences, also where only a counter varies."""
    count, each = 24_000, np.array([5])
    keys = np.arange(count, dtype=np.uint64)
    if vary == "random keys":
        keys = np.random.default_rng(0).integers(0, 2**64, count, dtype=np.uint64)
    if vary in ("keys", "random keys"):
        orders = draw_permutations(0, None, keys, each.repeat(count))
    elif vary == "seeds":
        orders = np.concatenate([draw_permutations(seed, 0, keys[:1], each) for seed in range(count)])
    else:
        orders = np.concatenate([draw_permutations(0, epoch, keys[:1], each) for epoch in range(count)])
    numbers = {order: number for number, order in enumerate(permutations(range(5)))}
    observed = np.bincount([numbers[tuple(order)] for order in orders.tolist()], minlength=120)
    chi_square = ((observed - count / 120) ** 2 / (count / 120)).sum()
    assert 119 - 4 * (2 * 119) ** 0.5 < chi_square < 119 + 4 * (2 * 119) ** 0.5  # four standard deviations


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


def test_documents_of_batches_are_permuted_by_seed_epoch_and_text(corpus: Corpus) -> None:
    seen = 0
    for batches in load_shuffles(corpus, make_batches(corpus.tokens, 400), seed=2, shuffles=3):
        for number, batch in enumerate(batches):
            assert torch.equal(batch["document"], batches[0]["document"])
            for row, positions, mask in zip(batch["document"].tolist(), batch["positions"], batch["mask"], strict=True):
                sentences = corpus.documents[row]["sentences"]
                expected = draw(2, number or None, document_key(sentences), len(sentences))
                assert positions[mask].tolist() == expected
                seen += 1
    assert seen == 3 * len(corpus)
