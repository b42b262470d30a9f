"""Orders documents of which nobody knows the order: the way of `predict` and of the Python API.

Shape suffixes: B documents, S sentences (padded).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from sentence_order.calibration import calibrated, order_log_odds
from sentence_order.data.batching import TokenBudgetBatches
from sentence_order.data.examples import Batch, cells, collate, draw_permutation, halves, make_example
from sentence_order.data.states import IntArray
from sentence_order.data.tokenization import document_key, tokenize_documents
from sentence_order.decoding import decode
from sentence_order.errors import TrainingError, UserError
from sentence_order.losses.pairs import gold_order
from sentence_order.model.build import check_fits
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.runtime import Runtime, give_back_memory, out_of_memory
from sentence_order.scores import MATRICES, Scores, mean_scores

log = logging.getLogger(__name__)

# The most tokens, padding included, that a model may be given at once, as far as memory has told.
_most_cells: WeakKeyDictionary[SentenceOrderer, int] = WeakKeyDictionary()


@dataclass(frozen=True)
class Prediction:
    """What the model says of one document.

    Attributes:
        order: `order[k]` is the index, in the list that was given, of the sentence that stands k-th. Empty sentences
            are left out.
        sentences: the sentences in that order, as they were given.
        confidence: the probability that the whole order is right, by the model as calibrated in training.
    """

    order: list[int]
    sentences: list[str]
    confidence: float


def predict(
    model: SentenceOrderer,
    documents: list[list[str]],
    *,
    decoder: str | None = None,
    beam_width: int | None = None,
    batch_tokens: int = 4096,
    shuffles: int = 1,
    runtime: Runtime | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Prediction]:
    """Predicts the order of every document.

    Args:
        documents: lists of sentences, of any number and length; sentences longer than the model's maximum are cut.
        decoder: one that the model's heads suffice for (`decoding.decoders_for`); by default the one that it was
            trained with.
        beam_width: of a beam search; by default that of its training.
        batch_tokens: how many tokens go through the model at once.
        shuffles: under how many permutations each document is read, the first being as it was given; it is ordered by
            the mean of the scores. Of use only for a model whose position ids run on through the document.
        advance: is told how many documents were done since the last call.

    Raises:
        UserError: a document is longer than a model reads whose position ids run on through it; or what the model says
            are no numbers.
        TrainingError: a single document does not fit in memory.
    """
    assert model.tokenizer is not None, (
        "load the model with SentenceOrderer.from_pretrained, which brings its tokenizer"
    )
    runtime = runtime or Runtime(model.device)
    model.eval()
    columns = tokenize_documents(documents, model.tokenizer, None, model.config.max_sentence_tokens)
    if cut := sum(columns["cut"]):
        log.info("%d sentences cut to %d tokens", cut, model.config.max_sentence_tokens)
    kept: list[list[int]] = columns["kept"]
    predictions = [_as_given(documents[i], kept[i], 1.0) for i in range(len(documents))]
    advance(sum(len(indices) < 2 for indices in kept))

    rows = np.array([i for i in range(len(documents)) if len(kept[i]) > 1], dtype=np.int64)
    lengths = np.array([len(columns["input_ids"][i]) for i in rows], dtype=np.int64)
    check_fits(model, lengths, np.array([len(kept[i]) for i in rows]), "input")
    name, width = decoder or model.config.decoder, beam_width or model.config.beam_width
    for batch_rows in TokenBudgetBatches(lengths, batch_tokens):
        chosen = [int(rows[k]) for k in batch_rows]
        batches = [
            collate([make_example(_row(columns, i), i, _shuffle(documents[i], kept[i], number)) for i in chosen])
            for number in range(shuffles)
        ]
        for several, readings in read(model, batches, runtime):
            scores = ensemble(readings, [(batch["positions"], batch["mask"]) for batch in several])
            _check_numbers(scores)
            batch = several[0]
            order_BS, _ = decode(name, scores, batch["mask"], batch["text_rank"], beam_width=width)
            log_odds_B = order_log_odds(scores, order_BS, batch["mask"], batch["text_rank"])
            confidence_B = calibrated(log_odds_B, model.config.calibration).tolist()
            for i, order, confidence in zip(batch["document"].tolist(), order_BS.tolist(), confidence_B, strict=True):
                order_kept = [kept[i][k] for k in order[: len(kept[i])]]
                predictions[i] = _as_given(documents[i], order_kept, confidence)
        advance(len(chosen))
    return predictions


def _check_numbers(scores: Scores) -> None:
    for name in MATRICES:
        if name in scores and scores[name].isnan().any():
            raise UserError("checkpoint: its scores are not numbers; it is damaged, or its training went wrong")


def _row(columns: dict[str, list[Any]], document: int) -> dict[str, Any]:
    return {name: columns[name][document] for name in ("input_ids", "lengths", "text_rank")}


def _shuffle(sentences: list[str], kept: list[int], number: int) -> Sequence[int] | IntArray:
    """A permutation of a document's sentences; number 0 leaves them as they were given."""
    if number == 0:
        return range(len(kept))
    return draw_permutation(0, number, document_key("\n".join(sentences[i] for i in kept)), len(kept))


def read(
    model: SentenceOrderer, batches: Sequence[Batch], runtime: Runtime
) -> Iterator[tuple[Sequence[Batch], list[Scores]]]:
    """What the model says of the same documents under several shuffles; in smaller pieces where that takes more memory
    than there is.

    Raises:
        TrainingError: a single document does not fit.
    """
    size, alone, readings = cells(batches[0]), len(batches[0]["mask"]) == 1, None
    if alone or size <= _most_cells.get(model, size):
        try:
            readings = [score(model, batch, runtime) for batch in batches]
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        if readings is not None:
            yield batches, readings
            return
        if alone:
            raise TrainingError(f"out of memory with a single document, of {size:,} tokens; leave it out, or split it")
        log.info("out of memory: a batch of %d tokens does not fit; larger ones than half of it are split", size)
        _most_cells[model] = size // 2
        give_back_memory(runtime.device)
    for pieces in zip(*map(halves, batches), strict=True):
        yield from read(model, pieces, runtime)


@torch.no_grad()
def score(model: SentenceOrderer, batch: Batch, runtime: Runtime) -> Scores:
    """What the model says of a batch, on the CPU in float32; gold positions do not go in."""
    inputs = {
        name: batch[name].to(runtime.device, non_blocking=True)
        for name in ("input_ids", "lengths", "prefix")
        if name in batch
    }
    with runtime.autocast():
        scores: Scores = model(**inputs)
    return scores.on_cpu()


def ensemble(readings: Sequence[Scores], given: Sequence[tuple[Tensor, Tensor]]) -> Scores:
    """The mean of what a model says of the same documents under several shuffles, labelled as in the first.

    A pointer's first reading stands for all.

    Args:
        given: of each shuffle (positions, mask): a number for each sentence, the same in all shuffles.
    """
    if len(readings) == 1 or readings[0].pointer is not None:
        return readings[0]
    labels = [gold_order(*shuffle) for shuffle in given]  # of the sentence of each number, in each shuffle
    number_BS = labels[0].argsort(1)
    relabelled = [
        scores.relabelled(label_BS.gather(1, number_BS)) for scores, label_BS in zip(readings, labels, strict=True)
    ]
    return mean_scores(relabelled)


def _as_given(sentences: list[str], order: list[int], confidence: float) -> Prediction:
    return Prediction(order, [sentences[i] for i in order], confidence)
