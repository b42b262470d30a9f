"""All that a run must know, beside its config, to go on where it was saved as if it had never stopped.

Examples and batches are functions of (seed, epoch, document), so the number of steps taken says where in the data a run
is; the rates follow from it too. What remains is the weights, the optimizer's moments, the scale of fp16 losses, the
random states that dropout draws from, what was counted and found so far, and how much of its records belongs to it.
"""

import errno
import pickle
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xxhash

from sentence_order.errors import UserError, first_line
from sentence_order.files import MANIFEST, damage
from sentence_order.prefix.keys import weight_bytes

if TYPE_CHECKING:
    from sentence_order.training.loop import Trainer

STATE_FILE = "training_state.pt"
# What a state holds: what is as in the trainer, and the rest.
COUNTED = (
    *("step", "epoch", "to_validate", "ended", "documents", "seconds", "nonfinite"),
    *("best", "best_step", "worse", "validated"),
)
REST = (
    *("earlier", "phases_to_come", "window", "digests", "recorded", "weights", "average", "averaged"),
    *("optimizer", "scaler", "random"),
)


def capture(trainer: "Trainer") -> dict[str, Any]:
    """The state of a run between two steps: tensors, numbers and texts only. All processes of a run take part."""
    stepper = trainer.stepper
    return {
        **{name: getattr(trainer, name) for name in COUNTED},
        "earlier": trainer.earlier + time.perf_counter() - trainer.started,
        "phases_to_come": len(trainer.unfreezing),
        "window": asdict(trainer.window),
        "digests": trainer.digests,
        "recorded": trainer.recorder.sync() if trainer.recorder else {},
        "weights": [weight.detach() for weight in stepper.trained],
        "average": [average.detach() for average in stepper.average.average],
        "averaged": stepper.average.steps,
        "optimizer": stepper.optimizer.state_dict(),
        "scaler": stepper.scaler.state_dict(),
        "random": trainer.runtime.processes.gather(random_state(trainer.runtime.device)),
    }


def write_state(state: dict[str, Any], checkpoint: Path) -> None:
    """Adds the state to a checkpoint. Raises OSError."""
    file = checkpoint / STATE_FILE
    try:
        torch.save(state, file)
    except RuntimeError as error:  # how torch tells of a full disk
        raise OSError(errno.EIO, first_line(error), str(file)) from error


def read_state(checkpoint: Path) -> dict[str, Any] | None:
    """The state that was saved with a checkpoint, if there is one.

    Raises:
        UserError: the checkpoint is damaged.
    """
    if not checkpoint.exists():
        return None
    problem = damage(checkpoint) if (checkpoint / MANIFEST).exists() else f"it has no {MANIFEST}"
    try:
        if problem is None:
            state = torch.load(checkpoint / STATE_FILE, map_location="cpu", weights_only=True)
            if isinstance(state, dict) and {*COUNTED, *REST} <= set(state):
                return state
            problem = f"{STATE_FILE} is that of another version"
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        problem = first_line(error)
    best = checkpoint.with_name("best")
    raise UserError(
        f"{checkpoint} is damaged: {problem}; a run in another folder may start from the weights of the best one, "
        f"init_from={best}; to begin this one anew, remove {checkpoint.name}"
    )


def digests(trainer: "Trainer") -> dict[str, str]:
    """Of what a run reads and does not change: texts, and the weights that stay frozen."""
    found = {}
    for name, corpus in (("data.train", trainer.train), ("data.validation", trainer.validation)):
        digest = xxhash.xxh3_128()
        for array in (corpus.keys, corpus.lengths, corpus.input_ids):
            digest.update(np.ascontiguousarray(array).data)
        found[name] = digest.hexdigest()
    digest = xxhash.xxh3_128()
    for number in sorted(trainer.model.kept_blocks):
        for module in trainer.model.blocks[number]:
            for weight in module.state_dict().values():
                digest.update(weight_bytes(weight))
    return {**found, "encoder.name or init_from, the frozen weights": digest.hexdigest()}


@torch.no_grad()
def restore(trainer: "Trainer", state: dict[str, Any]) -> None:
    """Puts a trainer that is as its config makes it where the state was captured.

    Raises:
        UserError: what it reads is not what it was.
    """
    for key, digest in trainer.digests.items():
        if digest != state["digests"].get(key):
            raise UserError(f"{key}: not what the run has read so far; put that back, or begin a run in another folder")
    while len(trainer.unfreezing) > state["phases_to_come"]:
        trainer.unfreeze()
    for name in COUNTED:
        setattr(trainer, name, state[name])
    trainer.earlier = state["earlier"]
    for name, value in state["window"].items():
        setattr(trainer.window, name, value)
    stepper = trainer.stepper
    targets = [*stepper.trained, *stepper.average.average]
    for weight, saved in zip(targets, [*state["weights"], *state["average"]], strict=True):
        weight.copy_(saved)
    stepper.average.steps = state["averaged"]
    stepper.optimizer.load_state_dict(state["optimizer"])
    stepper.schedule.go_to(trainer.step)
    if state["scaler"] and stepper.scaler.is_enabled():
        stepper.scaler.load_state_dict(state["scaler"])
    if trainer.runtime.processes.rank < len(state["random"]):  # a further process has drawn nothing yet
        set_random_state(state["random"][trainer.runtime.processes.rank], trainer.runtime.device)


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """What dropout on a device draws from."""
    found = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Undoes what was drawn since `random_state`."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
