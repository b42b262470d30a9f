"""Measures what the training loop adds to bare steps, and how near these come to the machine's matrix products.

    python -m benchmarks.step [overrides]

In one process and by turns, on the same documents: the real loop (`TrainingLoop.train`: examples, batches, losses,
checks, progress, log, learning rates); a bare forward, backward, clip and AdamW step on batches made beforehand; and,
for the unfrozen model, only the matrix products of its linear layers, by PyTorch's own functions and, on a CPU, by
oneDNN and in bf16: the ceiling of any implementation on that library; on a CPU also the bare step with PyTorch's own
linear layers, and in bf16.
"""

import copy
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.compose import NEVER, compose, stop
from benchmarks.hooked_loop import HookedLoop
from sentence_order.config.schema import TrainConfig
from sentence_order.data.examples import Batch
from sentence_order.errors import UserError
from sentence_order.losses import count_pairs
from sentence_order.model.linear import use_kernels
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.console import set_up_logging
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.kernels import BF16, DEFAULT, ONEDNN, PYTORCH, multiply, onednn_available
from sentence_order.training.gradients import LossModule
from sentence_order.training.loop import TrainingLoop
from sentence_order.training.optimization import clipped_step, make_optimizer
from sentence_order.training.plan import TrainingPlan
from sentence_order.training.setup import Setup, attach_cache, set_up
from sentence_order.training.tracker import Tracker

Multiply = Callable[[torch.Tensor, torch.Tensor], object]
Step = Callable[[Batch], object]
STEPS_PER_TURN, TURNS = 10, 10
SETTINGS = ["data.limit_train=2000", "trainer.accumulate=1", f"trainer.eval_every={NEVER}", "trainer.epochs=100"]


@dataclass
class Clock:
    """Documents and tokens done, and the seconds they took."""

    documents: int = 0
    tokens: int = 0
    seconds: float = 0.0
    rates: list[float] = field(default_factory=list)

    def add(self, batches: list[Batch], seconds: float) -> None:
        """Adds a turn."""
        documents = sum(len(batch["lengths"]) for batch in batches)
        self.rates.append(documents / seconds)
        self.documents += documents
        self.tokens += sum(int(batch["lengths"].sum()) for batch in batches)
        self.seconds += seconds


class Turns:
    """Runs other steps on the same documents after every turn of the real loop, and times both.

    Called by the loop after each step; ends the training after `TURNS`.
    """

    def __init__(self, steps: dict[str, Step], batches: Iterator[Batch], device: torch.device) -> None:
        """Args:
        steps: the other steps, by name.
        batches: those that the loop reads.
        """
        self.steps, self.batches, self.device = steps, batches, device
        self.clocks = self._make_clocks()
        self.started = time.perf_counter()

    def _make_clocks(self) -> dict[str, Clock]:
        return {name: Clock() for name in ("train", *self.steps)}

    def __call__(self, loop: TrainingLoop) -> None:
        if loop.state.step % STEPS_PER_TURN:
            return
        seconds = self._stop()
        batches = list(itertools.islice(self.batches, STEPS_PER_TURN))
        self.clocks["train"].add(batches, seconds)
        on_device = [{name: tensor.to(self.device) for name, tensor in batch.items()} for batch in batches]
        for name, step in self.steps.items():
            self.started = time.perf_counter()
            for batch in on_device:
                step(batch)
            self.clocks[name].add(batches, self._stop())

        if loop.state.step == STEPS_PER_TURN:  # the first turn warms up
            self.clocks = self._make_clocks()
        loop.state.done = loop.state.step == (1 + TURNS) * STEPS_PER_TURN
        self.started = time.perf_counter()

    def _stop(self) -> float:
        """The seconds since the start, once the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - self.started


def make_bare_step(model: SentenceOrdererModel, config: TrainConfig, runtime: Runtime) -> Step:
    """Forward, backward, clip, AdamW, and nothing else."""
    optimizer, loss = make_optimizer(model, config.optim), LossModule(model, runtime)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def step(batch: Batch) -> None:
        (loss(batch) / count_pairs(batch["mask"])).backward()
        norm = torch.nn.utils.get_total_norm([weight.grad for weight in trainable if weight.grad is not None])
        clipped_step(optimizer, norm, config.optim.max_grad_norm, norm.isfinite().logical_not())
        optimizer.zero_grad()

    return step


def make_products_step(model: SentenceOrdererModel, runtime: Runtime, multiply: Multiply) -> Step:
    """The three matrix products that each linear layer of the encoder needs for a training step, and nothing else.

    `multiply(x, weight)` is `x @ weight.T`.
    """
    linear = [m for layer in model.layers for m in layer.modules() if isinstance(m, torch.nn.Linear)]
    kind = {"device": runtime.device, "dtype": runtime.precision}
    weights = [torch.randn(layer.out_features, layer.in_features, **kind) for layer in linear]
    inputs = {width: torch.randn(16384, width, **kind) for weight in weights for width in weight.shape}

    def step(batch: Batch) -> None:
        tokens = int(batch["lengths"].sum())
        for weight in weights:
            x, gradient = inputs[weight.shape[1]][:tokens], inputs[weight.shape[0]][:tokens]
            multiply(x, weight)
            multiply(gradient, weight.T)
            multiply(gradient.T, x.T)

    return step


def make_steps(config: TrainConfig, runtime: Runtime, products: bool) -> dict[str, Step]:
    """What the real loop is compared with.

    Args:
        products: the matrix products as well.
    """
    model = set_up(config).model.train()
    steps = {"bare step": make_bare_step(model, config, runtime)}
    if products:
        steps["products by PyTorch"] = make_products_step(model, runtime, partial(multiply, PYTORCH))
    if products and runtime.device.type == "cpu":
        in_bf16 = replace(runtime, precision=torch.bfloat16)
        if onednn_available():
            steps["products by oneDNN"] = make_products_step(model, runtime, partial(multiply, ONEDNN))
        steps["products in bf16"] = make_products_step(model, in_bf16, partial(multiply, PYTORCH))
        for name, kernels in {"by PyTorch": DEFAULT, "in bf16": BF16}.items():
            other = copy.deepcopy(model)
            use_kernels(other, kernels)
            steps[f"bare step {name}"] = make_bare_step(other, config, runtime)
    return steps


def read_batches(setup: Setup, config: TrainConfig) -> Iterator[Batch]:
    """The batches that the loop of this config reads, made in this process."""
    train, validation = setup.corpora["train"], setup.corpora["validation"]
    plan = TrainingPlan(train, validation, config.trainer, config.seed, setup.runtime)
    return itertools.chain.from_iterable(step_input.batches for step_input in plan.batches(start=0))


def measure(name: str, overrides: list[str], products: bool) -> Iterator[list[str]]:
    """The rows of one case.

    Args:
        products: measure the matrix products as well.
    """
    config = compose([*SETTINGS, *overrides])
    setup = attach_cache(config, set_up(config))
    runtime, train, validation = setup.runtime, setup.corpora["train"], setup.corpora["validation"]
    turns = Turns(make_steps(config, runtime, products), read_batches(setup, config), runtime.device)
    with tempfile.TemporaryDirectory() as place, Tracker(Path(place)) as tracker:
        own = (setup.model, train, validation, config, runtime, Path(place))
        HookedLoop(*own, tracker=tracker, on_step=turns).train()
    bare = turns.clocks["bare step"]
    for what, clock in turns.clocks.items():
        rate = clock.documents / clock.seconds
        ratio = rate / (bare.documents / bare.seconds)
        yield [
            name,
            what,
            f"{rate:.1f}",
            f"{clock.tokens / clock.seconds:,.0f}",
            f"{ratio:.3f}",
            f"{min(clock.rates):.1f} to {max(clock.rates):.1f}",
        ]


def main() -> None:
    overrides = sys.argv[1:]
    set_up_logging()
    table = Table("case", "what", "stories/s", "tokens/s", "to bare step", "slowest and fastest turn")
    try:
        for name, own, products in (
            ("unfrozen", ["freeze=none"], True),
            ("head only, from the cache", ["freeze=encoder"], False),
        ):
            for row in measure(name, [*overrides, *own], products):
                table.add_row(*row)
    except UserError as error:
        stop(error)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
