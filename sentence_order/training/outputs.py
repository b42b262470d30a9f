"""Refuses output files that would replace what a command reads, or what a run has written."""

import glob
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sentence_order.config.schema import DataConfig
from sentence_order.data.files import listed, match_files
from sentence_order.errors import UserError
from sentence_order.runtime.files import check_output
from sentence_order.training.run_dir import find_owner


def check_overwrites(key: str, output: str | Path | None, inputs: Iterable[str | Path] = ()) -> None:
    """Raises UserError, before any work is done, if the file cannot be written, or if something would be lost by it.

    It must be none of the `inputs`, which are files, globs, folders, ids of the hub, or `-` for standard input; and no
    file of a run or a checkpoint, whichever that is. Links and other spellings of a path are followed.
    """
    check_output(key, output)
    if output is None:
        return
    for given in inputs:
        pattern = "/dev/stdin" if given == "-" else str(given)
        files = [pattern]
        with suppress(ValueError, NotImplementedError):  # no valid pattern
            files += match_files(pattern)
        if any(same_file(output, file) for file in files):
            raise UserError(f"{key}: {output} is read by this command ({given}); name another file")
    if owner := find_owner(output):
        raise UserError(f"{key}: {output} is part of {owner}; name another file")


def data_files(data: DataConfig) -> list[str]:
    """What the keys of the data group name, and all of a folder for `data=hub`; ids of the hub match no file."""
    folder = [f"{glob.escape(data.hub_id)}/**/*"] if data.hub_id else []
    values = (data.train, data.validation, data.test, data.folder)
    return [*folder, *(path for value in values for path in named_files(value))]


def named_files(value: Any) -> list[str]:
    """What a path, a glob, a folder or a list of these names, as paths and globs."""
    named = listed(value)
    return [*named, *(f"{glob.escape(path)}/*" for path in named if os.path.isdir(path))]


def same_file(a: str | Path, b: str | Path) -> bool:
    """True if two paths name one file, also if it is not there yet."""
    if os.path.exists(a) and os.path.exists(b):
        return os.path.samefile(a, b)
    return os.path.realpath(a) == os.path.realpath(b)
