"""What a run's folder holds already, whether this run may go on with it, and that no two do so at once."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sentence_order.config import TrainConfig, check_texts, leaves
from sentence_order.errors import UserError, first_line
from sentence_order.files import check_writable

log = logging.getLogger(__name__)

CONFIG_FILE, RESULTS_FILE, LOCK_FILE = "config.yaml", "results.json", ".lock"
# Of no consequence for what a run does.
INDIFFERENT = ("output_dir", "resume", "batch", "debug.replay")
# What a run may change when it goes on: it does not end as it would have, but nothing about it is wrong.
CHANGEABLE = (
    *("device", "precision", "cache.", "on_nonfinite", "max_nonfinite", "trainer.workers", "trainer.patience"),
    *("trainer.eval_batch_tokens", "trainer.eval_every", "trainer.log_every", "trainer.save_every"),
)
# A process that was told to stop may need so long to let go of its folder.
SECONDS_TO_LET_GO = 20


class Stage(Enum):
    """How far a run has come."""

    new = "new"
    begun = "begun"
    finished = "finished"


def stage_of(folder: Path) -> Stage:
    """How far the run of a folder has come, if there is one."""
    if not (folder / CONFIG_FILE).exists():
        return Stage.new
    return Stage.finished if (folder / RESULTS_FILE).exists() else Stage.begun


def taken_up(config: TrainConfig, typed: Sequence[str]) -> TrainConfig:
    """The config with which `resume=DIR` goes on with the run in DIR: its own, with the keys that were typed.

    Args:
        typed: what the command line overrides. Where it chooses options of groups too, it describes the whole run.

    Raises:
        UserError: there is no run.
    """
    if config.resume in ("off", "auto"):
        return config
    folder = Path(config.resume)
    if folder.name == "last" and folder.parent.name == "checkpoints":
        folder = folder.parent.parent
    if stage_of(folder) is Stage.new:
        raise UserError(
            f"resume: {config.resume} holds no run (no {CONFIG_FILE}); accepted are off, auto and the folder of a run"
        )
    keys = [override.split("=", 1)[0].lstrip("+") for override in typed]
    if "output_dir" in keys and Path(config.output_dir).absolute() != folder.absolute():
        raise UserError(f"resume: it goes on in {folder} itself; leave out output_dir={config.output_dir}")
    if set(keys) <= set(leaves(config)):
        own, given = OmegaConf.structured(read_config(folder)), OmegaConf.structured(config)
        for key in keys:
            OmegaConf.update(own, key, OmegaConf.select(given, key))
        chosen = OmegaConf.to_object(own)
        assert isinstance(chosen, TrainConfig)
        config = chosen
    return replace(config, output_dir=str(folder), resume="auto")


def claim(config: TrainConfig) -> Stage:
    """How far this very run has come in its `output_dir`.

    Raises:
        UserError: the folder cannot be used, or holds another run: one never writes over another.
    """
    folder = Path(config.output_dir)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output_dir: {folder} is a file; name a folder")
    check_writable("output_dir", folder)
    stage = stage_of(folder)
    if stage is Stage.new:
        return stage
    if config.resume == "off":
        raise UserError(
            f"output_dir: {folder} holds another run; name another folder, remove this one, or go on with it: "
            "resume=auto"
        )
    changed = differences(read_config(folder), config)
    if wrong := {key: values for key, values in changed.items() if not key.startswith(CHANGEABLE)}:
        raise UserError(
            f"output_dir: {folder} holds a run with another config ({_told(wrong)}); leave that as it was "
            f"(resume={folder} alone does), or name another folder"
        )
    return stage


def tell_changes(config: TrainConfig) -> None:
    """Logs with which other settings the run of `output_dir` goes on."""
    if changed := differences(read_config(Path(config.output_dir)), config):
        log.info("run: goes on with other settings: %s", _told(changed))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps other processes from training in the same folder meanwhile; a process that is killed lets go of it.

    Raises:
        UserError: another process has it.
    """
    lock = FileLock(folder / LOCK_FILE, fallback_to_soft=False)  # a soft lock would outlive a killed process
    try:
        lock.acquire(timeout=SECONDS_TO_LET_GO)
    except Timeout as error:
        raise UserError(f"output_dir: another process is training in {folder}; wait for it, or stop it") from error
    except (OSError, NotImplementedError) as error:
        log.info("run: %s cannot be locked (%s); see to it that nothing else trains in it", folder, error)
    try:
        yield
    finally:
        lock.release()


def read_config(folder: Path) -> TrainConfig:
    """The config that a run was begun with.

    Raises:
        UserError: there is none, or it is damaged or of another version of this program.
    """
    file = folder / CONFIG_FILE
    try:
        text = file.read_text(encoding="utf-8")
        if "${" in text:  # which would read the environment, for one; a run writes values only
            raise ValueError("it holds an interpolation")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):  # a few lines of these fill a memory
            raise ValueError("it holds an alias")
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainConfig), OmegaConf.create(text)))
        assert isinstance(config, TrainConfig)
        check_texts(config)
    except (
        OSError,
        ValueError,
        TypeError,
        AssertionError,
        RecursionError,
        yaml.YAMLError,
        OmegaConfBaseException,
    ) as error:
        raise UserError(f"{file}: is not the config of a run of this version ({first_line(error)})") from error
    return config


def differences(there: TrainConfig, here: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """The keys in which two configs would make a run differ, with both values."""
    theirs, ours = leaves(there), leaves(here)
    return {key: (theirs[key], ours[key]) for key in ours if theirs[key] != ours[key] and key not in INDIFFERENT}


def _told(changed: dict[str, tuple[Any, Any]], most: int = 8) -> str:
    told = [f"{key}: {there} there, {here} here" for key, (there, here) in changed.items()]
    return "; ".join(told[:most]) + (f"; and {len(told) - most} more" if len(told) > most else "")
