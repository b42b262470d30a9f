"""Training loops of tiny models, on the CPU."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.hooked_loop import HookedLoop
from sentence_order.config.schema import (
    DataConfig,
    DebugConfig,
    DecoderConfig,
    DecoderName,
    FreezeConfig,
    LossConfig,
    OnNonfinite,
    OptimConfig,
    Source,
    TrainConfig,
    TrainerConfig,
)
from sentence_order.data.tokenization import Corpus, tokenize_corpus
from sentence_order.decoding.scores import Scores
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.signals import Signals
from sentence_order.training.loop import TrainingLoop
from sentence_order.training.state import digest_inputs
from sentence_order.training.tracker import Tracker
from tests.corpora import raw_split

CPU = Runtime(torch.device("cpu"))
HALF = Runtime(torch.device("cpu"), precision=torch.float16)


def corpus_of(model: SentenceOrdererModel, stories: list[list[str]], groups: list[str] | None = None) -> Corpus:
    raw = raw_split(stories, groups=groups)
    return tokenize_corpus(raw, model.tokenizer, DataConfig(max_sentence_tokens=64), "train")


def train_config(
    optim: OptimConfig | None = None, freeze: FreezeConfig | None = None, **settings: object
) -> TrainConfig:
    """The config of a tiny model's training; `settings` are those of the trainer."""
    return TrainConfig(
        data=DataConfig(Source.jsonl),
        loss=LossConfig(pairwise_logistic=1.0, neighbours=2.0),
        decoder=DecoderConfig(DecoderName["exact"], 64),
        freeze=freeze or FreezeConfig(),
        optim=optim or OptimConfig(warmup=0.0),
        trainer=TrainerConfig(**{"batch_tokens": 400, **settings}),
    )


def loop_of(
    model: SentenceOrdererModel,
    corpus: Corpus,
    folder: Path,
    optim: OptimConfig | None = None,
    freeze: FreezeConfig | None = None,
    state: dict[str, Any] | None = None,
    signals: Signals | None = None,
    on_nonfinite: OnNonfinite = OnNonfinite.stop,
    max_nonfinite: int = 10,
    runtime: Runtime = CPU,
    overfit: bool = False,
    on_step: Callable[[TrainingLoop], None] = lambda loop: None,
    **settings: object,
) -> TrainingLoop:
    """The loop of a new run in `folder`, or of the run that resumes from a `state`."""
    config = train_config(optim, freeze, **settings)
    config = replace(
        config,
        output_dir=str(folder),
        on_nonfinite=on_nonfinite,
        max_nonfinite=max_nonfinite,
        debug=DebugConfig(overfit=overfit),
    )
    folder.mkdir(exist_ok=True)
    resumed = () if state is None else (state["logged_bytes"], state["trainer"]["step"])
    tracker = Tracker(folder, *resumed)
    others = {"tracker": tracker, "signals": signals, "digests": digest_inputs({"train": corpus}, model)}
    loop = HookedLoop(model, corpus, corpus, config, runtime, folder, **others, on_step=on_step)
    if state is not None:
        loop.load_state_dict(state)
    return loop


def train(loop: TrainingLoop) -> None:
    """Trains to the end, and closes the files of the tracker."""
    assert loop.tracker is not None
    with loop.tracker:
        loop.train()


class Stopped(BaseException):
    """Ends a training as a power cut would: nothing is saved."""


def stop_after(step: int) -> Callable[[TrainingLoop], None]:
    """An `on_step` that ends the training after a step."""

    def on_step(loop: TrainingLoop) -> None:
        if loop.state.step == step:
            raise Stopped

    return on_step


class Poison:
    """Makes the loss NaN or infinite in chosen steps, by the model's own scores; its blocks' outputs stay finite.

    To be passed to the loop as `on_step`.

    Attributes:
        times: in how many forward passes of each of those steps, the first ones; None for all.
    """

    def __init__(
        self, model: SentenceOrdererModel, *steps: int, value: float = float("nan"), times: int | None = None
    ) -> None:
        self.steps, self.value, self.times = steps, value, times
        self.step, self.calls = 1, 0
        model.register_forward_hook(self.spoil)

    def __call__(self, loop: TrainingLoop) -> None:
        self.step, self.calls = loop.state.step + 1, 0

    def spoil(self, model: SentenceOrdererModel, inputs: Any, scores: Scores) -> None:
        if model.training and self.step in self.steps:
            self.calls += 1
            if self.times is None or self.calls <= self.times:
                assert scores.logits is not None
                scores.logits = torch.full_like(scores.logits, self.value) + scores.logits
