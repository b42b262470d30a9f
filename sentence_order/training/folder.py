"""What a run's folder holds already, and whether this run may go on with it."""

from enum import Enum
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sentence_order.config import Resume, TrainConfig, leaves
from sentence_order.errors import UserError, first_line
from sentence_order.files import check_writable

CONFIG_FILE, RESULTS_FILE = "config.yaml", "results.json"
# Of no consequence for what a run does.
INDIFFERENT = ("output_dir", "resume")


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
    if config.resume is Resume.off:
        raise UserError(
            f"output_dir: {folder} holds another run; name another folder, remove this one, or go on with it: "
            "resume=auto"
        )
    if changed := differences(read_config(folder), config):
        key, (there, here) = next(iter(changed.items()))
        more = f", and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UserError(
            f"output_dir: {folder} holds a run with another config ({key}: {there} there, {here} here{more}); "
            "name another folder, or remove this one"
        )
    return stage


def read_config(folder: Path) -> TrainConfig:
    """The config that a run was begun with.

    Raises:
        UserError: there is none, or it is damaged or of another version of this program.
    """
    file = folder / CONFIG_FILE
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainConfig), OmegaConf.load(file)))
    except (OSError, ValueError, TypeError, OmegaConfBaseException) as error:
        raise UserError(f"{file}: is not the config of a run of this version ({first_line(error)})") from error
    assert isinstance(config, TrainConfig)
    return config


def differences(there: TrainConfig, here: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """The keys in which two configs would make a run differ, with both values."""
    theirs, ours = leaves(there), leaves(here)
    return {key: (theirs[key], ours[key]) for key in ours if theirs[key] != ours[key] and key not in INDIFFERENT}
