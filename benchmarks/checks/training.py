"""What is planted, frozen or cached while a device trains: NaNs are named, the prefix cache changes no loss."""

import math

import torch

from benchmarks.checks.run import Report
from benchmarks.checks.setup import Setup
from benchmarks.checks.steps import STEPS, TrainedSteps, find_greatest_difference, train_steps
from sentence_order.config.commands import override
from sentence_order.errors import TrainingError
from sentence_order.runtime.device import make_deterministic
from sentence_order.training.loop import TrainingLoop


def check_anomaly(setup: Setup, report: Report) -> None:
    """`debug=anomaly`: a NaN planted in a block's weights, or in its gradient, is named with block and documents."""
    torch.autograd.set_detect_anomaly(True)
    make_deterministic()
    for where, plant in (("weights", _plant_in_weights), ("gradient", _plant_in_gradient)):
        message = "no error"
        try:
            train_steps(setup, "debug=anomaly", "precision=fp32", steps=2, on_start=plant)
        except TrainingError as error:
            message = str(error)
        named = message.startswith("step 1: ") and "first in layer_1; documents: " in message
        report.note(f"a NaN in the {where} of layer_1: {message.partition('; batch kept')[0][:160]}")
        report.expect(named, f"a NaN in the {where} of layer_1 was not named: {message}")


def _plant_in_weights(loop: TrainingLoop) -> None:
    with torch.no_grad():
        next(loop.model.parts["layer_1"][0].parameters()).view(-1)[0] = math.nan


def _plant_in_gradient(loop: TrainingLoop) -> None:
    next(loop.model.parts["layer_1"][0].parameters()).register_hook(lambda gradient: gradient * math.nan)


def check_freezing(setup: Setup, report: Report) -> None:
    """Nothing, half or all of the encoder frozen, with and without the prefix cache: the same losses."""
    cache = override("cache.dir", str(setup.folder / "cache"))
    train_steps(setup, "precision=fp32", steps=2)  # what the first steps of a process load is not measured
    for depth in ("none", "half", "all"):
        plain = _train_frozen(setup, depth, "cache=off")
        text = f"freeze.depth={depth}: {plain.seconds:.2f} s for {STEPS} steps"
        if depth == "none":
            report.note(text, seconds_none=plain.seconds)
            continue
        cached = _train_frozen(setup, depth, cache)
        apart = find_greatest_difference(plain.losses, cached.losses)
        report.note(
            f"{text}, {cached.seconds:.2f} s from the prefix cache; losses differ by {apart:.1e} at most",
            **{f"seconds_{depth}": plain.seconds, f"seconds_{depth}_cached": cached.seconds},
            **{f"difference_{depth}": apart},
        )
        report.expect(cached.loop.train_corpus.states is not None, f"freeze.depth={depth}: the cache was not used")
        report.expect(apart <= 1e-4, f"freeze.depth={depth}: with the cache losses differ by {apart:.1e}, over 1e-4")


def _train_frozen(setup: Setup, depth: str, cache: str) -> TrainedSteps:
    return train_steps(setup, f"freeze.depth={depth}", cache, "precision=fp32")
