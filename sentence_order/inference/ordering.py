"""Orders documents with a model: texts in, orders and confidences out."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sentence_order.config.validation import check_decoder
from sentence_order.data.batching import load_batches, make_batches
from sentence_order.data.encoding import tokenize_documents
from sentence_order.data.examples import Batch, TokenizedDocuments, make_batch
from sentence_order.decoding.distribution import OrderDistribution
from sentence_order.decoding.scores import MATRICES, Scores
from sentence_order.errors import UserError, counted
from sentence_order.inference.calibration import calibrate, log_odds
from sentence_order.inference.details import (
    Details,
    Matrix,
    OrderProbability,
    Places,
    RankedOrder,
    find_details,
    find_doubted_pairs,
    is_approximate,
)
from sentence_order.inference.scoring import (
    average_over_shuffles,
    decode_batch,
    describe_decoding,
    score_with_oom_fallback,
)
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.limits import check_fits, find_excess
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime

log = logging.getLogger(__name__)

NO_DETAILS = Details()


@dataclass(frozen=True)
class Prediction:
    """The predicted order of one document; empty sentences are left out.

    Attributes:
        order: `order[k]` is the index, in the input, of the k-th sentence.
        sentences: the sentences in that order.
        confidence: the calibrated probability that the whole order is right.
        probability: the model's own probability of the order, before calibration.
        approximate: True for more than 12 sentences: probabilities are approximate, and `top_k` are the best orders
            that a beam search found, as they are for a pointer network. Otherwise both are exact.
        top_k: by request, the likeliest orders with the model's own probabilities, the likeliest first; fewer if there
            are no more. The first is `order`, unless the decoder seeks another order than the likeliest.
        pairs: by request, `pairs[i][j]` is the model's own probability that sentence i of the input comes before
            sentence j; 0 on the diagonal, None in rows and columns of empty sentences. None for a pointer network.
        pairs_calibrated: the same, calibrated; None also for a checkpoint without such a calibration.
        neighbours: by request, `neighbours[i][j]` is the model's own probability that sentence j directly follows
            sentence i. A row sums to 1 less the probability that sentence i is the last, a column to 1 less the
            probability that j is the first. None for a pointer network.
    """

    order: list[int]
    sentences: list[str]
    confidence: float
    probability: float
    approximate: bool = False
    top_k: list[RankedOrder] | None = None
    pairs: Matrix | None = None
    pairs_calibrated: Matrix | None = None
    neighbours: Matrix | None = None


def find_document_excess(model: SentenceOrdererModel, sentences: list[str]) -> str | None:
    """What a document has too much of to be ordered, or None."""
    config, count, tokens = model.config, sum(bool(s.strip()) for s in sentences), 0
    if config.depends_on_input_order:
        tokens = len(_tokenize(model, [sentences])["input_ids"][0])
    return find_excess(config, count, tokens)


def count_truncated(model: SentenceOrdererModel, sentences: list[str]) -> int:
    """The number of sentences of which the model reads the first tokens only."""
    return int(sum(_tokenize(model, [sentences])["cut"]))


def order_documents(
    model: SentenceOrdererModel,
    documents: list[list[str]],
    runtime: Runtime,
    *,
    decoder: str | None = None,
    beam_width: int | None = None,
    batch_tokens: int = 4096,
    shuffles: int = 1,
    details: Details = NO_DETAILS,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Prediction]:
    """Predicts the order of every document: see `SentenceOrderer.predict`.

    `advance` is called with the number of documents that were done since the last call.
    """
    config = model.config
    decoder, beam_width = decoder or config.decoder, beam_width or config.beam_width
    check_decoder(decoder, set(config.heads))

    if config.has_pointer:  # which has no pairs
        details = Details(top_k=details.top_k)
    columns = _tokenize(model, documents)
    places = [Places(kept, len(document)) for kept, document in zip(columns["kept"], documents, strict=True)]
    single = [i for i, own in enumerate(places) if len(own.kept) < 2]
    predictions = {i: _predict_single(documents[i], places[i], details, config) for i in single}
    advance(len(single))

    started, decoding_seconds = time.perf_counter(), 0.0
    for batch, scores in _score(model, columns, runtime, batch_tokens, shuffles):
        order_BS, _, seconds = decode_batch(decoder, scores, batch, beam_width)
        decoding_seconds += seconds
        distribution = OrderDistribution(
            scores, batch["mask"], batch["text_rank"], beam_width=beam_width, num_summed=details.top_k
        )
        log_prob_B = distribution.log_probs(order_BS[:, None])[:, 0]
        confidences = calibrate(log_odds(log_prob_B), config.calibration).tolist()
        probabilities = log_prob_B.exp().tolist()
        rows = batch["document"].tolist()
        fields = find_details(details, distribution, [places[i] for i in rows], config.pair_calibration)

        for row, i in enumerate(rows):
            kept = places[i].kept
            order = [kept[k] for k in order_BS[row, : len(kept)].tolist()]
            predictions[i] = Prediction(
                order,
                [documents[i][k] for k in order],
                confidences[row],
                probabilities[row],
                approximate=is_approximate(scores, len(kept)),
                **fields[row],
            )
        advance(len(rows))
    log.debug("%s", describe_decoding(decoding_seconds, time.perf_counter() - started))
    return [predictions[i] for i in range(len(documents))]


def find_order_probability(
    model: SentenceOrdererModel, sentences: list[str], order: Sequence[int], runtime: Runtime
) -> OrderProbability:
    """The probability of an order of one document: see `SentenceOrderer.probability`."""
    columns = _tokenize(model, [sentences])
    (kept,), order = columns["kept"], [*order]
    if len(order) != len(kept) or not all(i in order for i in kept):
        raise UserError(f"order: holds each index of the sentences that are not empty once ({kept}), not {order}")
    for batch, scores in _score(model, columns, runtime):
        order = [int(index) for index in order]
        order_1S = torch.tensor([[kept.index(index) for index in order]])
        distribution = OrderDistribution(scores, batch["mask"], batch["text_rank"], beam_width=model.config.beam_width)
        probability = distribution.log_probs(order_1S[:, None]).exp().item()
        pairs = None if scores.pointer is not None else find_doubted_pairs(distribution, order, kept)
        return OrderProbability(probability, is_approximate(scores, len(kept)), pairs)
    return OrderProbability(1.0, False, None if model.config.has_pointer else [])  # of one sentence or none


def _predict_single(
    sentences: list[str], places: Places, details: Details, config: SentenceOrdererConfig
) -> Prediction:
    """The prediction of a document with one sentence or none."""
    order = [*places.kept]
    mask_11, rank_11 = torch.tensor([[bool(order)]]), torch.zeros(1, 1, dtype=torch.long)
    alone = OrderDistribution(Scores(logits=torch.zeros(1, 1, 1)), mask_11, rank_11, num_summed=details.top_k)
    (fields,) = find_details(details, alone, [places], config.pair_calibration)
    return Prediction(order, [sentences[k] for k in order], 1.0, 1.0, **fields)


def _score(
    model: SentenceOrdererModel,
    columns: dict[str, list[Any]],
    runtime: Runtime,
    batch_tokens: int = 4096,
    shuffles: int = 1,
) -> Iterator[tuple[Batch, Scores]]:
    """Batches of the tokenised documents that have two sentences, and the model's scores of them.

    Raises UserError if a document is too long, or a score is NaN.
    """
    model.eval()
    config = model.config
    if cut := sum(columns["cut"]):
        log.info("%s truncated to %d tokens", counted(cut, "sentence"), config.max_sentence_tokens)
    rows = [i for i, kept in enumerate(columns["kept"]) if len(kept) > 1]
    tokens = np.array([len(columns["input_ids"][i]) for i in rows], dtype=np.int64)
    check_fits(config, tokens, np.array([len(columns["kept"][i]) for i in rows]), "input")
    flat = TokenizedDocuments.of(*(columns[name] for name in ("key", "input_ids", "lengths", "text_rank")))

    chosen = [[rows[k] for k in batch_rows] for batch_rows in make_batches(tokens, batch_tokens)]
    # First in the order of the input, then under permutations.
    others = [load_batches(flat, chosen, 0, number) for number in range(1, shuffles)]
    batches = zip((make_batch(flat, own) for own in chosen), *others, strict=True)
    for parts, scores_per_shuffle in score_with_oom_fallback(model, batches, runtime):
        scores = average_over_shuffles(scores_per_shuffle, parts)
        if any(scores[name].isnan().any() for name in MATRICES if name in scores):
            raise UserError("checkpoint: its scores are NaN; it is damaged, or its training failed")
        yield parts[0], scores


def _tokenize(model: SentenceOrdererModel, documents: list[list[str]]) -> dict[str, list[Any]]:
    assert model.tokenizer is not None, "a model that orders text has a tokenizer"
    limits = model.config.max_sentence_tokens, model.config.strip_enumeration
    return tokenize_documents(documents, model.tokenizer, None, *limits)
