"""What is checked of a run before its first heavy import: its folder, and what it reads."""

import os

from sentence_order.config.schema import Split, TrainConfig
from sentence_order.data.files import check_data_files
from sentence_order.model.freezing import first_joint_layer, freeze_phases
from sentence_order.model.locations import check_checkpoint, find_depth
from sentence_order.training.run_dir import RunStatus, check_run_dir


def check_inputs(config: TrainConfig) -> RunStatus | None:
    """Checks the folder of the run, whose status it returns, and what it reads. Raises UserError."""
    if os.environ.get("RANK", "0") != "0":
        return None  # of several processes, the main one reports
    if (status := check_run_dir(config)) is RunStatus.FINISHED:
        return status
    check_data_files(config.data, ["train"] if config.debug.overfit else [split.value for split in Split])
    if config.init_from is not None:
        check_checkpoint(config.init_from, "init_from")
    if (depth := find_depth(config.encoder)) is not None:
        freeze_phases(config.freeze, depth)
        first_joint_layer(config.encoder, depth)
    return status
