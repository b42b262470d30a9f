"""Training steps that a check takes in its own process."""

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.checks.setup import Setup
from benchmarks.compose import NEVER
from benchmarks.records import lines_of, losses_of
from sentence_order.training.loop import Trainer
from sentence_order.training.preparation import prepare, use_cache

STEPS = 20


@dataclass
class Steps:
    """Training steps that were taken.

    Attributes:
        lines: what metrics.jsonl says of each step.
        before: all weights before the first step, on the CPU.
    """

    trainer: Trainer
    lines: list[dict[str, float]]
    before: dict[str, torch.Tensor]

    @property
    def losses(self) -> list[float]:
        """The loss of each step, per pair."""
        return losses_of(self.lines)

    @property
    def after(self) -> dict[str, torch.Tensor]:
        return weights_of(self.trainer)


def take_steps(
    setup: Setup, *own: str, steps: int = STEPS, on_start: Callable[[Trainer], object] = lambda trainer: None
) -> Steps:
    """Trains for some steps in this process.

    Args:
        own: overrides.
        on_start: is given the trainer before the first step.
    """
    # One step more, which is not taken: the last one is followed by a validation.
    trainer = make_trainer(setup, f"trainer.max_steps={steps + 1}", "trainer.log_every=1", *own)
    before = weights_of(trainer)
    on_start(trainer)
    running = trainer.steps()
    for _ in itertools.islice(running, steps):
        pass
    running.close()
    return Steps(trainer, lines_of(trainer.folder), before)


def make_trainer(setup: Setup, *own: str) -> Trainer:
    """A trainer that does not validate, with a folder of its own."""
    config = setup.compose(f"trainer.eval_every={NEVER}", *own)
    prepared = use_cache(config, prepare(config))
    train, validation = prepared.corpora["train"], prepared.corpora["validation"]
    folder = Path(tempfile.mkdtemp(dir=setup.folder))
    return Trainer(prepared.model, train, validation, config, prepared.runtime, folder)


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Copies of a model's weights, on the CPU."""
    return {name: weight.detach().cpu().clone() for name, weight in trainer.model.named_parameters()}


def greatest_difference(one: list[float], other: list[float]) -> float:
    """Of two lists of losses; infinite where they are not of one length, or a loss is missing."""
    if len(one) != len(other) or not one:
        return float("inf")
    return float((torch.tensor(one, dtype=torch.float64) - torch.tensor(other, dtype=torch.float64)).abs().max())
