"""Loads the raw splits of a corpus as `datasets.Dataset`: id, sentences, group and fingerprint, memory-mapped."""

import functools
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, List, Value, load_dataset, load_dataset_builder
from datasets.exceptions import DatasetsError

from sentence_order.arrays import FloatArray, IntArray
from sentence_order.config.schema import CacheConfig, DataConfig, Source
from sentence_order.data.arrow_cache import BATCH_DOCUMENTS, ArrowCache, Columns, read_column
from sentence_order.data.documents import (
    Document,
    documents_from_records,
    find_unused_gold_order,
    nothing_to_order,
    refuse_numbers,
)
from sentence_order.data.files import find_data_files, splits_to_read
from sentence_order.data.identity import text_fingerprint
from sentence_order.data.layout import Layout
from sentence_order.data.memory import digest_documents
from sentence_order.data.readers import describe_dialects, find_unused_gold_order_of_file, read_files
from sentence_order.data.records import Record, stop_at_fault
from sentence_order.data.synthetic import NUM_STORIES, PLOTS, generate
from sentence_order.errors import UserError, counted, first_line
from sentence_order.runtime.console import progress_bar
from sentence_order.runtime.files import digest_file

log = logging.getLogger(__name__)

Read = Callable[[], Iterable[Document]]
TEXT = Value("string")
FEATURES = Features({"id": TEXT, "sentences": List(TEXT), "group": TEXT, "fingerprint": Value("uint64")})


def load_splits(
    config: DataConfig,
    splits: list[str],
    cache: CacheConfig | None = None,
    documents: Mapping[str, Sequence[Document]] | None = None,
) -> dict[str, Dataset]:
    """Loads the named splits: `id`, `sentences` (gold order), `group` and `fingerprint` (see `text_fingerprint`).

    Validation or test is split off the training documents if it has no file of its own. `documents` are those that a
    program has passed (`Source.memory`), by split. Raises UserError naming the config key, or the file and line.
    """
    arrow_cache = ArrowCache.of(cache or CacheConfig())
    if config.source is Source.synthetic:
        return {name: _from_generator(config, name, arrow_cache) for name in splits}
    if documents:
        given = {name: _from_memory(name, own, arrow_cache) for name, own in documents.items()}
    else:
        load = _from_hub if config.source is Source.hub else _from_files
        if config.source is not Source.hub:
            _log_dialects(config, splits)
        given = {name: load(config, name, arrow_cache) for name in splits_to_read(config, splits)}
    has_own = [*documents] if documents else [name for name in vars(config) if getattr(config, name) is not None]
    missing = [name for name in ("validation", "test") if name not in has_own]

    # Also if only "train" was asked for: it must not contain the documents that others are tested on.
    if missing and "train" in given:
        given.update(_split_off(given["train"], missing, config))
    limits = {name: getattr(config, f"limit_{name}") or len(given[name]) for name in splits}
    return {name: given[name].select(range(min(limit, len(given[name])))) for name, limit in limits.items()}


def _split_off(train: Dataset, missing: list[str], config: DataConfig) -> dict[str, Dataset]:
    """Takes the missing splits from the training documents, which keep the rest, all in the order of the corpus.

    The split of a document is a function of its text and of `data.split_seed` alone: not of the other documents, the
    run's own seed, or of which other split has a file. So copies stay together, and none moves if others are added.
    Only a split that would be empty, training included, takes the text whose draw is nearest.
    """
    fingerprint_D = read_column(train, "fingerprint")
    if not fingerprint_D.any():
        raise UserError(f"data.train: {nothing_to_order(len(train), 'data.')}")
    # Those without an order are in no split that is evaluated.
    draw_D = np.where(fingerprint_D == 0, 1.0, _draw(fingerprint_D, config.split_seed))
    draws, start, members = np.unique(draw_D[draw_D < 1]), 0, {}
    for name, bound, others in (
        ("test", config.test_share, 2),
        ("validation", config.test_share + config.validation_share, 1),
    ):
        stop = max(start + 1, min(int(np.searchsorted(draws, bound)), len(draws) - others))
        members[name], start = np.isin(draw_D, draws[start:stop]), stop

    kept_D = ~np.logical_or.reduce([members[name] for name in missing])
    if not kept_D.any() or not all(members[name].any() for name in missing):
        is_unparted = config.source is Source.text and len(train) == 1
        hint = (
            "; blank lines separate documents, and there are none (if each line is a document: "
            "data.text_layout=documents; if it lists names of files: data.folder=FOLDER)"
        )
        raise UserError(
            f"data.train: {counted(len(train), 'document')} of {counted(len(draws), 'different text')}: too few to "
            f"split off {' and '.join(missing)}; give more{hint if is_unparted else ''}"
        )
    for name in missing:
        count, share = members[name].sum(), getattr(config, f"{name}_share")
        log.info(
            "data: no data.%s; split off %d of %d training documents for it (%.1f %%; by a hash of each text, so that "
            "data.%s_share=%g is met approximately; data.split_seed=%d)",
            *(name, count, len(train), 100 * count / len(train), name, share, config.split_seed),
        )
    chosen = {"train": kept_D, **{name: members[name] for name in missing}}
    return {name: train.select(np.flatnonzero(rows)) for name, rows in chosen.items()}


def _draw(fingerprint_D: IntArray, seed: int) -> FloatArray:
    """A number in [0, 1) for each fingerprint and seed: SplitMix64 (Steele et al. 2014) of the two."""
    with np.errstate(over="ignore"):  # 64-bit arithmetic wraps around
        z_D = fingerprint_D + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        z_D = (z_D ^ (z_D >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z_D = (z_D ^ (z_D >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z_D ^ (z_D >> np.uint64(31))) / 2.0**64


def _from_files(config: DataConfig, split: str, cache: ArrowCache) -> Dataset:
    paths = find_data_files(config, split)
    assert config.source is not None
    layout, source = Layout.of(config), config.source.value
    _log_gold_order(split, layout)
    try:
        contents = [(path, digest_file(path)) for path in paths]  # ids may hold the path as it was typed
    except OSError as error:
        raise UserError(f"data.{split}: {error.filename}: cannot be read: {error.strerror}") from error

    def read() -> Iterator[Document]:
        return read_files([(path, source) for path in paths], layout)

    def search() -> list[str]:
        found = (find_unused_gold_order_of_file(path, source, layout) for path in paths)
        return sorted({advice for some in found for advice in some})

    return _load(split, [source, contents, asdict(layout)], read, cache, search)


def _load(split: str, settings: Any, read: Read, cache: ArrowCache, advise: Callable[[], list[str]] = list) -> Dataset:
    """The documents, from the cache if they are there; warns of columns that look like a gold order each time."""
    documents, unused = cache.load(settings, FEATURES, lambda: _batches(read(), split), advise)
    for advice in unused:
        log.warning("data.%s: %s", split, advice)
    return documents


def _log_dialects(config: DataConfig, splits: list[str]) -> None:
    """Logs what was found out about the files, each kind of them once."""
    assert config.source is not None
    paths = [path for name in splits_to_read(config, splits) for path in find_data_files(config, name)]
    for line in describe_dialects([(path, config.source.value) for path in paths], Layout.of(config)):
        log.info("data: %s", line)


def _log_gold_order(split: str, layout: Layout) -> None:
    columns = layout.gold_order_column or ",".join(layout.gold_order_columns)
    meaning = {"order": "which sentence comes k-th", "position": "where sentence k stands"}[layout.gold_order]
    if columns:
        log.info(
            "data.%s: sentences are put into gold order by %s: its k-th number is %s, from %d (data.gold_order=%s)",
            *(split, columns, meaning, layout.gold_order_base, layout.gold_order),
        )


def _batches(documents: Iterable[Document], split: str) -> Iterator[Columns]:
    """Columns of some documents at a time; shows the progress of reading."""
    remaining = iter(documents)
    with progress_bar(transient=True) as bar:
        task = bar.add_task(f"reading {split}", total=None, unit="documents", note="")
        while batch := list(islice(remaining, BATCH_DOCUMENTS)):
            yield {
                "id": [document.id for document in batch],
                "sentences": [document.sentences for document in batch],
                "group": [document.group for document in batch],
                "fingerprint": [text_fingerprint(document.sentences) for document in batch],
            }
            bar.advance(task, len(batch))


def _from_generator(config: DataConfig, split: str, cache: ArrowCache) -> Dataset:
    count = getattr(config, f"limit_{split}") or NUM_STORIES[split]

    def write() -> Iterator[Document]:
        return (Document(*story) for story in generate(split, config.split_seed, count))

    # The plots are part of the key: their stories change with them.
    return _load(split, [split, config.split_seed, count, repr(PLOTS)], write, cache)


def _from_memory(split: str, documents: Sequence[Document], cache: ArrowCache) -> Dataset:
    def read() -> Iterator[Document]:
        return refuse_numbers(documents, "data.")

    return _load(split, [Source.memory, digest_documents(documents)], read, cache)


def _from_hub(config: DataConfig, split: str, cache: ArrowCache) -> Dataset:
    is_folder, name = Path(str(config.hub_id)).is_dir(), getattr(config, split)
    layout, where = Layout.of(config), f"{config.hub_id}/{name}"
    _log_gold_order(split, layout)
    limit = getattr(config, f"limit_{split}")
    if split == "train" and not (config.validation and config.test):
        limit = None  # what is split off is a part of the whole
    if layout.document_column is not None:
        limit = None  # rows are not documents

    @functools.cache
    def load() -> Dataset:
        with _failures_as_user_errors(config):
            raw = load_dataset(
                config.hub_id, config.hub_config, split=name, cache_dir=place, trust_remote_code=False
            ).with_format("arrow")  # so that nothing is decoded, such as pictures
            return raw if limit is None else raw.take(limit)

    def records(choose: Callable[[list[str]], list[str]]) -> Iterator[tuple[str, Record]]:
        tables = load().iter(BATCH_DOCUMENTS)
        rows = (row for table in tables for row in table.select(choose(table.column_names)).to_pylist())
        return ((f"{where}:{number}", record) for number, record in enumerate(rows))

    def read() -> Iterator[Document]:
        documents = documents_from_records(records(layout.choose_columns), layout, stop_at_fault)
        return refuse_numbers(documents, layout.prefix)

    # `datasets` knows the files of a folder by their times and sizes: so it has a cache of its own for each reading.
    with tempfile.TemporaryDirectory(prefix="sentence_order_") if is_folder else nullcontext() as place:
        content = _digest_folder(config) if is_folder else load()._fingerprint
        settings = [content, config.hub_config, limit, where, asdict(layout)]
        return _load(split, settings, read, cache, lambda: find_unused_gold_order(records(list), layout))


def _digest_folder(config: DataConfig) -> list[tuple[str, str]]:
    """The files that a data set in a folder consists of, wherever they lie, each with a digest of its content."""
    with _failures_as_user_errors(config):
        builder = load_dataset_builder(config.hub_id, config.hub_config)
        files = {path for paths in (builder.config.data_files or {}).values() for path in paths}
        about = [path for path in Path(str(config.hub_id)).glob("*") if path.suffix in (".md", ".json", ".yaml")]
        local = sorted({*map(str, about), *(path for path in files if "://" not in path)})
        return [(path, digest_file(path)) for path in local if os.path.isfile(path)]


@contextmanager
def _failures_as_user_errors(config: DataConfig) -> Iterator[None]:
    """Within the block a data set of the hub or of a folder is read."""
    try:
        yield
    except UserError:
        raise
    # No such data set, configuration or split, one that needs a script, damaged files, or no network.
    except (ValueError, OSError, RuntimeError, DatasetsError) as error:
        reason = first_line(error.__cause__ or error)
        raise UserError(f"data.hub_id: {config.hub_id} could not be loaded: {reason}") from error
