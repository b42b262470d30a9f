"""The files of a corpus, found by the keys of the data group."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from sentence_order.config.schema import DataConfig, Source
from sentence_order.data.readers import Layout, format_by_name, read_documents
from sentence_order.data.records import find_path_problem, match_files
from sentence_order.errors import UserError


def check_data_files(config: DataConfig, splits: Sequence[str]) -> None:
    """Raises UserError if what the splits are read from is not named, or a file's first document cannot be read."""
    if config.source in (Source.synthetic, Source.memory):
        return
    assert config.source is not None
    for name in splits_to_read(config, splits):
        for path in find_data_files(config, name) if config.source is not Source.hub else []:
            suggested = format_by_name(path)
            suggested = None if suggested == config.source.value else suggested
            try:
                next(read_documents(path, config.source.value, Layout.of(config)))
            except UserError as error:
                if suggested:
                    error.add_note(f"for a file of this name: data={suggested}")
                raise
            if suggested and config.source is Source.text:  # as which any file can be read
                raise UserError(f"data.{name}: {path}: for a file of this name: data={suggested}")


def splits_to_read(config: DataConfig, splits: Sequence[str]) -> list[str]:
    """The splits that have a key, of those asked for; with training, if one is split off it. Raises UserError."""
    for name in splits:
        if getattr(config, name) is None and config.train is None:
            raise UserError(f"data.{name}: no value; give a path or glob (for data=hub the name of a split)")
    given = [name for name in ("train", "validation", "test") if getattr(config, name) is not None]
    splits_off = any(name not in given for name in splits)
    return [name for name in given if name in splits or (splits_off and name == "train")]


def find_data_files(config: DataConfig, split: str) -> list[str]:
    """The files of a split. Raises UserError if there are none, or one cannot be read."""
    pattern = getattr(config, split)
    is_glob = glob.has_magic(pattern) and not os.path.isfile(pattern)
    paths = _matching(pattern, split) if is_glob else [pattern]
    if not paths:
        raise UserError(f"data.{split}: no file matches {pattern}")
    for path in paths:
        if problem := find_path_problem(path):
            raise UserError(f"data.{split}: {path}: {problem}; give a file or a glob")
    return paths


def _matching(pattern: str, split: str) -> list[str]:
    """The files that a glob matches, each once even if several links lead to it."""
    if any("**" in part and part != "**" for part in Path(pattern).parts):  # Python 3.13 would read `**x` as `*x`
        raise UserError(f"data.{split}: {pattern} is not a valid pattern: '**' must be a whole component of the path")
    try:
        paths = match_files(pattern)
    except (OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"data.{split}: {pattern} is not a valid pattern: {error}") from error
    once = {os.path.realpath(path): path for path in sorted(paths, reverse=True)}
    return sorted(once.values())
