"""Evaluation in Python: on documents that a program has in memory."""

from dataclasses import dataclass, field
from typing import Any

from sentence_order.config.parsing import config_from
from sentence_order.config.schema import EvaluateConfig
from sentence_order.config.validation import check_ranges
from sentence_order.data.memory import Documents, collect_documents
from sentence_order.evaluation.evaluate_checkpoint import evaluate_model
from sentence_order.evaluation.results import values_of
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.model.linear import place_model
from sentence_order.runtime.device import choose_runtime


@dataclass(frozen=True)
class EvaluationResult:
    """How well some documents were ordered.

    Attributes:
        metrics: each metric, and the loss, by name.
        results: all of it, as `evaluate` writes it to a file: 95 % intervals, results by group, by number of sentences
            and for each document.
    """

    metrics: dict[str, float]
    results: dict[str, Any] = field(repr=False)


def evaluate_documents(
    orderer: SentenceOrderer,
    documents: Documents,
    *,
    decoder: str | None = None,
    beam_width: int | None = None,
    shuffles: int = 1,
    seed: int = 0,
    batch_tokens: int = 4096,
    bootstrap_resamples: int = 1000,
    precision: str = "fp32",
    overlap: str = "warn",
) -> EvaluationResult:
    """Shuffles documents, lets a model order them, and measures how well it has done, as `evaluate` does.

    Args:
        orderer: the model, on the device where it is.
        documents: lists of sentences in their true order, or dicts with the field `sentences` and, if you like, `id`
            and `group`, such as those of a `datasets.Dataset`.
        decoder, beam_width: by default those of the model's training.
        shuffles: permutations of each document whose scores are averaged.
        seed: of the shuffles and of the resamples.
        batch_tokens: the number of tokens that the model reads at once.
        bootstrap_resamples: resamples of the documents for the 95 % intervals.
        precision: `fp32`, `bf16`, `fp16` or `auto`.
        overlap: what to do with documents that the model was trained on: `warn`, `drop` or `error`.

    Raises TypeError for what are no documents, and UserError for what cannot be evaluated.
    """
    if not isinstance(orderer, SentenceOrderer):
        raise TypeError(f"orderer: a SentenceOrderer is due, not {type(orderer).__name__}")
    values = {
        "checkpoint": "",
        "data": {"source": "memory", "overlap": overlap},
        "decoder": {"name": decoder, "beam_width": beam_width},
        "shuffles": shuffles,
        "seed": seed,
        "batch_tokens": batch_tokens,
        "bootstrap_resamples": bootstrap_resamples,
        "precision": precision,
    }
    config = config_from(values, EvaluateConfig)
    check_ranges(config)
    runtime = place_model(orderer.model, choose_runtime(str(orderer.model.device), config.precision))
    _, _, record = evaluate_model(
        orderer.model, config, runtime, "this model", collect_documents(documents, "documents")
    )
    return EvaluationResult(values_of(record["test"]), record)
