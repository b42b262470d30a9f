"""What is read from the cache is what the frozen prefix computes, whoever filled it, and however that ended."""

import json
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from sentence_order.config import CacheConfig, CacheDtype, CacheMode, HeadName, Pooling
from sentence_order.data.batching import TokenBudgetBatches, load_batches
from sentence_order.data.tokenization import Corpus
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.prefix import fill, store
from sentence_order.prefix.fill import attach_states
from sentence_order.prefix.keys import prefix_key
from sentence_order.prefix.store import Store
from sentence_order.training.plan import steps_from
from tests.training.trainers import CPU, corpus_of, trainer_of

# Which blocks are frozen, and from which layer on the model reads documents: token states of sentences and of
# documents, then vectors of sentences and of documents. The tiny model has four layers.
PREFIXES = [({0, 1, 2}, 2), ({0, 1, 2, 3}, 2), ({0, 1, 2, 3, 4}, 4), ({0, 1, 2, 3, 4}, 2)]
BOTTOM_HALF = PREFIXES[0]

MakeFrozen = Callable[..., SentenceOrderer]


@pytest.fixture
def make_frozen(make_model: Callable[..., SentenceOrderer]) -> MakeFrozen:
    def make(blocks: set[int] = BOTTOM_HALF[0], joint_from: int = BOTTOM_HALF[1], **settings: object):
        model = make_model(joint_from=joint_from, dropout=0.1, **settings)
        model.freeze(blocks)
        return model

    return make


@pytest.fixture(autouse=True)
def _hear_the_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("sentence_order"), "propagate", True)
    caplog.set_level(logging.INFO)


def attach(
    model: SentenceOrderer, corpus: Corpus, folder: Path, tokens_read: int = 10**9, **settings: object
) -> Corpus:
    config = CacheConfig(dir=str(folder), **settings)  # type: ignore[arg-type]
    return attach_states(model, {"train": corpus}, config, CPU, tokens_read=tokens_read, batch_tokens=300)["train"]


def losses(model: SentenceOrderer, corpus: Corpus, folder: Path, workers: int = 0) -> list[float]:
    """The losses of the first steps of training, dropout and all."""
    trainer = trainer_of(model, corpus, folder, workers=workers)
    torch.manual_seed(0)
    model.train()
    steps = islice(steps_from(0, trainer.config, corpus, CPU, workers), 8)
    return [trainer.stepper.take(work.batches, work.pairs).loss for work in steps]


@pytest.mark.parametrize(
    "settings",
    [{}, {"pooling": Pooling.first, "heads": [HeadName.pairs], "loss": {"pairwise_logistic": 1.0}}],
    ids=["", "first token"],
)
@pytest.mark.parametrize(("blocks", "joint_from"), PREFIXES)
def test_cached_is_uncached(
    make_frozen: MakeFrozen, stories, tmp_path: Path, blocks: set[int], joint_from: int, settings: dict[str, object]
) -> None:
    stories = [[*story, story[0]] for story in stories]  # a sentence that comes twice
    model = make_frozen(blocks, joint_from, **settings)
    corpus = corpus_of(model, stories)
    plain = losses(model, corpus, tmp_path)
    again = make_frozen(blocks, joint_from, **settings)
    cached = attach(again, corpus, tmp_path / "cache")
    assert cached.states is not None
    assert losses(again, cached, tmp_path) == pytest.approx(plain, abs=1e-5)
    assert max(plain) - min(plain) > 0.01, "losses that are all alike would prove nothing"


def test_filling_is_reading_with_any_number_of_workers(make_frozen: MakeFrozen, stories, tmp_path: Path) -> None:
    runs = []
    for workers in (0, 0, 2):
        model = make_frozen()
        corpus = attach(model, corpus_of(model, stories), tmp_path / "cache")
        runs.append(losses(model, corpus, tmp_path, workers))
    assert runs[0] == runs[1] == runs[2]


def test_what_is_there_is_not_computed_again(
    make_frozen: MakeFrozen, stories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence is computed once, in whichever document and run it comes."""
    seen: list[int] = []
    plain = SentenceOrderer.encode_prefix

    def counted(model: SentenceOrderer, input_ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        seen.append(int((lengths > 0).sum()))
        return plain(model, input_ids, lengths)

    monkeypatch.setattr(SentenceOrderer, "encode_prefix", counted)
    model = make_frozen()
    attach(model, corpus_of(model, stories[:20]), tmp_path)
    assert sum(seen) == len({sentence for story in stories[:20] for sentence in story})
    attach(model, corpus_of(model, [story[::-1] for story in stories]), tmp_path)
    assert sum(seen) == len({sentence for story in stories for sentence in story})
    attach(model, corpus_of(model, stories[10:]), tmp_path)
    assert sum(seen) == len({sentence for story in stories for sentence in story})


@pytest.mark.parametrize(("blocks", "joint_from"), [PREFIXES[0], PREFIXES[3]])
def test_changed_weight_is_computed_anew(
    make_frozen: MakeFrozen, stories, tmp_path: Path, blocks: set[int], joint_from: int
) -> None:
    corpus = corpus_of(make_frozen(), stories)
    attach(make_frozen(blocks, joint_from), corpus, tmp_path / "cache")

    def changed() -> SentenceOrderer:
        model = make_frozen(blocks, joint_from)
        with torch.no_grad():
            next(model.blocks[2][0].parameters())[0, 0] += 1
        return model

    plain = losses(changed(), corpus, tmp_path)
    cached = attach(changed(), corpus, tmp_path / "cache")
    assert losses(changed(), cached, tmp_path) == pytest.approx(plain, abs=1e-5)
    assert len({entry.key for entry in Store(tmp_path / "cache").entries()}) == 2


def test_half_precision_is_near(make_frozen: MakeFrozen, stories, tmp_path: Path) -> None:
    model = make_frozen()
    corpus = corpus_of(model, stories)
    half = attach(model, corpus, tmp_path / "cache", dtype=CacheDtype.float16)
    assert half.states is not None
    assert half.states[0].dtype == "float16"
    assert losses(make_frozen(), half, tmp_path) == pytest.approx(losses(make_frozen(), corpus, tmp_path), abs=2e-3)


def _killed_writer(model: SentenceOrderer, corpus: Corpus, folder: Path, whole_shards: int) -> None:
    """Fills the cache and kills itself in the middle of a shard."""
    save = store.save_file
    written = 0

    def save_or_die(tensors, path: Path, metadata: dict[str, str]) -> None:
        nonlocal written
        save(tensors, path, metadata)
        if written == whole_shards:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        written += 1

    store.save_file = save_or_die
    attach(model, corpus, folder)


@pytest.mark.parametrize("whole_shards", [0, 2])
def test_killed_while_filling(
    make_frozen: MakeFrozen, stories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole_shards: int
) -> None:
    monkeypatch.setattr(fill, "SHARD_BYTES", 100_000)
    model = make_frozen()
    corpus, folder = corpus_of(model, stories), tmp_path / "cache"
    writer = multiprocessing.get_context("fork").Process(
        target=_killed_writer, args=(model, corpus, folder, whole_shards)
    )
    writer.start()
    writer.join(60)
    assert writer.exitcode == -signal.SIGKILL
    assert len(list(folder.glob("*/*.unfinished"))) == 1
    assert len(Store(folder).entries()) == whole_shards
    cached = attach(make_frozen(), corpus, folder)
    assert not list(folder.glob("*/*.unfinished"))
    assert losses(make_frozen(), cached, tmp_path) == pytest.approx(losses(make_frozen(), corpus, tmp_path), abs=1e-5)


def test_two_writers_at_once(make_frozen: MakeFrozen, stories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take turns, and the second finds all that it wants."""
    monkeypatch.setattr(fill, "SHARD_BYTES", 100_000)
    model = make_frozen()
    corpus, folder = corpus_of(model, stories), tmp_path / "cache"
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=attach, args=(model, corpus, folder)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    store = Store(folder)
    (key,) = {entry.key for entry in store.entries()}
    digests = [digest for shard in store.open(key) for digest in shard.digests.tolist()]
    assert len(digests) == len(set(digests)) == len({sentence for story in stories for sentence in story})


def damaged(content: bytes, how: str) -> bytes:
    """A shard's file after an accident: a bit flipped in one of its tensors, or worse."""
    if how == "cut short":
        return content[: len(content) // 2]
    if how in ("nothing", "noise"):
        return b"\xff" * (2000 if how == "noise" else 0)
    if how in ("narrower", "of another type"):
        tensors = load(content)
        states = tensors["states"]
        return save({**tensors, "states": states[:, 1:].contiguous() if how == "narrower" else states.half()})
    header = int.from_bytes(content[:8], "little")
    start, end = json.loads(content[8 : 8 + header])[how]["data_offsets"]
    changed = bytearray(content)
    changed[8 + header + (start + end) // 2] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "how",
    ["states", "count", "checksums", "digests", "cut short", "nothing", "noise", "narrower", "of another type"],
)
def test_damaged_shards_are_found_and_rebuilt(
    make_frozen: MakeFrozen, stories, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    folder = tmp_path / "cache"
    model = make_frozen()
    corpus = corpus_of(model, stories)
    attach(model, corpus, folder)
    (path,) = folder.glob("*/*.states")
    path.write_bytes(damaged(path.read_bytes(), how))
    cached = attach(model, corpus, folder)
    assert cached.states is not None
    if how != "digests":  # one text is then found no more, and is computed anew
        assert "damaged" in caplog.text
        assert not path.exists()
    assert losses(make_frozen(), cached, tmp_path) == pytest.approx(losses(make_frozen(), corpus, tmp_path), abs=1e-5)


@pytest.mark.parametrize(
    ("blocks", "settings", "reason"),
    [
        ({0, 1, 2}, {"mode": CacheMode.off}, "off (as set)"),
        (set(), {}, "off (auto: the embeddings are not frozen)"),
        ({1, 2}, {}, "off (auto: the embeddings are not frozen)"),
        ({0}, {}, "off (auto: layer_0 is not frozen, and embeddings alone are as quickly computed as read)"),
        ({0, 2, 3}, {}, "off (auto: layer_0 is not frozen"),
        ({0, 1, 2}, {"max_gb": 1e-6}, "off (it would take 0.00 GB more, and cache.max_gb allows 0.00 GB in all)"),
    ],
)
def test_it_says_why_it_is_off(
    make_frozen: MakeFrozen, stories, tmp_path: Path, caplog, blocks: set[int], settings: dict[str, object], reason: str
) -> None:
    model = make_frozen(blocks)
    corpus = corpus_of(model, stories)
    assert attach(model, corpus, tmp_path, **settings) is corpus
    assert f"prefix cache: {reason}" in caplog.text
    assert not Store(tmp_path).entries()


@pytest.mark.parametrize("complaint", [OSError(28, "No space left on device"), SafetensorError("Os { code: 28 }")])
def test_full_disk(
    make_frozen: MakeFrozen, stories, tmp_path: Path, caplog, monkeypatch: pytest.MonkeyPatch, complaint: Exception
) -> None:
    """The run goes on without, and leaves the disk as it was."""
    monkeypatch.setattr(fill, "SHARD_BYTES", 100_000)
    save, saved = store.save_file, []

    def full(*arguments: object) -> None:
        saved.append(arguments)
        if len(saved) == 3:
            raise complaint
        save(*arguments)

    monkeypatch.setattr(store, "save_file", full)
    model = make_frozen()
    corpus = corpus_of(model, stories)
    assert attach(model, corpus, tmp_path) is corpus
    assert f"off ({complaint})" in caplog.text
    assert [path.name for path in tmp_path.glob("*/*")] == ["lock"]


def test_old_states_make_room_and_read_ones_stay(make_frozen: MakeFrozen, stories, tmp_path: Path) -> None:
    """A folder that holds two prefixes and no more: the one read last stays, and who reads the other goes on."""
    model, others = make_frozen(), [make_frozen(seed=seed) for seed in (1, 2)]
    corpus = corpus_of(model, stories)
    for age, filled in ((3000, model), (2000, others[0])):
        attach(filled, corpus, tmp_path)
        for path in tmp_path.glob("*/*.states"):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    size = sum(entry.bytes for entry in Store(tmp_path).entries()) // 2
    reading = attach(others[0], corpus, tmp_path)
    attach(model, corpus, tmp_path)  # is read again, and so becomes the younger one
    assert reading.states is not None
    before = reading.states[0].copy()
    attach(others[1], corpus, tmp_path, max_gb=2.1 * size / 1e9)
    assert (reading.states[0] == before).all()
    kept = {entry.key for entry in Store(tmp_path).entries()}
    assert kept == {prefix_key(made, torch.float32, torch.float32) for made in (model, others[1])}


def test_the_size_is_said_before_filling(
    make_frozen: MakeFrozen, stories, tmp_path: Path, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_batch(*_: object) -> torch.Tensor:
        assert "of 386 sentences are read from" in caplog.text
        assert "to which 386 of them (0.00 GB) are added now" in caplog.text
        raise KeyboardInterrupt

    monkeypatch.setattr(SentenceOrderer, "encode_prefix", first_batch)
    model = make_frozen()
    with pytest.raises(KeyboardInterrupt):
        attach(model, corpus_of(model, stories), tmp_path)


def test_too_little_disk_is_said_before_filling(
    make_frozen: MakeFrozen, stories, tmp_path: Path, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FREE_BYTES", 10**18)
    model = make_frozen()
    corpus = corpus_of(model, stories)
    assert attach(model, corpus, tmp_path) is corpus
    assert "off (it would take 0.00 GB more, and 0.00 GB of the disk are free)" in caplog.text


def test_short_runs_fill_only_the_folder_that_they_are_given(
    make_frozen: MakeFrozen, stories, tmp_path: Path, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTENCE_ORDER_CACHE", str(tmp_path))
    model = make_frozen()
    corpus = corpus_of(model, stories)
    settings = {"tokens_read": 100, "batch_tokens": 300}
    assert attach_states(model, {"train": corpus}, CacheConfig(), CPU, **settings)["train"] is corpus
    assert "off (auto: 100 tokens will be read, and to keep them " in caplog.text
    assert attach(model, corpus, tmp_path, tokens_read=100).states is not None
    assert attach_states(model, {"train": corpus}, CacheConfig(), CPU, **settings)["train"].states is not None


def test_states_know_nothing_of_the_gold_order(make_frozen: MakeFrozen, stories, tmp_path: Path) -> None:
    """A document's states are kept in an order of their content: a corpus told backwards finds every one."""
    model = make_frozen(*PREFIXES[3])
    forward = attach(model, corpus_of(model, stories), tmp_path)
    backward = attach(model, corpus_of(model, [story[::-1] for story in stories]), tmp_path, tokens_read=0)
    assert forward.states is not None
    assert backward.states is not None
    size = len(stories[0])
    for sentence in range(size):
        assert (forward.states[sentence] == backward.states[size - 1 - sentence]).all()


def test_batches_of_states_are_packed(make_frozen: MakeFrozen, stories, tmp_path: Path) -> None:
    model = make_frozen()
    corpus = attach(model, corpus_of(model, stories), tmp_path)
    for batch in load_batches(corpus, TokenBudgetBatches(corpus.tokens, 400, 0, 0).batches, seed=0, epoch=0):
        assert "input_ids" not in batch
        assert batch["prefix"].shape == (batch["lengths"].sum(), 48)
