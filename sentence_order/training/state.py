"""What a run must save, beside its config, to resume as if it had never stopped; and the file that holds it.

Examples and batches are functions of (seed, epoch, document), so the number of steps determines which data comes next;
the learning rate follows from it too. The rest is the weights, the optimizer's moments, the scale of fp16 losses, the
random states of dropout, the progress of the run (`TrainerState`), and the length of metrics.jsonl.
"""

import errno
import logging
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash

from sentence_order.config.commands import as_typed, unambiguous
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import UserError, first_line
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.prefix_cache.keys import weight_bytes
from sentence_order.runtime.manifest import MANIFEST, find_corruption

log = logging.getLogger(__name__)

STATE_FILE = "training_state.pt"
STATE_VERSION = 5
# That of runs whose shuffles were others: they resume, but not to the last bit.
FORMER_SHUFFLES = 4


@dataclass
class TrainerState:
    """The progress of a run.

    Attributes:
        step: optimizer steps done, skipped ones included.
        total_steps: those of the whole run, if nothing ends it early.
        epoch: the epochs that the steps amount to.
        done: no step is left.
        validation_pending: the validation after the last step has not been done yet.
        num_documents: documents trained on, as often as they were.
        seconds: in training steps; validation and checkpoints are not counted.
        num_skipped_steps: steps whose loss or gradient was not finite.
        best_metrics: those of the best validation so far.
        best_step: its step.
        num_bad_validations: validations since the best one.
        last_validation: the metrics of the last validation, with intervals.
        validated_step: its step.
        previous_seconds: what the run took until it was saved.
        metrics: the last value of each metric, by its name in `metrics.jsonl`.
    """

    step: int = 0
    total_steps: int = 0
    epoch: float = 0.0
    done: bool = False
    validation_pending: bool = False
    num_documents: int = 0
    seconds: float = 0.0
    num_skipped_steps: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    best_step: int = 0
    num_bad_validations: int = 0
    last_validation: dict[str, Any] = field(default_factory=dict)
    validated_step: int = 0
    previous_seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)


def write_state(state: dict[str, Any], checkpoint: Path) -> None:
    """Adds the training state to a checkpoint. Raises OSError."""
    file = checkpoint / STATE_FILE
    try:
        torch.save({"version": STATE_VERSION, **state}, file)
    except RuntimeError as error:  # what torch raises for a full disk
        raise OSError(errno.EIO, first_line(error), str(file)) from error


def read_step(checkpoint: Path) -> int | None:
    """The step after which a checkpoint was saved; None if there is none, or it is damaged."""
    try:
        state = torch.load(checkpoint / STATE_FILE, map_location="cpu", weights_only=True, mmap=True)
        return int(state["trainer"]["step"])
    except Exception:  # what a library makes of a damaged file may be anything
        return None


def read_state(checkpoint: Path) -> dict[str, Any] | None:
    """The training state of a checkpoint, if there is one. Raises UserError if it is damaged or of another version."""
    if not checkpoint.exists():
        return None
    best, state = checkpoint.with_name("best"), None
    try:
        if not (checkpoint / MANIFEST).exists():
            raise ValueError(f"it has no {MANIFEST}")
        if problem := find_corruption(checkpoint, [STATE_FILE]):
            raise ValueError(problem)
        state = torch.load(checkpoint / STATE_FILE, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"{STATE_FILE} is not a training state")
    except PermissionError:
        raise
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{checkpoint} is damaged: {first_line(error)}; a run in another folder can start from the best weights, "
            f"{as_typed('init_from', unambiguous(best))}; to start this one from the beginning, remove "
            f"{checkpoint.name}"
        ) from error
    if state.get("version") == FORMER_SHUFFLES:
        log.info("%s is of an earlier version: from here on sentences are shuffled in other orders", checkpoint)
    elif state.get("version") != STATE_VERSION:
        raise UserError(
            f"resume: {checkpoint} was saved by another version of this program and cannot be resumed; a new run can "
            f"start from its weights: {as_typed('init_from', unambiguous(best))}"
        )
    return state


def digest_inputs(corpora: dict[str, Corpus], model: SentenceOrdererModel) -> dict[str, str]:
    """Digests of what a run reads and never changes, by config key: texts, and permanently frozen weights."""
    digests = {}
    for name, corpus in corpora.items():
        digest = xxhash.xxh3_128()
        for array in (corpus.keys, corpus.lengths, corpus.input_ids):
            digest.update(np.ascontiguousarray(array).data)
        digests[f"data.{name}"] = digest.hexdigest()

    digest = xxhash.xxh3_128()
    for number in sorted(model.permanently_frozen_blocks):
        for module in model.blocks[number]:
            for weight in module.state_dict().values():
                digest.update(weight_bytes(weight))
    return {**digests, "encoder.name or init_from, the frozen weights": digest.hexdigest()}


def get_rng_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The state of the generators that dropout on a device draws from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_rng_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Restores a `get_rng_state`."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
