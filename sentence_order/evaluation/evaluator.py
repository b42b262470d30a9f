"""Evaluates a model on a corpus under its fixed shuffle, and collects what metrics and pictures need.

Gold positions are compared with the predicted order in the metrics and the loss, and nowhere before: neither the model
nor a decoder ever reads them.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sentence_order.arrays import FloatArray, IntArray
from sentence_order.config.schema import DecoderConfig
from sentence_order.data.batching import TokenBudgetBatches, load_shuffles
from sentence_order.data.examples import Batch
from sentence_order.data.tokenization import Corpus
from sentence_order.decoding.scores import MATRICES, Scores, gather_matrix
from sentence_order.errors import TrainingError
from sentence_order.evaluation.metrics import (
    RatioArray,
    document_counts,
    metrics_of,
    position_confusion,
    right_slots,
    summarise,
)
from sentence_order.inference.calibration import Reliability, calibrate, measure_reliability, order_log_odds
from sentence_order.inference.scoring import average_over_shuffles, decode_batch, score_with_oom_fallback
from sentence_order.losses import count_pairs
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime

# Fields of an `Evaluation` that are sums over its documents.
SUMS = ("total_loss", "num_pairs", "common_documents", "total_probability_SS", "total_confusion_SS")


@dataclass(frozen=True)
class DecoderResult:
    """The orders of one decoder.

    Attributes:
        counts: of each document, what every metric follows from (see `metrics.document_counts`).
        objective_D: of each order, in nats (see `decoding.decode`).
        seconds: spent in the decoder.
    """

    counts: dict[str, IntArray]
    objective_D: FloatArray
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """The result for some documents, in the order of `rows`: those of a batch or of a whole corpus.

    Attributes:
        rows: their rows in the corpus.
        counts: what every metric follows from (see `metrics.document_counts`).
        total_loss, num_pairs: sums over the documents.
        log_odds_D: before calibration, that a predicted order is the true one.
        given: `given[d][i]` is the gold position of the i-th sentence of the input.
        order: `order[d][k]` is the index, in the input, of the sentence predicted to be k-th.
        right: `right[d][k]`: the k-th sentence is right.
        changed_D: whether single shuffles would have given different orders; None for one shuffle.
        common_documents: how many documents have the corpus's most frequent number of sentences, S.
        total_probability_SS: of these, the sum of the probabilities that the sentence of gold position i comes before
            that of position j; None if the model does not score pairs.
        total_confusion_SS: of these, how many sentences of gold position i were predicted at position j.
        decoders: the results of every decoder that was compared, by name.
    """

    rows: list[int]
    counts: dict[str, IntArray]
    total_loss: float
    num_pairs: int
    log_odds_D: FloatArray
    given: list[list[int]]
    order: list[list[int]]
    right: list[list[bool]]
    changed_D: FloatArray | None
    common_documents: int
    total_probability_SS: Tensor | None
    total_confusion_SS: Tensor | None
    decoders: dict[str, DecoderResult]

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
        assert self.total_confusion_SS is not None, "a corpus has documents of its most frequent length"
        return self.total_confusion_SS / self.common_documents

    @property
    def ratios(self) -> dict[str, RatioArray]:
        """Every metric as numerators and denominators."""
        return metrics_of(self.counts)

    @property
    def perfect(self) -> FloatArray:
        """1 if a document's order is right as a whole, else 0: (D)."""
        return self.ratios["pmr"].numerator

    def confidence(self, calibration: Sequence[float] | None) -> FloatArray:
        """The probability that each document's order is right as a whole."""
        return calibrate(self.log_odds_D, calibration)

    def reliability(self, calibration: Sequence[float] | None) -> Reliability:
        """The share of orders that were right, by confidence."""
        return measure_reliability(self.confidence(calibration), self.perfect)

    def summary(self) -> dict[str, float]:
        """The corpus value of every metric."""
        return summarise(self.ratios)


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
    """Orders every document of a corpus, each under the permutation of (seed, document id), and evaluates the orders.

    Several processes share the batches of a single one, and all get the result of the whole corpus.

    Args:
        shuffles: score each document under this number of permutations, and order it by the mean of the scores.
        compare: decoders whose results are compared, beside the model's own.
        advance: called with the number of documents done since the last call, by all processes together.
        stop: asked before each batch; if one process says so, all stop and return None.

    Raises:
        TrainingError: the model's scores are not finite; a single document does not fit in memory.
    """
    was_training = model.training
    model.eval()
    batches = TokenBudgetBatches(corpus.tokens, batch_tokens).batches
    numbers = runtime.processes.shard(range(len(batches)))
    shuffled_batches = load_shuffles(corpus, [batches[number] for number in numbers], seed, shuffles)
    evaluator = _BatchEvaluator(model, corpus, decoder, compare)

    results: list[tuple[int, Evaluation]] = []
    stopped = False
    for number, shuffled in zip(numbers, shuffled_batches, strict=True):
        if stopped := stop():
            break
        for parts, scores_per_shuffle in score_with_oom_fallback(model, shuffled, runtime):
            results.append((number, evaluator.evaluate(parts, scores_per_shuffle)))
        advance(sum(map(len, batches[number : number + runtime.processes.world_size])))
    model.train(was_training)

    gathered = runtime.processes.gather((stopped, results))
    if any(stopped for stopped, _ in gathered):
        return None
    in_order = sorted((result for _, results in gathered for result in results), key=itemgetter(0))
    return _concatenate([result for _, result in in_order])


class _BatchEvaluator:
    def __init__(
        self, model: SentenceOrdererModel, corpus: Corpus, decoder: DecoderConfig, compare: Sequence[str]
    ) -> None:
        assert decoder.name is not None, "entry points fill it in"
        assert decoder.beam_width is not None, "entry points fill it in"
        self.loss, self.corpus, self.compare = model.ordering_loss, corpus, compare
        self.decoder, self.beam_width = decoder.name.value, decoder.beam_width
        self.common_size = int(np.bincount(corpus.sizes).argmax())

    def evaluate(self, shuffled: Sequence[Batch], scores_per_shuffle: Sequence[Scores]) -> Evaluation:
        """Evaluates the scores of a batch under one or several shuffles."""
        batch = shuffled[0]
        for scores in scores_per_shuffle:
            self._check_finite(scores, batch)
        scores = average_over_shuffles(scores_per_shuffle, shuffled)
        positions_BS, mask_BS, text_rank_BS = batch["positions"], batch["mask"], batch["text_rank"]
        order_BS, _ = decode_batch(self.decoder, scores, batch, self.beam_width)

        compared = (order_BS, positions_BS, mask_BS, text_rank_BS)
        sizes = mask_BS.sum(1).tolist()
        common_documents = sizes.count(self.common_size)
        confusion_SS = probability_SS = None
        if common_documents:
            confusion_SS = common_documents * torch.from_numpy(position_confusion(*compared, length=self.common_size))
            if scores.logits is not None:
                gold_BSS = _in_gold_order(scores.logits, positions_BS, mask_BS, self.common_size)
                probability_SS = gold_BSS.sigmoid().sum(0)

        return Evaluation(
            rows=batch["document"].tolist(),
            counts=document_counts(*compared),
            total_loss=self.loss(scores, positions_BS, mask_BS).item(),
            num_pairs=int(count_pairs(mask_BS)),
            log_odds_D=order_log_odds(scores, order_BS, mask_BS, text_rank_BS),
            given=_cut(positions_BS.tolist(), sizes),
            order=_cut(order_BS.tolist(), sizes),
            right=_cut(right_slots(*compared).tolist(), sizes),
            changed_D=self._find_changed(shuffled, scores_per_shuffle) if len(shuffled) > 1 else None,
            common_documents=common_documents,
            total_probability_SS=probability_SS,
            total_confusion_SS=confusion_SS,
            decoders={name: self._decode(name, scores, batch) for name in self.compare},
        )

    def _decode(self, decoder: str, scores: Scores, batch: Batch) -> DecoderResult:
        started = time.perf_counter()
        order_BS, objective_B = decode_batch(decoder, scores, batch, self.beam_width)
        seconds = time.perf_counter() - started
        counts = document_counts(order_BS, batch["positions"], batch["mask"], batch["text_rank"])
        return DecoderResult(counts, objective_B.numpy(), seconds)

    def _find_changed(self, shuffled: Sequence[Batch], scores_per_shuffle: Sequence[Scores]) -> FloatArray:
        """Whether the shuffles of a document, each on its own, would have given different orders: (B)."""
        texts = []
        for batch, scores in zip(shuffled, scores_per_shuffle, strict=True):
            order_BS, _ = decode_batch(self.decoder, scores, batch, self.beam_width)
            # Texts are compared by their ranks, which are the same in all shuffles.
            texts.append(batch["text_rank"].gather(1, order_BS))
        differs_BS = torch.stack([texts_BS != texts[0] for texts_BS in texts[1:]]).any(0)
        changed_B: FloatArray = (differs_BS & shuffled[0]["mask"]).any(1).double().numpy()
        return changed_B

    def _check_finite(self, scores: Scores, batch: Batch) -> None:
        finite_B = torch.ones(len(batch["mask"]), dtype=torch.bool)
        for name in MATRICES:
            if name in scores:
                finite_B &= scores[name].isfinite().all(2).all(1)
        if not finite_B.all():
            ids = [self.corpus.documents[row]["id"] for row in batch["document"][~finite_B].tolist()]
            raise TrainingError(f"the model's scores are not finite for the documents {', '.join(ids[:20])}")


def _concatenate(parts: Sequence[Evaluation]) -> Evaluation:
    """The evaluation of the documents of all parts, in the order of the corpus."""
    rows = [row for part in parts for row in part.rows]
    back = np.argsort(rows)

    def in_order(name: str) -> list[Any]:
        flat = [value for part in parts for value in getattr(part, name)]
        return [flat[index] for index in back]

    def join(arrays: Iterable[Any]) -> Any:
        return np.concatenate(list(arrays))[back]

    def total(name: str) -> Any:
        values = [value for part in parts if (value := getattr(part, name)) is not None]
        return sum(values[1:], values[0]) if values else None

    decoders = {
        name: DecoderResult(
            {count: join(part.decoders[name].counts[count] for part in parts) for count in parts[0].counts},
            join(part.decoders[name].objective_D for part in parts),
            sum(part.decoders[name].seconds for part in parts),
        )
        for name in parts[0].decoders
    }
    return Evaluation(
        rows=sorted(rows),
        counts={name: join(part.counts[name] for part in parts) for name in parts[0].counts},
        log_odds_D=join(part.log_odds_D for part in parts),
        given=in_order("given"),
        order=in_order("order"),
        right=in_order("right"),
        changed_D=None if parts[0].changed_D is None else join(part.changed_D for part in parts),
        decoders=decoders,
        **{name: total(name) for name in SUMS},
    )


def _cut(padded: list[list[Any]], sizes: list[int]) -> list[list[Any]]:
    return [values[:size] for values, size in zip(padded, sizes, strict=True)]


def _in_gold_order(logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor, size: int) -> Tensor:
    """The logits of the documents of `size` sentences, rows and columns by gold position (B, S, S)."""
    common_B = mask_BS.sum(1) == size
    index_BS = positions_BS[common_B, :size].argsort(1)
    return gather_matrix(logits_BSS[common_B, :size, :size], index_BS, index_BS)
