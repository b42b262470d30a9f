"""Trainers of tiny models, on the CPU."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from sentence_order.config import (
    DataConfig,
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
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.runtime import Runtime
from sentence_order.training.loop import Trainer
from sentence_order.training.signals import Signals

CPU = Runtime(torch.device("cpu"))
HALF = Runtime(torch.device("cpu"), precision=torch.float16)


def corpus_of(model: SentenceOrderer, stories: list[list[str]]) -> Corpus:
    documents = Dataset.from_dict({"id": [f"d{n}" for n in range(len(stories))], "sentences": stories})
    return tokenize_corpus(documents, model.tokenizer, 100, 64, "train")


def train_config(
    optim: OptimConfig | None = None, freeze: FreezeConfig | None = None, **settings: object
) -> TrainConfig:
    """The config of a tiny model's training; `settings` are those of the trainer."""
    return TrainConfig(
        data=DataConfig(Source.jsonl),
        loss=LossConfig(pairwise_logistic=1.0, neighbours=2.0),
        decoder=DecoderConfig(DecoderName.exact, 64),
        freeze=freeze or FreezeConfig(),
        optim=optim or OptimConfig(warmup=0.0),
        trainer=TrainerConfig(**{"batch_tokens": 400, **settings}),
    )


def trainer_of(
    model: SentenceOrderer,
    corpus: Corpus,
    folder: Path,
    optim: OptimConfig | None = None,
    freeze: FreezeConfig | None = None,
    state: dict[str, Any] | None = None,
    signals: Signals | None = None,
    on_nonfinite: OnNonfinite = OnNonfinite.stop,
    max_nonfinite: int = 10,
    runtime: Runtime = CPU,
    **settings: object,
) -> Trainer:
    config = train_config(optim, freeze, **settings)
    config = replace(config, output_dir=str(folder), on_nonfinite=on_nonfinite, max_nonfinite=max_nonfinite)
    folder.mkdir(exist_ok=True)
    return Trainer(model, corpus, corpus, config, runtime, folder, state=state, signals=signals)
