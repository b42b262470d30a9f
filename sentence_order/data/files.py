"""The files that the `data.train`, `data.validation` and `data.test` keys name."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sentence_order.config.schema import DataConfig, Source
from sentence_order.data.formats import format_by_name
from sentence_order.data.layout import Layout
from sentence_order.data.readers import read_files
from sentence_order.data.streams import find_path_problem
from sentence_order.errors import UserError


def check_data_files(config: DataConfig, splits: Sequence[str]) -> None:
    """Raises UserError if what the splits are read from is not named, or a file's first document cannot be read."""
    if config.source in (Source.synthetic, Source.memory):
        return
    assert config.source is not None
    for name in splits_to_read(config, splits):
        if config.source is Source.hub:
            if os.path.isfile(value := str(getattr(config, name))):
                found = format_by_name(value) or "jsonl"
                raise UserError(f"data.{name}: {value} is a file, and data=hub takes the name of a split; data={found}")
            continue
        paths = find_data_files(config, name)
        try:
            list(read_files([(path, config.source.value) for path in paths], Layout.of(config), only_first=True))
        except UserError as error:
            path = next((path for path in paths if str(error).startswith(f"{path}:")), "")
            suggested = format_by_name(path)
            if suggested not in (None, "text", config.source.value) and "data=" not in str(error):
                error.add_note(f"for a file of this name: data={suggested}")
            raise


def splits_to_read(config: DataConfig, splits: Sequence[str]) -> list[str]:
    """The splits that have a key, of those asked for; with training, if one is split off it. Raises UserError."""
    for name in splits:
        if getattr(config, name) is None and config.train is None:
            raise UserError(f"data.{name}: no value; give a path or glob (for data=hub the name of a split)")
    given = [name for name in ("train", "validation", "test") if getattr(config, name) is not None]
    splits_off = any(name not in given for name in splits)
    return [name for name in given if name in splits or (splits_off and name == "train")]


def listed(value: Any) -> list[str]:
    """What a key of a split names: its value, or those of its list."""
    return [str(item) for item in (value if isinstance(value, list) else [value]) if item is not None]


def find_data_files(config: DataConfig, split: str) -> list[str]:
    """The files of a split. Raises UserError if there are none, or one cannot be read."""
    paths = find_files(f"data.{split}", getattr(config, split))
    if config.folder is not None:
        paths = [named for path in paths for named in _read_names(path, config.folder, split)]
    once: dict[str, str] = {}
    for path in paths:
        once.setdefault(os.path.realpath(path), path)
    return list(once.values())


def find_files(key: str, value: Any) -> list[str]:
    """The files that a key names by paths, globs or folders. Raises UserError if there are none."""
    if not (patterns := listed(value)):
        raise UserError(f"{key}: an empty list; give a file, a glob, a folder or a list of these")
    paths = [path for pattern in patterns for path in _find_by_pattern(key, pattern)]
    for path in paths:
        if problem := find_path_problem(path):
            hint = ", or - for standard input" if key == "input" else ""
            raise UserError(f"{key}: {path}: {problem}; give a file, a glob, a folder or a list of these{hint}")
    return paths


def _find_by_pattern(key: str, pattern: str) -> list[str]:
    if os.path.isdir(pattern) and os.access(pattern, os.R_OK):
        names = sorted(name for name in os.listdir(pattern) if not name.startswith("."))
        paths = [path for name in names if not os.path.isdir(path := os.path.join(pattern, name))]
        if not paths:
            below = os.path.join(glob.escape(pattern), "**", "*")
            raise UserError(f"{key}: {pattern}: a folder without files; {below} names those in its folders")
        return paths
    if os.path.isfile(pattern) or not glob.has_magic(pattern):
        return [pattern]
    if not (paths := _match(key, pattern)):
        raise UserError(f"{key}: no file matches {pattern}")
    return paths


def _read_names(path: str, folder: str, split: str) -> Iterator[str]:
    """The files that another one lists, in a folder, or at a path with `*` in place of the name."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            if name := line.strip():
                found = folder.replace("*", name) if "*" in folder else os.path.join(folder, name)
                if problem := find_path_problem(found):
                    raise UserError(f"data.{split}: {path}:{number}: {found}: {problem}; data.folder={folder}")
                yield found


def _match(key: str, pattern: str) -> list[str]:
    """The files that a glob matches, each once even if several links lead to it."""
    if any("**" in part and part != "**" for part in Path(pattern).parts):  # Python 3.13 would read `**x` as `*x`
        raise UserError(f"{key}: {pattern} is not a valid pattern: '**' must be a whole component of the path")
    try:
        paths = match_files(pattern)
    except (OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"{key}: {pattern} is not a valid pattern: {error}") from error
    once = {os.path.realpath(path): path for path in sorted(paths, reverse=True)}
    return sorted(once.values())


def match_files(pattern: str) -> list[str]:
    """The paths that a glob matches, and the folders that it should look into and has no permission for.

    Raises OSError, ValueError or NotImplementedError if it is not a valid one.
    """
    found = _glob(pattern)
    if "**" in pattern:
        found = [path for path in found if not os.path.isdir(path)]
    whole = Path(pattern)
    for folder, inner in zip(whole.parents, [whole, *whole.parents], strict=False):
        is_listed = glob.has_magic(inner.name) or folder.name == "**"
        access = os.X_OK | os.R_OK if is_listed else os.X_OK
        found += [path for path in _glob(str(folder)) if os.path.isdir(path) and not os.access(path, access)]
    return found


def _glob(pattern: str) -> list[str]:
    if "**" not in pattern:
        return glob.glob(pattern)
    # Not by `glob`, which under `**` follows links to folders, and may be led round in circles for ever.
    anchor, named = Path(pattern).anchor, set(Path(pattern).parts)
    found = Path(anchor).glob(pattern.removeprefix(anchor))
    return [str(path) for path in found if not any(part[0] == "." for part in {*path.parts} - named)]
