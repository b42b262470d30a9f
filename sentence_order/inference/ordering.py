"""Orders documents with a model: texts in, orders and confidences out."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sentence_order.config.validation import check_decoder
from sentence_order.data.batching import load_batches, make_batches
from sentence_order.data.encoding import tokenize_documents
from sentence_order.data.examples import TokenizedDocuments, make_batch
from sentence_order.decoding.scores import MATRICES
from sentence_order.errors import UserError, counted
from sentence_order.inference.calibration import calibrate, order_log_odds
from sentence_order.inference.scoring import (
    average_over_shuffles,
    decode_batch,
    describe_decoding,
    score_with_oom_fallback,
)
from sentence_order.model.limits import check_fits, find_excess
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """The predicted order of one document; empty sentences are left out.

    Attributes:
        order: `order[k]` is the index, in the input, of the k-th sentence.
        sentences: the sentences in that order.
        confidence: the calibrated probability that the whole order is right.
    """

    order: list[int]
    sentences: list[str]
    confidence: float


def find_document_excess(model: SentenceOrdererModel, sentences: list[str]) -> str | None:
    """What a document has too much of to be ordered, or None."""
    config, count, tokens = model.config, sum(bool(s.strip()) for s in sentences), 0
    if config.depends_on_input_order:
        tokens = len(_tokenize(model, [sentences])["input_ids"][0])
    return find_excess(config, count, tokens)


def order_documents(
    model: SentenceOrdererModel,
    documents: list[list[str]],
    runtime: Runtime,
    *,
    decoder: str | None = None,
    beam_width: int | None = None,
    batch_tokens: int = 4096,
    shuffles: int = 1,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Prediction]:
    """Predicts the order of every document: see `SentenceOrderer.predict`.

    `advance` is called with the number of documents that were done since the last call.
    """
    config = model.config
    decoder, beam_width = decoder or config.decoder, beam_width or config.beam_width
    check_decoder(decoder, set(config.heads))
    model.eval()

    columns = _tokenize(model, documents)
    if cut := sum(columns["cut"]):
        log.info("%s truncated to %d tokens", counted(cut, "sentence"), config.max_sentence_tokens)
    orders: list[list[int]] = [*columns["kept"]]
    confidences = [1.0] * len(documents)
    rows = [i for i, kept in enumerate(orders) if len(kept) > 1]
    advance(len(documents) - len(rows))
    tokens = np.array([len(columns["input_ids"][i]) for i in rows], dtype=np.int64)
    check_fits(config, tokens, np.array([len(orders[i]) for i in rows]), "input")
    flat = TokenizedDocuments.of(*(columns[name] for name in ("key", "input_ids", "lengths", "text_rank")))

    chosen = [[rows[k] for k in batch_rows] for batch_rows in make_batches(tokens, batch_tokens)]
    # First in the order of the input, then under permutations.
    others = [load_batches(flat, chosen, 0, number) for number in range(1, shuffles)]
    batches = zip((make_batch(flat, own) for own in chosen), *others, strict=True)
    started, decoding_seconds = time.perf_counter(), 0.0
    for parts, scores_per_shuffle in score_with_oom_fallback(model, batches, runtime):
        scores, batch = average_over_shuffles(scores_per_shuffle, parts), parts[0]
        if any(scores[name].isnan().any() for name in MATRICES if name in scores):
            raise UserError("checkpoint: its scores are NaN; it is damaged, or its training failed")
        order_BS, _, seconds = decode_batch(decoder, scores, batch, beam_width)
        decoding_seconds += seconds
        log_odds_B = order_log_odds(scores, order_BS, batch["mask"], batch["text_rank"])
        confidence_B = calibrate(log_odds_B, config.calibration)

        for row, i in enumerate(batch["document"].tolist()):
            kept = orders[i]
            orders[i] = [kept[k] for k in order_BS[row, : len(kept)].tolist()]
            confidences[i] = float(confidence_B[row])
        advance(len(batch["document"]))
    log.debug("%s", describe_decoding(decoding_seconds, time.perf_counter() - started))

    texts = [[document[k] for k in order] for document, order in zip(documents, orders, strict=True)]
    return [Prediction(*predicted) for predicted in zip(orders, texts, confidences, strict=True)]


def _tokenize(model: SentenceOrdererModel, documents: list[list[str]]) -> dict[str, list[Any]]:
    assert model.tokenizer is not None, "a model that orders text has a tokenizer"
    limits = model.config.max_sentence_tokens, model.config.strip_enumeration
    return tokenize_documents(documents, model.tokenizer, None, *limits)
