"""Loads the raw splits of a corpus as `datasets.Dataset` (Arrow, memory-mapped, cached): columns id and sentences."""

import glob
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, List, Value, load_dataset
from datasets.exceptions import DatasetsError

from sentence_order.config.schema import DataConfig, Source
from sentence_order.data.readers import Layout, document_from_record, find_path_problem, read_documents
from sentence_order.data.synthetic import PLOTS, generate
from sentence_order.errors import UserError, first_line

log = logging.getLogger(__name__)

# Part of every cache's key: a change in how files are read or tokenised must change it.
CACHE_VERSION = 1
FEATURES = Features({"id": Value("string"), "sentences": List(Value("string"))})


def load_splits(config: DataConfig, splits: list[str]) -> dict[str, Dataset]:
    """Loads the named splits, with columns `id` and `sentences` (gold order).

    Validation or test is split off the training documents if it has no file of its own. Raises UserError naming the
    config key, or the file and line.
    """
    if config.source is Source.synthetic:
        return {name: _from_generator(config, name) for name in splits}
    load = _from_hub if config.source is Source.hub else _from_files
    missing = [name for name in ("validation", "test") if getattr(config, name) is None]
    for name in splits:
        if getattr(config, name) is None and config.train is None:
            raise UserError(f"data.{name}: no value; give a path or glob (for data=hub the name of a split)")
    needed = {*splits, "train"} if set(splits) & set(missing) else set(splits)  # from which missing ones are split off
    read: list[str] = [name for name in ("train", "validation", "test") if name in needed and name not in missing]
    given = {name: load(config, name) for name in read}

    # Also if only "train" was asked for: it must not contain the documents that others are tested on.
    if missing and "train" in given:
        given.update(_split_off(given["train"], missing, config))
    limits = {name: getattr(config, f"limit_{name}") or len(given[name]) for name in splits}
    return {name: given[name].select(range(min(limit, len(given[name])))) for name, limit in limits.items()}


def _split_off(train: Dataset, missing: list[str], config: DataConfig) -> dict[str, Dataset]:
    """Takes the missing splits from the training documents, which keep the rest, all in the order of the corpus.

    Which documents these are depends on the corpus and `data.split_seed` alone, not on the run's seed or on which other
    split has a file. So what a run held out is what an evaluation with the same `data.train` tests on.
    """
    rank = np.random.default_rng(config.split_seed).permutation(len(train))
    tests = max(1, round(len(train) * config.test_share))
    validations = max(1, round(len(train) * config.validation_share))
    members = {"test": rank < tests, "validation": (rank >= tests) & (rank < tests + validations)}
    kept = ~np.logical_or.reduce([members[name] for name in missing])
    if not kept.any() or not all(members[name].any() for name in missing):
        raise UserError(
            f"data.train: {len(train)} documents are too few to split off {' and '.join(missing)}; give more"
        )
    for name in missing:
        message = "data: no data.%s; split off %d of %d training documents for it (data.split_seed=%d)"
        log.info(message, name, members[name].sum(), len(train), config.split_seed)
    chosen = {"train": kept, **{name: members[name] for name in missing}}
    return {name: train.select(np.flatnonzero(rows)) for name, rows in chosen.items()}


def _from_files(config: DataConfig, split: str) -> Dataset:
    pattern = getattr(config, split)
    is_glob = glob.has_magic(pattern) and not os.path.isfile(pattern)
    paths = _matching(pattern, split) if is_glob else [pattern]
    if not paths:
        raise UserError(f"data.{split}: no file matches {pattern}")
    for path in paths:
        if problem := find_path_problem(path):
            raise UserError(f"data.{split}: {path}: {problem}; give a file or a glob")
    # The arguments are the key of the Arrow cache: a file that changed in size or time is read anew.
    stats = [(os.path.realpath(path), os.stat(path)) for path in paths]
    versions = [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]
    assert config.source is not None
    layout = Layout.of(config)
    return _cached(_file_records, paths=paths, versions=versions, file_format=config.source.value, layout=layout)


def _matching(pattern: str, split: str) -> list[str]:
    """The files that a glob matches, each once even if several links lead to it."""
    if any("**" in part and part != "**" for part in Path(pattern).parts):  # Python 3.13 would read `**x` as `*x`
        raise UserError(f"data.{split}: {pattern} is not a valid pattern: '**' must be a whole component of the path")
    try:
        if "**" in pattern:
            # Not by `glob`, which under `**` follows links to folders, and may be led round in circles for ever.
            anchor, named = Path(pattern).anchor, set(Path(pattern).parts)
            found = [path for path in Path(anchor).glob(pattern.removeprefix(anchor)) if not path.is_dir()]
            paths = [str(path) for path in found if not any(p[0] == "." for p in {*path.parts} - named)]
        else:
            paths = glob.glob(pattern)
    except (OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"data.{split}: {pattern} is not a valid pattern: {error}") from error
    once = {os.path.realpath(path): path for path in sorted(paths, reverse=True)}
    if len(once) < len(paths):
        log.info("data: ignoring %d links to files that data.%s already contains", len(paths) - len(once), split)
    return sorted(once.values())


def _file_records(paths: list[str], file_format: str, layout: Layout, **cache_key: Any) -> Iterator[dict[str, Any]]:
    for path in paths:
        for document in read_documents(path, file_format, layout):
            yield {"id": document.id, "sentences": document.sentences}


def _from_generator(config: DataConfig, split: str) -> Dataset:
    count = getattr(config, f"limit_{split}")
    if count is None:
        raise UserError(f"data.limit_{split}: data=synthetic needs the number of stories to generate")
    # The plots are part of the cache's key: their stories change with them.
    return _cached(_synthetic_records, split=split, seed=config.split_seed, count=count, plots=repr(PLOTS[split]))


def _synthetic_records(split: str, seed: int, count: int, **cache_key: Any) -> Iterator[dict[str, Any]]:
    for document_id, sentences in generate(split, seed, count):
        yield {"id": document_id, "sentences": sentences}


def _from_hub(config: DataConfig, split: str) -> Dataset:
    try:
        raw = load_dataset(config.hub_id, config.hub_config, split=getattr(config, split), trust_remote_code=False)
    # No such data set, configuration or split, one that needs a script, or no network.
    except (ValueError, OSError, RuntimeError, DatasetsError) as error:
        raise UserError(f"data.hub_id: {config.hub_id} could not be loaded: {first_line(error)}") from error
    layout, where = Layout.of(config), f"{config.hub_id}/{getattr(config, split)}"
    wanted = {config.id_column, config.sentences_column, config.text_column, *config.sentence_columns}
    # Other columns may be large, and are named in the complaint about one that is not there.
    raw = raw.select_columns([name for name in raw.column_names if name in wanted] or raw.column_names)

    limit = getattr(config, f"limit_{split}")
    if limit is not None and (split != "train" or (config.validation and config.test)):
        raw = raw.select(range(min(limit, len(raw))))  # before the work, if nothing is split off the rest

    def convert(record: dict[str, Any], row: int) -> dict[str, Any]:
        document = document_from_record(record, layout, f"{where}:{row}")
        return {"id": document.id, "sentences": document.sentences}

    return raw.map(convert, with_indices=True, remove_columns=raw.column_names, features=FEATURES)


def _cached(records: Callable[..., Iterator[dict[str, Any]]], **arguments: Any) -> Dataset:
    try:
        return Dataset.from_generator(records, features=FEATURES, gen_kwargs={**arguments, "version": CACHE_VERSION})
    except Exception as error:  # the builder's own, also for a user's mistake
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise cause from None
