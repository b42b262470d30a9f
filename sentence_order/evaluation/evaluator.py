"""Evaluates a model on a corpus under its fixed shuffle, and collects what metrics and pictures need.

Gold positions are compared with the predicted order in the metrics and the loss, and nowhere before: neither the model
nor a decoder ever reads them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sentence_order.arrays import FloatArray, IntArray
from sentence_order.config.schema import DecoderConfig
from sentence_order.data.batching import load_shuffles, make_batches
from sentence_order.data.examples import Batch
from sentence_order.data.groups import rows_by_group
from sentence_order.data.tokenization import Corpus
from sentence_order.decoding.distribution import OrderDistribution
from sentence_order.decoding.exact import MAX_EXACT_SENTENCES
from sentence_order.decoding.scores import MATRICES, Scores, gather_matrix
from sentence_order.errors import TrainingError
from sentence_order.evaluation import metrics
from sentence_order.evaluation.counts import document_counts, position_confusion, right_slots
from sentence_order.inference.calibration import (
    Calibration,
    Reliability,
    calibrate,
    calibrate_pairs,
    log_odds,
    measure_reliability,
    pair_log_odds,
)
from sentence_order.inference.scoring import average_over_shuffles, decode_batch, score_with_oom_fallback
from sentence_order.losses import OrderingLoss, count_pairs
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime


@dataclass(frozen=True)
class DecoderResult:
    """The orders of one decoder: their counts, their objectives in nats (see `decoding.decode`), seconds to decode."""

    counts: dict[str, IntArray]
    objective_D: FloatArray
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """The result for some documents: those of a batch or of a whole corpus.

    Arrays and lists have an entry per document, in the order of `rows`; numbers and tensors are sums over documents.
    """

    rows: list[int]  # of the documents in the corpus
    counts: dict[str, IntArray]  # what every metric follows from (see `counts.document_counts`)
    total_loss: float
    num_pairs: int
    # Before calibration: the log-odds that a predicted order is the true one; and, of each document, those of its pairs
    # of different sentences in their true order, none if a pointer scores, or there are more than 12 sentences.
    log_odds_D: FloatArray
    pair_log_odds: list[FloatArray]
    given: list[list[int]]  # `given[d][i]` is the gold position of the i-th sentence of the input
    order: list[list[int]]  # `order[d][k]` is the index, in the input, of the sentence predicted to be k-th
    right: list[list[bool]]  # `right[d][k]`: the k-th sentence is right
    changed_D: FloatArray | None  # whether single shuffles would have given different orders; None for one shuffle
    # Over the documents that have the corpus's most frequent number of sentences, S: how many there are; if pairs are
    # scored, the sum of the probabilities that the sentence of gold position i comes before that of position j; and how
    # many sentences of gold position i were predicted at position j.
    common_documents: int
    total_probability_SS: Tensor | None
    total_confusion_SS: Tensor
    decoders: dict[str, DecoderResult]  # those that were compared, by name
    decoding_seconds: float  # of all decoders
    seconds: float  # in all; of several processes, the sum

    @property
    def loss(self) -> float:
        """The model's own loss per pair."""
        return self.total_loss / max(self.num_pairs, 1)

    @property
    def pair_probability_SS(self) -> Tensor | None:  # noqa: N802
        """The mean probability that the sentence of gold position i comes before that of position j."""
        return None if self.total_probability_SS is None else self.total_probability_SS / self.common_documents

    @property
    def confusion_SS(self) -> Tensor:  # noqa: N802
        """The share of the sentences of gold position i that were predicted at position j."""
        return self.total_confusion_SS.double() / self.common_documents

    @property
    def ratios(self) -> dict[str, metrics.RatioArray]:
        """Every metric as numerators and denominators."""
        return metrics.metrics_of(self.counts)

    @property
    def perfect(self) -> FloatArray:
        """1 if a document's order is right as a whole, else 0: (D)."""
        return self.ratios["pmr"].numerator

    def confidence(self, calibration: Calibration) -> FloatArray:
        """The probability that each document's order is right as a whole."""
        return calibrate(self.log_odds_D, calibration.orders)

    def reliability(self, calibration: Calibration, rows: IntArray | None = None) -> dict[str, Reliability]:
        """The shares of `orders` and, if there are any, of `pairs` that were right, by the confidence in them.

        Of all documents, or of some. Pairs are taken in their likelier direction.
        """
        rows = np.arange(len(self.rows)) if rows is None else rows
        found = {"orders": measure_reliability(self.confidence(calibration)[rows], self.perfect[rows])}
        log_odds_E = np.concatenate([self.pair_log_odds[row] for row in rows]).astype(np.float64)
        if len(log_odds_E):
            confidence_E = calibrate_pairs(abs(log_odds_E), calibration.pairs)
            found["pairs"] = measure_reliability(confidence_E, (log_odds_E > 0).astype(np.float64))
        return found

    def summary(self) -> dict[str, float]:
        """The corpus value of every metric."""
        return metrics.summarise(self.ratios)

    def summary_by_group(self, corpus: Corpus) -> dict[str, dict[str, float]]:
        """The same for each group of documents, if the corpus has several."""
        groups, ratios = rows_by_group(corpus.groups), self.ratios
        return {group: metrics.summarise(metrics.select(ratios, rows_R)) for group, rows_R in groups.items()}


@torch.no_grad()
def evaluate_corpus(
    model: SentenceOrdererModel,
    corpus: Corpus,
    decoder: DecoderConfig,
    runtime: Runtime,
    *,
    seed: int,
    batch_tokens: int,
    shuffles: int = 1,
    compare: Sequence[str] = (),
    advance: Callable[[int], None] = lambda count: None,
    stop: Callable[[], bool] = lambda: False,
) -> Evaluation | None:
    """Orders every document of a corpus, each under the permutation of (seed, its text), and evaluates the orders.

    Several processes share the batches of a single one, and all get the result of the whole corpus. Raises
    TrainingError if the model's scores are not finite, or a single document does not fit in memory.

    Args:
        shuffles: score each document under this number of permutations, and order it by the mean of the scores.
        compare: further decoders, whose results are compared.
        advance: called with the number of documents done since the last call, by all processes together.
        stop: asked before each batch; if one process says so, all stop and return None.
    """
    was_training = model.training
    model.eval()
    batches = make_batches(corpus.tokens, batch_tokens)
    numbers = runtime.processes.shard(range(len(batches)))
    shuffled_batches = load_shuffles(corpus, [batches[number] for number in numbers], seed, shuffles)
    common_size = int(np.bincount(corpus.sizes).argmax())
    until_stopped = takewhile(lambda _: not stop(), shuffled_batches)
    evaluate_batch = partial(_evaluate_batch, model.ordering_loss, decoder, compare, common_size)

    results: list[Evaluation] = []
    number_of_last_row = {batches[number][-1]: number for number in numbers}
    started = time.perf_counter()
    for parts, scores_per_shuffle in score_with_oom_fallback(model, until_stopped, runtime):
        for scores in scores_per_shuffle:
            _check_finite(scores, parts[0], corpus)
        result = evaluate_batch(parts, scores_per_shuffle, started)
        results.append(result)
        started = time.perf_counter()
        if (number := number_of_last_row.get(result.rows[-1])) is not None:  # the last part of a batch
            advance(sum(map(len, batches[number : number + runtime.processes.world_size])))
    model.train(was_training)

    runtime.processes.barrier()  # which may take long, unlike the exchange of the results
    gathered = [result for own in runtime.processes.gather(results) for result in own]
    if sum(len(result.rows) for result in gathered) < len(corpus):  # a process has stopped
        return None
    place_D = np.argsort(np.concatenate(batches))
    return _concatenate(sorted(gathered, key=lambda result: place_D[result.rows[0]]))


def _check_finite(scores: Scores, batch: Batch, corpus: Corpus) -> None:
    finite_B = torch.ones(len(batch["mask"]), dtype=torch.bool)
    for name in scores.keys() & set(MATRICES):
        finite_B &= scores[name].isfinite().all(2).all(1)
    if not finite_B.all():
        ids = [corpus.documents[row]["id"] for row in batch["document"][~finite_B].tolist()]
        raise TrainingError(f"the model's scores are not finite for the documents {', '.join(ids[:20])}")


def _evaluate_batch(
    loss: OrderingLoss,
    decoder: DecoderConfig,
    compare: Sequence[str],
    common_size: int,
    shuffled: Sequence[Batch],
    scores_per_shuffle: Sequence[Scores],
    started: float,
) -> Evaluation:
    """Evaluates the scores of a batch under one or several shuffles, on which work has `started`."""
    assert decoder.name is not None, "entry points fill it in"
    assert decoder.beam_width is not None, "entry points fill it in"
    decode = partial(decode_batch, decoder.name.value, beam_width=decoder.beam_width)
    batch = shuffled[0]
    positions_BS, mask_BS, text_rank_BS = batch["positions"], batch["mask"], batch["text_rank"]
    scores = average_over_shuffles(scores_per_shuffle, shuffled)
    order_BS, _, decoding_seconds = decode(scores, batch)
    changed_D = None
    if len(shuffled) > 1:
        # Whether the shuffles, each on its own, give different orders of texts; these have the same ranks in all.
        alone = [decode(own, each) for own, each in zip(scores_per_shuffle, shuffled, strict=True)]
        texts = [each["text_rank"].gather(1, own.order_BS) for each, own in zip(shuffled, alone, strict=True)]
        decoding_seconds += sum(own.seconds for own in alone)
        differs_BS = torch.stack([texts_BS != texts[0] for texts_BS in texts[1:]]).any(0)
        changed_D = (differs_BS & mask_BS).any(1).double().numpy()

    decoders = {name: _evaluate_decoder(name, scores, batch, decoder.beam_width) for name in compare}
    decoding_seconds += sum(found.seconds for found in decoders.values())

    # What the pictures show is added up over the documents of the corpus's most frequent length.
    compared = (order_BS, positions_BS, mask_BS, text_rank_BS)
    common_B = mask_BS.sum(1) == common_size
    common_documents = int(common_B.sum())
    probability_SS = None
    if common_documents and scores.logits is not None:
        gold_BS = positions_BS[common_B, :common_size].argsort(1)
        logits_BSS = gather_matrix(scores.logits[common_B, :common_size, :common_size], gold_BS, gold_BS)
        probability_SS = logits_BSS.sigmoid().sum(0)

    distribution = OrderDistribution(scores, mask_BS, text_rank_BS, beam_width=decoder.beam_width)

    def cut(padded_BS: Tensor) -> list[list[Any]]:
        return [values[:size] for values, size in zip(padded_BS.tolist(), mask_BS.sum(1).tolist(), strict=True)]

    return Evaluation(
        rows=batch["document"].tolist(),
        counts=document_counts(*compared),
        total_loss=loss(scores, positions_BS, mask_BS).item(),
        num_pairs=int(count_pairs(mask_BS)),
        log_odds_D=log_odds(distribution.log_probs(order_BS[:, None])[:, 0]),
        pair_log_odds=_pair_log_odds(distribution, positions_BS),
        given=cut(positions_BS),
        order=cut(order_BS),
        right=cut(right_slots(*compared)),
        changed_D=changed_D,
        common_documents=common_documents,
        total_probability_SS=probability_SS,
        total_confusion_SS=position_confusion(*compared, length=common_size),
        decoders=decoders,
        decoding_seconds=decoding_seconds,
        seconds=time.perf_counter() - started,
    )


def _pair_log_odds(distribution: OrderDistribution, positions_BS: Tensor) -> list[FloatArray]:
    """The entry of each document of a batch in `Evaluation.pair_log_odds`.

    Not of longer documents than the exact sum is for, whose estimates take longer than the model.
    """
    mask_BS, text_rank_BS = distribution.mask_BS, distribution.text_rank_BS
    if distribution.scores.pointer is not None:
        return [np.zeros(0, dtype=np.float32) for _ in mask_BS]
    log_odds_BSS = pair_log_odds(distribution.marginals(MAX_EXACT_SENTENCES).before_BSS)
    is_pair_BSS = mask_BS[:, :, None] & mask_BS[:, None] & (mask_BS.sum(1) <= MAX_EXACT_SENTENCES)[:, None, None]
    is_pair_BSS &= text_rank_BS[:, :, None] != text_rank_BS[:, None]
    is_pair_BSS &= positions_BS[:, :, None] < positions_BS[:, None]
    ends_B = is_pair_BSS.sum((1, 2)).cumsum(0)
    return np.split(log_odds_BSS[is_pair_BSS].float().numpy(), ends_B[:-1].tolist())


def _evaluate_decoder(decoder: str, scores: Scores, batch: Batch, beam_width: int) -> DecoderResult:
    order_BS, objective_B, seconds = decode_batch(decoder, scores, batch, beam_width)
    counts = document_counts(order_BS, batch["positions"], batch["mask"], batch["text_rank"])
    return DecoderResult(counts, objective_B.numpy(), seconds)


def _concatenate(parts: Sequence[Evaluation]) -> Evaluation:
    """The evaluation of the documents of all parts, in the order of the corpus."""
    in_order = np.argsort([row for part in parts for row in part.rows])

    def join(values: Sequence[Any]) -> Any:
        first = values[0]
        if isinstance(first, (Evaluation, DecoderResult)):
            joined = {item.name: join([getattr(value, item.name) for value in values]) for item in fields(first)}
            return replace(first, **joined)
        if isinstance(first, dict):
            return {name: join([value[name] for value in values]) for name in first}
        if isinstance(first, np.ndarray):
            return np.concatenate(values)[in_order]
        if isinstance(first, list):
            flat = [entry for value in values for entry in value]
            return [flat[index] for index in in_order]

        sums = [value for value in values if value is not None]  # a part may have no document to add
        return sum(sums[1:], sums[0]) if sums else None

    evaluation: Evaluation = join(parts)
    return evaluation
