"""What the training loop adds to bare steps, and how near these come to the machine's matrix products.

Run by `scripts/bench_step [overrides]`. In one process and by turns, on the same documents: the real loop
(`Trainer.steps`: examples, batches, losses, checks, log, schedule); a bare forward, backward, clip and AdamW step on
batches made beforehand; and, for the unfrozen model, only the matrix products of its linear layers, by PyTorch's own
functions and, on a CPU that has it, by oneDNN: the ceiling of any implementation on that library; there also the bare
step with PyTorch's own linear layers.
"""

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.compose import NEVER, compose, stop
from sentence_order.config import TrainConfig
from sentence_order.console import set_up_logging
from sentence_order.data.batching import TokenBudgetBatches, load_batches
from sentence_order.data.examples import Batch
from sentence_order.errors import UserError
from sentence_order.model.encoder import encoder_layers
from sentence_order.model.linear import Linear, onednn_is_there, product
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.runtime import Runtime
from sentence_order.training.loop import Trainer
from sentence_order.training.optimization import make_optimizer
from sentence_order.training.preparation import prepare, use_cache

Multiply = Callable[[torch.Tensor, torch.Tensor], object]
STEPS_A_TURN, TURNS = 10, 8
SETTINGS = ["data.limit_train=2000", "trainer.accumulate=1", f"trainer.eval_every={NEVER}", "trainer.epochs=100"]


@dataclass
class Clock:
    """Documents and tokens done, and the seconds they took."""

    documents: int = 0
    tokens: int = 0
    seconds: float = 0.0
    rates: list[float] = field(default_factory=list)

    def turn(self, step: Callable[[Batch], object], batches: list[Batch]) -> None:
        started = time.perf_counter()
        for batch in batches:
            step(batch)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        documents = sum(len(batch["lengths"]) for batch in batches)
        self.rates.append(documents / seconds)
        self.documents += documents
        self.tokens += sum(int(batch["lengths"].sum()) for batch in batches)
        self.seconds += seconds


def bare_step(model: SentenceOrderer, config: TrainConfig, runtime: Runtime) -> Callable[[Batch], None]:
    """Forward, backward, clip, AdamW, and nothing else."""
    optimizer, loss = make_optimizer(model, config.optim), model.ordering_loss
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def step(batch: Batch) -> None:
        with runtime.autocast():
            output = model(batch.get("input_ids"), batch["lengths"], prefix=batch.get("prefix"))
        total, count = loss(output, batch["positions"], batch["mask"])
        (total / count).backward()
        torch.nn.utils.clip_grad_norm_(trained, config.optim.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()

    return step


def without_onednn(model: SentenceOrderer) -> SentenceOrderer:
    """Gives a model PyTorch's own linear layers back."""
    for module in model.modules():
        if type(module) is Linear:
            module.__class__ = torch.nn.Linear
    return model


def products_step(model: SentenceOrderer, runtime: Runtime, multiply: Multiply) -> Callable[[Batch], None]:
    """The three matrix products that each linear layer of the encoder needs for a training step, and nothing else.

    `multiply(x, weight)` is `x @ weight.T`.
    """
    linear = [m for layer in encoder_layers(model.encoder) for m in layer.modules() if isinstance(m, torch.nn.Linear)]
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


def measure(name: str, overrides: list[str], products: bool) -> Iterator[list[str]]:
    """The rows of one case."""
    config = compose([*SETTINGS, *overrides])
    prepared = use_cache(config, prepare(config))
    runtime = prepared.runtime
    with tempfile.TemporaryDirectory() as folder:
        corpora = prepared.corpora
        trainer = Trainer(prepared.model, corpora["train"], corpora["validation"], config, runtime, Path(folder))
        other = prepare(config).model.train()
        running = trainer.steps()
        steps = {"bare step": bare_step(other, config, runtime)}
        if products:
            steps["products by PyTorch"] = products_step(other, runtime, lambda x, weight: torch.mm(x, weight.T))
        if products and runtime.device.type == "cpu" and onednn_is_there():
            steps["products by oneDNN"] = products_step(other, runtime, product)
            plain = without_onednn(prepare(config).model.train())
            steps["bare step by PyTorch"] = bare_step(plain, config, runtime)
        clocks = {"train": Clock(), **{what: Clock() for what in steps}}
        budget, corpus = config.trainer.batch_tokens, corpora["train"]
        # The batches that the real loop comes to as well.
        source = itertools.chain.from_iterable(
            load_batches(
                corpus, TokenBudgetBatches(corpus.tokens, budget, config.seed, epoch).batches, config.seed, epoch
            )
            for epoch in itertools.count()
        )
        for turn in range(TURNS + 1):
            batches = list(itertools.islice(source, STEPS_A_TURN))
            there = [{name: tensor.to(runtime.device) for name, tensor in batch.items()} for batch in batches]
            measured = clocks if turn else {what: Clock() for what in clocks}  # the first turn warms up
            measured["train"].turn(lambda batch: next(running), batches)
            for what, step in steps.items():
                measured[what].turn(step, there)
        running.close()
    bare = clocks["bare step"]
    for what, clock in clocks.items():
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
