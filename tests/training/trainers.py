"""Trainers of tiny models, on the CPU."""

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
    OptimConfig,
    Source,
    TrainConfig,
    TrainerConfig,
)
from sentence_order.data.tokenization import Corpus, tokenize_corpus
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.runtime import Runtime
from sentence_order.training.loop import Trainer

CPU = Runtime(torch.device("cpu"))


def corpus_of(model: SentenceOrderer, stories: list[list[str]]) -> Corpus:
    documents = Dataset.from_dict({"id": [f"d{n}" for n in range(len(stories))], "sentences": stories})
    return tokenize_corpus(documents, model.tokenizer, 100, 64, "train")


def trainer_of(
    model: SentenceOrderer,
    corpus: Corpus,
    folder: Path,
    optim: OptimConfig | None = None,
    freeze: FreezeConfig | None = None,
    state: dict[str, Any] | None = None,
    **settings: object,
) -> Trainer:
    config = TrainConfig(
        data=DataConfig(Source.jsonl),
        loss=LossConfig(pairwise_logistic=1.0, neighbours=2.0),
        decoder=DecoderConfig(DecoderName.exact, 64),
        freeze=freeze or FreezeConfig(),
        optim=optim or OptimConfig(warmup=0.0),
        trainer=TrainerConfig(**{"batch_tokens": 400, **settings}),
        output_dir=str(folder),
    )
    folder.mkdir(exist_ok=True)
    return Trainer(model, corpus, corpus, config, CPU, folder, state=state)
