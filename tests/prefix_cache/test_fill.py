"""What is read from the cache equals the output of the frozen prefix, whoever filled it, and however that ended."""

import json
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from sentence_order.config.schema import CacheConfig, CacheDtype, CacheMode, HeadName, Pooling
from sentence_order.data.batching import load_batches, make_batches
from sentence_order.data.tokenization import Corpus
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.prefix_cache import fill, store
from sentence_order.prefix_cache.fill import attach_hidden_states
from sentence_order.prefix_cache.keys import prefix_key
from sentence_order.prefix_cache.store import Store
from tests.families import OTHERS
from tests.training.loops import CPU, corpus_of, loop_of

# Which blocks are frozen, and from which layer on the model reads documents: token states of sentences and of
# documents, then vectors of sentences and of documents. The tiny model has four layers.
WHOLE = {0, 1, 2, 3, 4}
PREFIXES = [({0, 1, 2}, 2), ({0, 1, 2, 3}, 2), (WHOLE, 4), (WHOLE, 2)]
BOTTOM_HALF = PREFIXES[0]
FIRST_TOKEN = {"pooling": Pooling.first, "heads": [HeadName["pairs"]], "loss": {"pairwise_logistic": 1.0}}

MakeFrozen = Callable[..., SentenceOrdererModel]


@pytest.fixture
def make_frozen(make_model: Callable[..., SentenceOrdererModel]) -> MakeFrozen:
    def make(blocks: set[int] = BOTTOM_HALF[0], joint_from: int | str = BOTTOM_HALF[1], **settings: object):
        model = make_model(joint_from=joint_from, dropout=0.1, **settings)
        model.freeze(blocks)
        return model

    return make


@pytest.fixture(autouse=True)
def _propagate_the_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("sentence_order"), "propagate", True)
    caplog.set_level(logging.INFO)


def attach(
    model: SentenceOrdererModel, corpus: Corpus, folder: Path, tokens_read: int = 10**9, **settings: object
) -> Corpus:
    config = CacheConfig(dir=str(folder), **settings)  # type: ignore[arg-type]
    return attach_hidden_states(model, {"train": corpus}, config, CPU, tokens_read=tokens_read, batch_tokens=300)[
        "train"
    ]


def losses(model: SentenceOrdererModel, corpus: Corpus, folder: Path) -> list[float]:
    """The losses of the first steps of training, dropout and all."""
    loop = loop_of(model, corpus, folder)
    torch.manual_seed(0)
    model.train()
    assert loop.tracker is not None
    with loop.tracker:
        return [loop.training_step(step_input).loss.item() for step_input in islice(loop.plan.batches(start=0), 8)]


@pytest.mark.parametrize(
    ("make_model", "blocks", "joint_from", "settings"),
    [
        *(("bert", *prefix, settings) for prefix in PREFIXES for settings in ({}, FIRST_TOKEN)),
        *((encoder, *prefix, {}) for encoder in OTHERS for prefix in PREFIXES),
        ("albert", WHOLE, 2, {}),
        ("qwen3", WHOLE, "all", {}),
    ],
    indirect=["make_model"],
)
def test_losses_with_the_cache_equal_those_without(
    make_frozen: MakeFrozen,
    stories,
    tmp_path: Path,
    blocks: set[int],
    joint_from: int | str,
    settings: dict[str, object],
) -> None:
    stories = [[*story, story[0]] for story in stories[:25]]  # a sentence that occurs twice
    model = make_frozen(blocks, joint_from, **settings)
    corpus = corpus_of(model, stories)
    plain = losses(model, corpus, tmp_path)
    again = make_frozen(blocks, joint_from, **settings)
    cached = attach(again, corpus, tmp_path / "cache")
    assert cached.states is not None
    assert losses(again, cached, tmp_path) == pytest.approx(plain, abs=1e-5)
    assert max(plain) - min(plain) > 0.01, "losses that are all the same would prove nothing"


def test_losses_are_the_same_while_filling_and_reading(make_frozen: MakeFrozen, stories, tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        model = make_frozen()
        corpus = attach(model, corpus_of(model, stories), tmp_path / "cache")
        runs.append(losses(model, corpus, tmp_path))
    assert runs[0] == runs[1]


def test_a_sentence_is_computed_once_in_whichever_documents_and_runs_it_occurs(
    make_frozen: MakeFrozen, stories, tmp_path: Path
) -> None:
    """Everything that is computed is stored, so that nothing is stored twice."""
    model = make_frozen()
    key = prefix_key(model, torch.float32, torch.float32)
    known: set[str] = set()
    for texts in (stories[:20], [story[::-1] for story in stories], stories[10:]):
        attach(model, corpus_of(model, texts), tmp_path)
        known |= {sentence for story in texts for sentence in story}
        assert sum(len(shard.digests) for shard in Store(tmp_path).open(key)) == len(known)


@pytest.mark.parametrize(("blocks", "joint_from"), [PREFIXES[0], PREFIXES[3]])
def test_states_of_changed_weights_are_computed_anew(
    make_frozen: MakeFrozen, stories, tmp_path: Path, blocks: set[int], joint_from: int
) -> None:
    corpus = corpus_of(make_frozen(), stories)
    attach(make_frozen(blocks, joint_from), corpus, tmp_path / "cache")

    def changed() -> SentenceOrdererModel:
        model = make_frozen(blocks, joint_from)
        with torch.no_grad():
            next(model.blocks[2][0].parameters())[0, 0] += 1
        return model

    plain = losses(changed(), corpus, tmp_path)
    cached = attach(changed(), corpus, tmp_path / "cache")
    assert losses(changed(), cached, tmp_path) == pytest.approx(plain, abs=1e-5)
    assert len({entry.key for entry in Store(tmp_path / "cache").entries()}) == 2


def test_losses_with_states_in_half_precision_are_close(make_frozen: MakeFrozen, stories, tmp_path: Path) -> None:
    model = make_frozen()
    corpus = corpus_of(model, stories)
    half = attach(model, corpus, tmp_path / "cache", dtype=CacheDtype.float16)
    assert half.states is not None
    assert half.states.shards[0].dtype == "float16"
    assert losses(make_frozen(), half, tmp_path) == pytest.approx(losses(make_frozen(), corpus, tmp_path), abs=2e-3)


def _killed_writer(model: SentenceOrdererModel, corpus: Corpus, folder: Path, whole_shards: int) -> None:
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
def test_a_cache_is_filled_after_its_writer_was_killed(
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
    unbroken = losses(make_frozen(), attach(make_frozen(), corpus, tmp_path / "unbroken"), tmp_path)
    assert losses(make_frozen(), cached, tmp_path) == unbroken, "to the last bit"
    assert unbroken == pytest.approx(losses(make_frozen(), corpus, tmp_path), abs=1e-5)


def test_simultaneous_writers_store_each_text_once(
    make_frozen: MakeFrozen, stories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take turns, and later ones find all their texts."""
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
        changed = states[:, 1:].contiguous() if how == "narrower" else states.half()
        return save({**tensors, "states": changed}, {"about": "{}"})
    header = int.from_bytes(content[:8], "little")
    start, end = json.loads(content[8 : 8 + header])[how]["data_offsets"]
    changed = bytearray(content)
    changed[8 + header + (start + end) // 2] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "how", ["states", "count", "checksums", "digests", "cut short", "nothing", "noise", "narrower", "of another type"]
)
def test_damaged_shards_are_detected_and_computed_anew(
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
    if how != "digests":  # one text is then not found, and is computed anew
        assert "damaged" in caplog.text
        assert path.exists() == (how in ("nothing", "noise")), "without its header it may be another program's"
    assert losses(make_frozen(), cached, tmp_path) == pytest.approx(losses(make_frozen(), corpus, tmp_path), abs=1e-5)


@pytest.mark.parametrize(
    ("blocks", "settings", "reason"),
    [
        ({0, 1, 2}, {"mode": CacheMode.off}, "as set"),
        (set(), {}, "embeddings"),
        ({1, 2}, {}, "embeddings"),
        ({0}, {}, "layer_0"),
        ({0, 2, 3}, {}, "layer_0"),
        ({0, 1, 2}, {"max_gb": 1e-6}, "cache.max_gb"),
    ],
)
def test_the_reason_for_an_unused_cache_is_logged(
    make_frozen: MakeFrozen, stories, tmp_path: Path, caplog, blocks: set[int], settings: dict[str, object], reason: str
) -> None:
    caplog.set_level(logging.DEBUG, "sentence_order")
    model = make_frozen(blocks)
    corpus = corpus_of(model, stories)
    assert attach(model, corpus, tmp_path, **settings) is corpus
    (line,) = (line for line in caplog.text.splitlines() if "prefix cache: off" in line)
    assert reason in line
    assert not Store(tmp_path).entries()


@pytest.mark.parametrize("complaint", [OSError(28, "No space left on device"), SafetensorError("Os { code: 28 }")])
def test_a_full_disk_leaves_the_cache_off_and_the_disk_as_it_was(
    make_frozen: MakeFrozen, stories, tmp_path: Path, caplog, monkeypatch: pytest.MonkeyPatch, complaint: Exception
) -> None:
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


def test_least_recently_read_states_are_removed_and_those_being_read_stay(
    make_frozen: MakeFrozen, stories, tmp_path: Path
) -> None:
    """A folder has room for two prefixes: the one read last stays, and a process that reads the other continues."""
    model, others = make_frozen(), [make_frozen(seed=seed) for seed in (1, 2)]
    corpus = corpus_of(model, stories)
    for age, filled in ((3000, model), (2000, others[0])):
        attach(filled, corpus, tmp_path)
        for path in tmp_path.glob("*/*.states"):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    size = sum(entry.bytes for entry in Store(tmp_path).entries()) // 2
    reading = attach(others[0], corpus, tmp_path)
    attach(model, corpus, tmp_path)  # is read again, and so becomes the more recent one
    assert reading.states is not None
    first = np.arange(1)
    before = reading.states.gather(first)
    attach(others[1], corpus, tmp_path, max_gb=2.1 * size / 1e9)
    assert (reading.states.gather(first) == before).all()
    kept = {entry.key for entry in Store(tmp_path).entries()}
    assert kept == {prefix_key(made, torch.float32, torch.float32) for made in (model, others[1])}


def test_the_size_is_logged_before_filling(make_frozen: MakeFrozen, stories, tmp_path: Path, caplog) -> None:
    def stop_at_the_first_batch(*_: object) -> None:
        assert "386 that are missing (0.00 GB)" in caplog.text
        raise KeyboardInterrupt

    model = make_frozen()
    model.blocks[0][0].register_forward_pre_hook(stop_at_the_first_batch)
    with pytest.raises(KeyboardInterrupt):
        attach(model, corpus_of(model, stories), tmp_path)


def test_a_disk_with_too_little_room_leaves_the_cache_off(
    make_frozen: MakeFrozen, stories, tmp_path: Path, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FREE_BYTES", 10**18)
    model = make_frozen()
    corpus = corpus_of(model, stories)
    assert attach(model, corpus, tmp_path) is corpus
    assert "prefix cache: off" in caplog.text
    assert "disk" in caplog.text
    assert not Store(tmp_path).entries()


def test_short_runs_fill_only_a_folder_that_the_config_names(
    make_frozen: MakeFrozen, stories, tmp_path: Path, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTENCE_ORDER_CACHE", str(tmp_path))
    caplog.set_level(logging.DEBUG, "sentence_order")
    model = make_frozen()
    corpus = corpus_of(model, stories)
    settings = {"tokens_read": 100, "batch_tokens": 300}
    assert attach_hidden_states(model, {"train": corpus}, CacheConfig(), CPU, **settings)["train"] is corpus
    assert "off (auto: 100 tokens " in caplog.text
    assert attach(model, corpus, tmp_path, tokens_read=100).states is not None
    assert attach_hidden_states(model, {"train": corpus}, CacheConfig(), CPU, **settings)["train"].states is not None


def test_states_do_not_depend_on_the_gold_order(make_frozen: MakeFrozen, stories, tmp_path: Path) -> None:
    """Documents are stored in an order of their content: those of a reversed corpus are all found."""
    model = make_frozen(*PREFIXES[3])
    forward = attach(model, corpus_of(model, stories), tmp_path)
    backward = attach(model, corpus_of(model, [story[::-1] for story in stories]), tmp_path, tokens_read=0)
    assert forward.states is not None
    assert backward.states is not None
    size = len(stories[0])
    for sentence in range(size):
        one, other = np.array([sentence]), np.array([size - 1 - sentence])
        assert (forward.states.gather(one) == backward.states.gather(other)).all()


def test_batches_of_states_are_packed(make_frozen: MakeFrozen, stories, tmp_path: Path) -> None:
    model = make_frozen()
    corpus = attach(model, corpus_of(model, stories), tmp_path)
    for batch in load_batches(corpus, make_batches(corpus.tokens, 400, 0, 0), seed=0, epoch=0):
        assert "input_ids" not in batch
        assert batch["prefix"].shape == (batch["lengths"].sum(), 48)
