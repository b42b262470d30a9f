"""Loads the raw splits of a corpus as `datasets.Dataset`: columns id, sentences and fingerprint, memory-mapped."""

import glob
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, List, Value, load_dataset
from datasets.exceptions import DatasetsError

from sentence_order.arrays import FloatArray, IntArray
from sentence_order.config.schema import CacheConfig, DataConfig, Source
from sentence_order.data.arrow_cache import BATCH_DOCUMENTS, ArrowCache, Columns, digest_file, read_column
from sentence_order.data.identity import text_fingerprint
from sentence_order.data.readers import (
    Document,
    Layout,
    document_from_record,
    find_unused_gold_order,
    find_unused_gold_order_of_file,
    read_documents,
    refuse_numbers,
)
from sentence_order.data.records import ChooseColumns, Record, find_path_problem, match_files
from sentence_order.data.synthetic import PLOTS, generate
from sentence_order.errors import UserError, first_line
from sentence_order.runtime.console import progress_bar

log = logging.getLogger(__name__)

FEATURES = Features({"id": Value("string"), "sentences": List(Value("string")), "fingerprint": Value("uint64")})


def load_splits(config: DataConfig, splits: list[str], cache: CacheConfig | None = None) -> dict[str, Dataset]:
    """Loads the named splits, with columns `id`, `sentences` (gold order) and `fingerprint` (see `text_fingerprint`).

    Validation or test is split off the training documents if it has no file of its own. Raises UserError naming the
    config key, or the file and line.
    """
    arrow_cache = ArrowCache.of(cache or CacheConfig())
    if config.source is Source.synthetic:
        return {name: _from_generator(config, name, arrow_cache) for name in splits}
    load = _from_hub if config.source is Source.hub else _from_files
    missing = [name for name in ("validation", "test") if getattr(config, name) is None]
    for name in splits:
        if getattr(config, name) is None and config.train is None:
            raise UserError(f"data.{name}: no value; give a path or glob (for data=hub the name of a split)")
    needed = {*splits, "train"} if set(splits) & set(missing) else set(splits)  # from which missing ones are split off
    read: list[str] = [name for name in ("train", "validation", "test") if name in needed and name not in missing]
    given = {name: load(config, name, arrow_cache) for name in read}

    # Also if only "train" was asked for: it must not contain the documents that others are tested on.
    if missing and "train" in given:
        given.update(_split_off(given["train"], missing, config))
    limits = {name: getattr(config, f"limit_{name}") or len(given[name]) for name in splits}
    return {name: given[name].select(range(min(limit, len(given[name])))) for name, limit in limits.items()}


def _split_off(train: Dataset, missing: list[str], config: DataConfig) -> dict[str, Dataset]:
    """Takes the missing splits from the training documents, which keep the rest, all in the order of the corpus.

    The split of a document is a function of its text and of `data.split_seed` alone: not of the other documents, the
    run's own seed, or of which other split has a file. So copies stay together, and none moves if others are added.
    Only a split that would be empty takes the first document by its draw.
    """
    fingerprint_D = read_column(train, "fingerprint")
    # Those without an order are in no split that is evaluated.
    draw_D = np.where(fingerprint_D == 0, 1.0, _draw(fingerprint_D, config.split_seed))
    bounds = {"test": config.test_share, "validation": config.test_share + config.validation_share}
    members, left_D = {}, np.ones(len(train), dtype=bool)
    for name, bound in bounds.items():
        chosen_D = left_D & (draw_D < bound)
        if left_D.any() and not chosen_D.any():
            chosen_D = left_D & (draw_D == draw_D[left_D].min())
        members[name], left_D = chosen_D, left_D & ~chosen_D

    kept_D = ~np.logical_or.reduce([members[name] for name in missing])
    if not kept_D.any() or not all(members[name].any() for name in missing):
        raise UserError(
            f"data.train: {len(train)} documents of {len(np.unique(draw_D))} different texts are too few to split off "
            f"{' and '.join(missing)}; give more"
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
    pattern = getattr(config, split)
    is_glob = glob.has_magic(pattern) and not os.path.isfile(pattern)
    paths = _matching(pattern, split) if is_glob else [pattern]
    if not paths:
        raise UserError(f"data.{split}: no file matches {pattern}")
    for path in paths:
        if problem := find_path_problem(path):
            raise UserError(f"data.{split}: {path}: {problem}; give a file or a glob")
    assert config.source is not None
    layout, source = Layout.of(config), config.source.value
    try:
        contents = [(path, digest_file(path)) for path in paths]  # ids may hold the path as it was typed
    except OSError as error:
        raise UserError(f"data.{split}: {error.filename}: cannot be read: {error.strerror}") from error

    def read() -> Iterator[Document]:
        return (document for path in paths for document in read_documents(path, source, layout))

    def search() -> list[str]:
        found = (find_unused_gold_order_of_file(path, source, layout) for path in paths)
        return sorted({advice for some in found for advice in some})

    return _load(split, [source, contents, asdict(layout)], read, cache, search)


def _matching(pattern: str, split: str) -> list[str]:
    """The files that a glob matches, each once even if several links lead to it."""
    if any("**" in part and part != "**" for part in Path(pattern).parts):  # Python 3.13 would read `**x` as `*x`
        raise UserError(f"data.{split}: {pattern} is not a valid pattern: '**' must be a whole component of the path")
    try:
        paths = match_files(pattern)
    except (OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"data.{split}: {pattern} is not a valid pattern: {error}") from error
    once = {os.path.realpath(path): path for path in sorted(paths, reverse=True)}
    if len(once) < len(paths):
        log.info("data: ignoring %d links to files that data.%s already contains", len(paths) - len(once), split)
    return sorted(once.values())


def _load(
    split: str,
    settings: Any,
    read: Callable[[], Iterable[Document]],
    cache: ArrowCache,
    find_unused_gold_order: Callable[[], list[str]] = list,
) -> Dataset:
    """The documents, from the cache if they are there; warns of columns that look like a gold order each time."""
    documents, unused = cache.load(settings, FEATURES, lambda: _batches(read(), split), find_unused_gold_order)
    for advice in unused:
        log.warning("data.%s: %s", split, advice)
    return documents


def _batches(documents: Iterable[Document], split: str) -> Iterator[Columns]:
    """Columns of some documents at a time; shows the progress of reading."""
    remaining = iter(documents)
    with progress_bar(transient=True) as bar:
        task = bar.add_task(f"reading {split}", total=None, unit="documents", note="")
        while batch := list(islice(remaining, BATCH_DOCUMENTS)):
            yield {
                "id": [document.id for document in batch],
                "sentences": [document.sentences for document in batch],
                "fingerprint": [text_fingerprint(document.sentences) for document in batch],
            }
            bar.advance(task, len(batch))


def _from_generator(config: DataConfig, split: str, cache: ArrowCache) -> Dataset:
    count = getattr(config, f"limit_{split}")
    if count is None:
        raise UserError(f"data.limit_{split}: data=synthetic needs the number of stories to generate")

    def write() -> Iterator[Document]:
        return (Document(*story) for story in generate(split, config.split_seed, count))

    # The plots are part of the key: their stories change with them.
    return _load(split, [config.split_seed, count, repr(PLOTS[split])], write, cache)


def _from_hub(config: DataConfig, split: str, cache: ArrowCache) -> Dataset:
    folder = Path(str(config.hub_id))
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    name, options = getattr(config, split), {"trust_remote_code": False}
    with _failures_as_user_errors(config):
        # A stream of a folder's files, which `datasets` would otherwise keep a copy of, by their times and sizes.
        raw = load_dataset(config.hub_id, config.hub_config, split=name, streaming=bool(files), **options)
        content = [digest_file(path) for path in files] or raw._fingerprint
    layout, where = Layout.of(config), f"{config.hub_id}/{name}"
    limit = getattr(config, f"limit_{split}")
    if limit is not None and (split != "train" or (config.validation and config.test)):
        raw = raw.take(limit)  # before the work, if nothing is split off the rest

    def records(choose: ChooseColumns) -> Iterator[tuple[str, Record]]:
        with _failures_as_user_errors(config):
            tables = raw.with_format("arrow").iter(BATCH_DOCUMENTS)  # nothing is decoded, such as pictures
            rows = (row for table in tables for row in table.select(choose(table.column_names)).to_pylist())
            for number, record in enumerate(rows):
                yield f"{where}:{number}", record

    def read() -> Iterator[Document]:
        places = records(layout.choose_columns)
        return refuse_numbers(document_from_record(record, layout, place) for place, record in places)

    settings = [content, config.hub_config, limit, where, asdict(layout)]
    return _load(split, settings, read, cache, lambda: find_unused_gold_order(records(list), layout))


@contextmanager
def _failures_as_user_errors(config: DataConfig) -> Iterator[None]:
    """Within the block a data set of the hub or of a folder is read."""
    try:
        yield
    except UserError:
        raise
    # No such data set, configuration or split, one that needs a script, damaged files, or no network.
    except (ValueError, OSError, RuntimeError, DatasetsError) as error:
        raise UserError(f"data.hub_id: {config.hub_id} could not be loaded: {first_line(error)}") from error
