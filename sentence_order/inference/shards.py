"""Parts of an output, each of which is complete or absent: part-00000.jsonl, part-00001.jsonl, ... in one folder.

Beside them `shards.json` says what they are predictions of, so that another start with other settings is refused.
"""

import fcntl
import itertools
import json
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

from sentence_order.config.keys import OnResume, flatten_config, key_infos
from sentence_order.config.schema import PredictConfig
from sentence_order.data.files import listed
from sentence_order.errors import UserError, counted
from sentence_order.inference.files import TABLE_SUFFIXES, TEXT_SUFFIX, find_inputs
from sentence_order.model.locations import REQUIRED_FILES
from sentence_order.runtime.files import check_writable, digest_file, oserrors_with_path

T = TypeVar("T")

SHARDS_FILE, PARTS, MAX_PARTS = "shards.json", "part-*.jsonl", 100_000
# Here while processes that share the parts are to stop, since one has met a fault.
STOP_FILE = "stop"
# For so long a network file system may not show what another machine has made.
HIDDEN_SECONDS = 60
FILE_SUFFIXES = (".jsonl", ".json", TEXT_SUFFIX, *TABLE_SUFFIXES)
ELSEWHERE = "name another folder by output"


def part_path(folder: Path, number: int) -> Path:
    """The file of a part; names sort as numbers do. Raises UserError if there are too many for that."""
    if number >= MAX_PARTS:
        raise UserError(f"shard_documents: gives more than {MAX_PARTS:,} parts; give a larger number, and {ELSEWHERE}")
    return folder / f"part-{number:05d}.jsonl"


def check_shards(config: PredictConfig, world_size: int) -> None:
    """Checks that `output`, `shard_documents` and the number of processes go together. Raises UserError."""
    output, size = config.output, config.shard_documents
    is_folder = output is not None and (output.endswith("/") or os.path.isdir(output))
    if size is None:
        if is_folder:
            raise UserError(
                f"output: {output} is a folder; name a file, or add shard_documents=N for parts of N documents in it"
            )
        if world_size > 1:
            raise UserError(
                f"shard_documents: no value, and {world_size} processes cannot write to one output; add "
                "shard_documents=N output=FOLDER/, where each writes parts of N documents, or leave torchrun out"
            )
        return

    if output in (None, "-"):
        raise UserError("output: no folder, in which shard_documents writes its parts; add output=FOLDER/")
    assert output is not None
    if not is_folder and (os.path.lexists(output) or Path(output).suffix in FILE_SUFFIXES):
        raise UserError(
            f"output: {output} names a file, and shard_documents writes parts into a folder: output=FOLDER/"
        )
    check_writable("output", Path(output))
    if config.input == "-" and world_size > 1:
        raise UserError(f"input: standard input is read by one process, not {world_size}; give a file")
    for given in listed(config.input):
        folder, name = (given, "*") if os.path.isdir(given) else os.path.split(given)
        is_same = os.path.isdir(output) and os.path.isdir(folder or ".") and os.path.samefile(folder or ".", output)
        if is_same and fnmatch(part_path(Path(), 0).name, name):
            raise UserError(f"output: the parts in {output} would be read as input ({given}); {ELSEWHERE}")


def describe_shards(config: PredictConfig, checkpoint: Path, precision: str) -> dict[str, Any]:
    """Everything that determines what is in the parts, by key; the checkpoint and each file of the input by digests.

    `precision` is what the key of that name comes to on this device.
    """
    fixed = {name for name, info in key_infos(PredictConfig).items() if info.on_resume is OnResume.FIXED}
    values = {name: value for name, value in flatten_config(config).items() if name in fixed}
    # Ids may hold the path of a file as it was typed.
    files = find_inputs(config) if config.input != "-" else []
    inputs = {path: digest_file(path) for path in files}
    values["precision"] = precision
    return {**values, "checkpoint": {name: digest_file(checkpoint / name) for name in REQUIRED_FILES}, "input": inputs}


@contextmanager
def claim_folder(folder: Path, description: dict[str, Any]) -> Iterator[None]:
    """Within the block no other command writes parts into a folder, which has a description from then on.

    Raises UserError if another command does, or there are parts that are of something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / SHARDS_FILE
    if not file.exists() and (others := sorted(path.name for path in folder.glob(PARTS))):
        raise UserError(f"output: {folder} has {others[0]} and no {SHARDS_FILE} that says of what; {ELSEWHERE}")
    with file.open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"output: another process is writing to {folder}; wait for it, or {ELSEWHERE}") from error
        except OSError:  # some file systems have no locks
            pass
        if not any(folder.glob(PARTS)):  # nor anything else that another start would have to fit to
            with oserrors_with_path(file):
                stream.truncate(0)
                stream.write(json.dumps(description, indent=2, ensure_ascii=False) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        elif not description["input"]:
            raise UserError(f"input: standard input cannot be read again, and {folder} has parts already; {ELSEWHERE}")
        (folder / STOP_FILE).unlink(missing_ok=True)
        try:
            yield
        finally:
            (folder / STOP_FILE).unlink(missing_ok=True)


def check_description(folder: Path, description: dict[str, Any]) -> None:
    """Raises UserError, which names the key, if the parts in a folder are of something else."""
    file = folder / SHARDS_FILE
    deadline = time.monotonic() + HIDDEN_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            raise UserError(f"output: {folder} must be one folder for all machines")
        time.sleep(HIDDEN_SECONDS / 60)
    found: dict[str, Any] = {}
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or not {"checkpoint", "input"} <= found.keys():
        raise UserError(f"output: {file} does not say what the parts beside it are of; {ELSEWHERE}")

    for key, value in description.items():
        if (other := found.get(key)) == value:
            continue
        if key == "checkpoint":
            raise UserError(f"checkpoint: the parts in {folder} are by another one; give that, or {ELSEWHERE}")
        if key == "input":
            raise UserError(f"input: {_compare_inputs(other, value)} the parts in {folder}; {ELSEWHERE}")
        had = f"the parts in {folder} were written with {key}={_shown(other)}"
        raise UserError(f"{key}: {had}, not {_shown(value)}; give that, or {ELSEWHERE}")


def _compare_inputs(found: Any, given: dict[str, str]) -> str:
    """How the files of an input differ from those of an earlier start, as the beginning of a sentence."""
    if isinstance(found, dict) and [*found.values()] == [*given.values()]:
        earlier, now = next((a, b) for a, b in zip(found, given, strict=True) if a != b)
        return f"{now} was {earlier} in the command of"
    if not isinstance(found, dict) or [*found] != [*given]:
        names = [*found] if isinstance(found, dict) else []
        earlier = f"{names[0]}{', ...' if len(names) > 1 else ''} ({counted(len(names), 'file')})" if names else "-"
        return f"other files than {earlier}, which are those of"
    changed = [path for path in given if found[path] != given[path]]
    return f"{changed[0]} has changed since the start of"


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)


def cut_into_shards(items: Iterator[T], size: int) -> Iterator[tuple[int, Iterator[T]]]:
    """The items in shards of a size, each with its number; what is not read of a shard is passed over."""
    for number in itertools.count():
        shard = itertools.islice(items, size)
        if (first := next(shard, None)) is None:
            return
        yield number, itertools.chain([first], shard)
        deque(shard, maxlen=0)
