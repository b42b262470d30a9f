"""The folder of a run: what it already holds, whether a run may resume in it, and its lock."""

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sentence_order.config.cli import compose
from sentence_order.config.commands import as_typed, key_of, unambiguous
from sentence_order.config.keys import OnResume, flatten_config
from sentence_order.config.parsing import override_with_typed
from sentence_order.config.schema import TrainConfig
from sentence_order.config.validation import check_effects
from sentence_order.errors import UserError
from sentence_order.runtime.files import check_writable, is_checkpoint, is_replaceable
from sentence_order.training.run_config import (
    CONFIG_FILE,
    OVERRIDES_FILE,
    find_changes,
    format_changes,
    has_key_groups,
    how_to_train_on,
    read_config,
)

log = logging.getLogger(__name__)

RESULTS_FILE, LOCK_FILE = "results.json", ".lock"
METRICS_FILE, EVENT_FILES, LOG_FILE = "metrics.jsonl", "events.out.tfevents.*", "train.log"
# What a run writes after its config, as patterns; `.lock` may be there before it.
CHECKPOINTS, KEPT = ("checkpoints/best", "checkpoints/last"), "checkpoints/step_[0-9]*"
WRITTEN_LATER = (OVERRIDES_FILE, RESULTS_FILE, METRICS_FILE, EVENT_FILES, LOG_FILE, *CHECKPOINTS, KEPT)
# A process that was told to stop may need this long to release its folder.
LOCK_SECONDS = 20


class RunStatus(Enum):
    NEW = "new"
    INCOMPLETE = "incomplete"
    FINISHED = "finished"


def run_status(folder: Path) -> RunStatus:
    """How far the run of a folder has come; NEW if there is none."""
    if not (folder / CONFIG_FILE).exists():
        return RunStatus.NEW
    return RunStatus.FINISHED if (folder / RESULTS_FILE).exists() else RunStatus.INCOMPLETE


def is_run(folder: Path) -> bool:
    """True if a folder holds a checkpoint or the config of a run, also one that is damaged or of another version."""
    file = folder / CONFIG_FILE
    try:
        return any(is_checkpoint(path) for path in _find(folder, [*CHECKPOINTS, KEPT])) or (
            file.is_file() and has_key_groups(file.read_text(encoding="utf-8", errors="replace"))
        )
    except OSError:
        return False


def _find(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """What is there, by `glob`, which finds links to nothing as well."""
    return [folder / name for pattern in patterns for name in glob.glob(pattern, root_dir=folder)]


def find_owner(path: str | Path) -> str | None:
    """The checkpoint that a path lies in, or the run that writes there; links are followed.

    Other files may lie in the folder of a run, and none in a checkpoint.
    """
    real = Path(os.path.realpath(path))
    for folder in (real, *real.parents):
        if is_checkpoint(folder):
            return f"the checkpoint {folder}"
        name = str(real.relative_to(folder))
        patterns = (CONFIG_FILE, LOCK_FILE, *WRITTEN_LATER, "checkpoints/*")
        if any(fnmatch(name, pattern) for pattern in patterns) and is_run(folder):
            return f"the run in {folder}"
    return None


def find_run(path: Path) -> Path | None:
    """The run's folder that a path names, itself or by one of its checkpoints; None if there is no run."""
    folders = [path, path.parent.parent] if path.parent.name == "checkpoints" else [path]
    return next((folder for folder in folders if run_status(folder) is not RunStatus.NEW), None)


def warn_if_unfinished(checkpoint: str) -> None:
    """Logs a warning if a run is named whose best checkpoint is the best so far."""
    folder = Path(checkpoint)
    if run_status(folder) is RunStatus.INCOMPLETE:
        log.warning("the run in %s is not finished; this is its best checkpoint so far", folder)


def resolve_resume(config: TrainConfig, typed: Sequence[str]) -> TrainConfig:
    """The config with which `resume=DIR` resumes the run in DIR: its own, with the keys that were typed.

    If the typed overrides choose options of groups too, they describe the whole run. Raises UserError if there is none.
    """
    if config.resume in ("off", "auto"):
        return config
    path = Path(config.resume)
    folder = find_run(path)
    if folder is None:
        raise UserError(
            f"resume: {path} is not a run's folder (no {CONFIG_FILE}); accepted are off, auto and such a folder"
        )
    if folder != path and path.name != "last":
        raise UserError(
            "resume: a run resumes from its last checkpoint; to start from this one: "
            f"{as_typed('init_from', unambiguous(path))}"
        )
    keys = [key_of(override) for override in typed]
    if "output_dir" in keys and Path(config.output_dir).absolute() != folder.absolute():
        raise UserError(
            f"resume: the run resumes in {folder} itself; leave out {as_typed('output_dir', config.output_dir)}"
        )
    if set(keys) <= set(flatten_config(config)):
        config = override_with_typed(read_config(folder), config, list(typed))
    return replace(config, output_dir=str(folder), resume="auto")


def load_config(*overrides: str) -> TrainConfig:
    """The config of a training run, as `python -m sentence_order.train OVERRIDES` would make it.

    Args:
        *overrides: options of groups and keys, such as `"encoder=minilm"` and `"trainer.epochs=3"`;
            `"resume=RUN"` alone gives the config of a run, with which `Trainer` resumes it.

    Raises UserError naming the key, and what is accepted.
    """
    if odd := [word for word in overrides if not isinstance(word, str)]:
        raise TypeError(f"load_config: overrides are texts such as 'encoder=minilm', not {type(odd[0]).__name__}")
    if any(key_of(word) == "sweep" for word in overrides):
        raise UserError("sweep: for the command line alone; in Python, call Trainer for each config")
    config = resolve_resume(compose("train", list(overrides)), overrides)
    check_effects(config, overrides)
    return config


def check_run_dir(config: TrainConfig, holds_lock: bool = False) -> RunStatus:
    """How far this very run has come in its folder, which it may hold the lock of.

    Raises UserError if the folder cannot be used, or holds another run.
    """
    folder = Path(config.output_dir)
    for place in (folder, folder / "checkpoints"):
        if place.exists() and not place.is_dir():
            raise UserError(f"output_dir: {place} is a file; name another folder")
        check_writable("output_dir", place)
    if owner := find_owner(folder):
        raise UserError(f"output_dir: {folder} is part of {owner}; name another folder")
    status = run_status(folder)
    if status is RunStatus.NEW:
        if found := _find(folder, WRITTEN_LATER):
            raise UserError(
                f"output_dir: {found[0]} is there, but no {CONFIG_FILE} of a run that has written it; name another "
                "folder"
            )
        if runs := [path.name for path in sorted(folder.glob("*/")) if is_run(path)]:
            raise UserError(f"output_dir: {folder} holds other runs ({runs[0]}, for one); name a folder of its own")
        return status
    fixed = find_changes(read_config(folder), config, {OnResume.FIXED})
    if config.resume == "off":
        raise UserError(f"output_dir: {folder} holds {_describe(folder, status, fixed, holds_lock)}")

    if fixed:
        raise UserError(
            f"output_dir: {folder} holds a run with another config ({format_changes(fixed)}); resume it unchanged "
            f"({as_typed('resume', unambiguous(folder))} alone), or name another folder"
            f"{how_to_train_on(folder, fixed)}"
        )
    replaced = [*CHECKPOINTS, KEPT] if config.trainer.keep else CHECKPOINTS
    for checkpoint in _find(folder, replaced) if status is RunStatus.INCOMPLETE else []:
        if checkpoint.is_symlink():
            raise UserError(
                f"output_dir: {checkpoint} is a link, which a run cannot replace; move the checkpoint back there, or "
                f"make {checkpoint.parent} a link"
            )
        if not is_replaceable(checkpoint):
            raise UserError(f"output_dir: {checkpoint} is not a checkpoint of this program; move it away")
    return status


def check_unchanged(config: TrainConfig, typed: Sequence[str]) -> None:
    """Raises UserError if a key was typed that would change a finished run."""
    folder, keys = Path(config.output_dir), set(map(key_of, typed))
    changes = {key: values for key, values in find_changes(read_config(folder), config).items() if key in keys}
    if changes:
        raise UserError(
            f"{next(iter(changes))}: {folder} is finished, which this cannot change ({format_changes(changes)}); leave "
            f"it out{how_to_train_on(folder, changes)}"
        )


def log_finished(config: TrainConfig) -> None:
    folder = Path(config.output_dir)
    log.info("%s is finished; its results are in %s", folder, folder / RESULTS_FILE)


def _describe(folder: Path, status: RunStatus, changes: dict[str, tuple[Any, Any]], holds_lock: bool) -> str:
    """The run that a folder holds, beside what is now to be run there, and the way on."""
    if changes:
        more = how_to_train_on(folder, changes)
        return f"another run ({format_changes(changes)}); name another folder, or remove it{more}"
    if status is RunStatus.INCOMPLETE and not holds_lock and _is_locked(folder):
        return "this run, which another process is training; wait for it, or stop it"
    if status is RunStatus.FINISHED:
        return f"this run, which is finished (see {folder / RESULTS_FILE}); to repeat it, name another folder"
    from sentence_order.training.state import read_step  # slow to import

    step = read_step(folder / "checkpoints" / "last")
    saved = "has not saved a checkpoint yet" if step is None else f"was saved at step {step}"
    return f"this run, which {saved}; to resume it, add resume=auto"


def _is_locked(folder: Path) -> bool:
    """True if a process is training in the folder."""
    try:
        with lock_run_dir(folder, seconds=0):
            return False
    except UserError:
        return True


@contextmanager
def lock_run_dir(folder: Path, wait: bool = False, seconds: float | None = None) -> Iterator[None]:
    """Keeps other processes from training in the folder; a killed one loses its lock.

    If another process trains there, it waits for its end, or raises UserError after some seconds, by default
    `LOCK_SECONDS`.
    """
    seconds = LOCK_SECONDS if seconds is None else seconds
    lock = FileLock(folder / LOCK_FILE, fallback_to_soft=False)  # a soft lock would outlive a killed process
    try:
        lock.acquire(timeout=0 if wait else seconds)
    except Timeout as error:
        if not wait:
            raise UserError(f"output_dir: another process is training in {folder}; wait for it, or stop it") from error
        log.info("another process is training in %s; waiting for its end", folder)
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        log.info("%s cannot be locked (%s); make sure that nothing else trains in it", folder, error)
    try:
        yield
    finally:
        lock.release()
