"""All that a run must know, beside its config, to go on where it was saved as if it had never stopped.

Examples and batches are functions of (seed, epoch, document), so the number of steps taken says where in the data a run
is; the rates follow from it too. What remains is the weights, the optimizer's moments, the random states that dropout
draws from, and what was counted and found so far.
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from sentence_order.training.loop import Trainer

STATE_FILE = "training_state.pt"
COUNTED = ("step", "documents", "seconds", "best", "best_step", "validated", "ended")


def capture(trainer: "Trainer") -> dict[str, Any]:
    """The state of a run between two steps: tensors, numbers and texts only."""
    return {
        **{name: getattr(trainer, name) for name in COUNTED},
        "phases_to_come": len(trainer.unfreezing),
        "window": asdict(trainer.window),
        "weights": [weight.detach() for weight in trainer.trained],
        "average": [average.detach() for average in trainer.average.average],
        "optimizer": trainer.optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def read_state(checkpoint: Path) -> dict[str, Any] | None:
    """The state that was saved with a checkpoint, if there is one."""
    file = checkpoint / STATE_FILE
    if not file.is_file():
        return None
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return state


@torch.no_grad()
def restore(trainer: "Trainer", state: dict[str, Any]) -> None:
    """Puts a trainer that is as its config makes it where the state was captured."""
    while len(trainer.unfreezing) > state["phases_to_come"]:
        trainer.unfreeze()
    for name in COUNTED:
        setattr(trainer, name, state[name])
    for name, value in state["window"].items():
        setattr(trainer.window, name, value)
    targets = [*trainer.trained, *trainer.average.average]
    for weight, saved in zip(targets, [*state["weights"], *state["average"]], strict=True):
        weight.copy_(saved)
    trainer.average.steps = trainer.step
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.schedule.go_to(trainer.step)
    torch.set_rng_state(state["random"])
    if state["random_cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["random_cuda"])
