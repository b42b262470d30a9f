"""Training steps that a check runs in its own process."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.checks.setup import Setup
from benchmarks.compose import NEVER
from benchmarks.hooked_loop import HookedLoop
from benchmarks.records import get_losses, read_lines
from sentence_order.training.loop import TrainingLoop
from sentence_order.training.setup import attach_cache, set_up
from sentence_order.training.tracker import Tracker

STEPS = 20


@dataclass
class TrainedSteps:
    """The result of some training steps.

    Attributes:
        lines: those of metrics.jsonl, one per step.
        before, after: all weights before the first step and after the last one, on the CPU.
        seconds: those of the steps.
    """

    loop: TrainingLoop
    lines: list[dict[str, float]]
    before: dict[str, torch.Tensor]
    after: dict[str, torch.Tensor]
    seconds: float

    @property
    def losses(self) -> list[float]:
        """The loss of each step, per pair."""
        return get_losses(self.lines)


def train_steps(
    setup: Setup, *own: str, steps: int = STEPS, on_start: Callable[[TrainingLoop], object] = lambda loop: None
) -> TrainedSteps:
    """Trains for some steps in this process.

    Args:
        own: overrides.
        on_start: called with the loop before the first step.
    """

    def stop(loop: TrainingLoop) -> None:
        loop.state.done = loop.state.step == steps

    folder = Path(tempfile.mkdtemp(dir=setup.folder))
    with Tracker(folder) as tracker:
        # One step more, before which it is stopped: the last one would be followed by a validation.
        limits = (f"trainer.max_steps={steps + 1}", "trainer.log_every=1")
        loop = make_loop(setup, *limits, *own, tracker=tracker, on_step=stop)
        before = _copy_weights(loop)
        on_start(loop)
        loop.train()
    return TrainedSteps(loop, read_lines(folder), before, _copy_weights(loop), loop.state.seconds)


def make_loop(
    setup: Setup, *own: str, tracker: Tracker | None = None, on_step: Callable[[TrainingLoop], None] = lambda loop: None
) -> TrainingLoop:
    """A loop that does not validate, in the tracker's folder; without a tracker it does not log.

    Args:
        own: overrides.
    """
    config = setup.compose(f"trainer.eval_every={NEVER}", *own)
    prepared = attach_cache(config, set_up(config))
    train, validation = prepared.corpora["train"], prepared.corpora["validation"]
    folder = tracker.path.parent if tracker else setup.folder
    return HookedLoop(
        prepared.model, train, validation, config, prepared.runtime, folder, tracker=tracker, on_step=on_step
    )


def find_greatest_difference(one: list[float], other: list[float]) -> float:
    """Of two lists of losses; infinite if they are not of one length, or empty."""
    if len(one) != len(other) or not one:
        return float("inf")
    return float((torch.tensor(one, dtype=torch.float64) - torch.tensor(other, dtype=torch.float64)).abs().max())


def _copy_weights(loop: TrainingLoop) -> dict[str, torch.Tensor]:
    """Copies of a model's weights, on the CPU."""
    return {name: weight.detach().cpu().clone() for name, weight in loop.model.named_parameters()}
