"""Runs a model over a corpus under its fixed shuffle and collects what the metrics and pictures need.

Gold positions meet the predicted order in the metrics and in the loss, and nowhere before: neither the model nor a
decoder ever sees them.

Shape suffixes: B documents, D those of the corpus, S sentences (padded), N sentences of documents of one length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sentence_order.calibration import Reliability, calibrated, order_log_odds, reliability
from sentence_order.config import DecoderConfig
from sentence_order.data.batching import load_shuffles
from sentence_order.data.examples import Batch
from sentence_order.data.tokenization import Corpus
from sentence_order.decoding import decode
from sentence_order.errors import TrainingError
from sentence_order.inference import ensemble, score
from sentence_order.kept_scores import ScoreKeeper
from sentence_order.metrics import (
    FloatArray,
    IntArray,
    RatioArray,
    document_counts,
    metrics_of,
    position_confusion,
    right_slots,
    summarise,
)
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.runtime import Runtime
from sentence_order.scores import Scores, gather_matrix


@dataclass(frozen=True)
class Evaluation:
    """What was found, one entry a document of the corpus and in its order.

    Attributes:
        counts: what every metric follows from (see `metrics.document_counts`).
        loss: the model's own, of the whole corpus, per pair.
        log_odds_D: how sure the model is, before calibration, that a predicted order is the true one.
        given: `given[d][i]` is the gold position of the i-th given sentence.
        order: `order[d][k]` is the index, among the given sentences, of the one predicted to stand k-th.
        right: `right[d][k]`: the right sentence stands k-th.
        changed_D: whether the shuffles, each for itself, would have given different orders; None where there was one.
        common_documents: how many documents have the commonest number of sentences, N; the next two are theirs.
        pair_probability_NN: the mean probability that the sentence of gold position i comes before that of position j;
            None where the model does not tell.
        confusion_NN: the share of the sentences of gold position i that were put at position j.
    """

    counts: dict[str, IntArray]
    loss: float
    log_odds_D: FloatArray
    given: list[list[int]]
    order: list[list[int]]
    right: list[list[bool]]
    changed_D: FloatArray | None
    common_documents: int
    pair_probability_NN: Tensor | None
    confusion_NN: Tensor

    @property
    def parts(self) -> dict[str, RatioArray]:
        """Every metric as numerators and denominators."""
        return metrics_of(self.counts)

    @property
    def whole(self) -> FloatArray:
        """1 where a document is wholly in order, else 0."""
        return self.parts["pmr"].numerator

    def confidence(self, calibration: Sequence[float] | None) -> FloatArray:
        """How sure to be that each document is wholly in order."""
        return calibrated(self.log_odds_D, calibration)

    def reliability(self, calibration: Sequence[float] | None) -> Reliability:
        """How often orders of each degree of confidence were right."""
        return reliability(self.confidence(calibration), self.whole)

    def summary(self) -> dict[str, float]:
        """The corpus value of every metric."""
        return summarise(self.parts)


@torch.no_grad()
def evaluate_corpus(
    model: SentenceOrderer,
    corpus: Corpus,
    decoder: DecoderConfig,
    runtime: Runtime,
    *,
    seed: int,
    batch_tokens: int,
    shuffles: int = 1,
    keeper: ScoreKeeper | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> Evaluation:
    """Orders every document of a corpus, each under the permutation of (seed, document id), and scores it.

    Args:
        shuffles: under how many permutations each document is read; it is ordered by the mean of the scores.
        keeper: is given the scores.
        advance: is told how many documents were done since the last call.

    Raises:
        TrainingError: the model's scores are not numbers.
    """
    assert decoder.name is not None, "entry points fill it in"
    assert decoder.beam_width is not None, "entry points fill it in"
    was_training = model.training
    model.eval()
    loss, collected = model.ordering_loss, _Collected(corpus)
    for batches in load_shuffles(corpus, batch_tokens, seed, shuffles):
        batch = batches[0]
        readings = [score(model, each, runtime) for each in batches]
        for scores in readings:
            _check_finite(scores, batch, corpus)
        scores = ensemble(readings, [(each["positions"], each["mask"]) for each in batches])
        total, count = loss(scores, batch["positions"], batch["mask"])
        collected.add(batch, scores, _order(scores, batch, decoder), total.item(), int(count))
        if shuffles > 1:
            alone = [_order(reading, each, decoder) for reading, each in zip(readings, batches, strict=True)]
            texts = [each["text_rank"].gather(1, order) for each, order in zip(batches, alone, strict=True)]
            collected.compare(batch, texts)
        if keeper is not None:
            keeper.add(batch, scores)
        advance(len(batch["mask"]))
    model.train(was_training)
    return collected.evaluation()


def _order(scores: Scores, batch: Batch, decoder: DecoderConfig) -> Tensor:
    assert decoder.name is not None
    assert decoder.beam_width is not None
    return decode(decoder.name.value, scores, batch["mask"], batch["text_rank"], beam_width=decoder.beam_width)[0]


def _check_finite(scores: Scores, batch: Batch, corpus: Corpus) -> None:
    finite_B = torch.ones(len(batch["mask"]), dtype=torch.bool)
    for name in ("logits", "next_log_probs", "position_logits"):
        if name in scores:
            finite_B &= scores[name].isfinite().all(2).all(1)
    if not finite_B.all():
        ids = [corpus.documents[row]["id"] for row in batch["document"][~finite_B].tolist()]
        raise TrainingError(f"the model's logits are not finite for the documents {', '.join(ids[:20])}")


class _Collected:
    """Gathers batches, whose documents come by length, into an `Evaluation`."""

    def __init__(self, corpus: Corpus) -> None:
        self.given: list[list[int]] = [[]] * len(corpus)
        self.order: list[list[int]] = [[]] * len(corpus)
        self.right: list[list[bool]] = [[]] * len(corpus)
        self.counts: list[dict[str, IntArray]] = []
        self.log_odds: list[FloatArray] = []
        self.changed: list[Tensor] = []
        self.rows: list[int] = []
        self.loss, self.pairs = 0.0, 0
        self.common = int(np.bincount(corpus.sizes).argmax())
        self.alike = 0
        self.probability_NN: Tensor | None = None
        self.confusion_NN = torch.zeros(self.common, self.common)

    def add(self, batch: Batch, scores: Scores, order_BS: Tensor, loss: float, pairs: int) -> None:
        positions_BS, mask_BS = batch["positions"], batch["mask"]
        compared = (order_BS, positions_BS, mask_BS, batch["text_rank"])
        self.loss, self.pairs = self.loss + loss, self.pairs + pairs
        self.counts.append(document_counts(*compared))
        self.log_odds.append(order_log_odds(scores, order_BS, mask_BS, batch["text_rank"]))
        self.rows += batch["document"].tolist()
        sizes = mask_BS.sum(1).tolist()
        lists = (batch["document"], positions_BS, order_BS, right_slots(*compared))
        for size, (row, given, order, right) in zip(sizes, zip(*(x.tolist() for x in lists), strict=True), strict=True):
            self.given[row], self.order[row], self.right[row] = given[:size], order[:size], right[:size]
        if found := sizes.count(self.common):
            self.alike += found
            share_NN = position_confusion(*compared, length=self.common)
            self.confusion_NN += found * torch.from_numpy(share_NN)
            if scores.logits is not None:
                total_NN = _in_gold_order(scores.logits, positions_BS, mask_BS, self.common).sigmoid().sum(0)
                self.probability_NN = total_NN if self.probability_NN is None else self.probability_NN + total_NN

    def compare(self, batch: Batch, text_orders: list[Tensor]) -> None:
        """Notes which documents are not ordered alike under all shuffles; each order is told by its texts' ranks."""
        differs_BS = torch.stack([texts_BS != text_orders[0] for texts_BS in text_orders[1:]]).any(0)
        self.changed.append((differs_BS & batch["mask"]).any(1))

    def evaluation(self) -> Evaluation:
        back = np.argsort(self.rows)
        return Evaluation(
            counts={name: np.concatenate([batch[name] for batch in self.counts])[back] for name in self.counts[0]},
            loss=self.loss / max(self.pairs, 1),
            log_odds_D=np.concatenate(self.log_odds)[back],
            given=self.given,
            order=self.order,
            right=self.right,
            changed_D=torch.cat(self.changed).double().numpy()[back] if self.changed else None,
            common_documents=self.alike,
            pair_probability_NN=None if self.probability_NN is None else self.probability_NN / self.alike,
            confusion_NN=self.confusion_NN / self.alike,
        )


def _in_gold_order(logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor, size: int) -> Tensor:
    """The logits of the documents of `size` sentences, rows and columns by gold position (B, N, N)."""
    alike_B = mask_BS.sum(1) == size
    index_BN = positions_BS[alike_B, :size].argsort(1)
    return gather_matrix(logits_BSS[alike_B, :size, :size], index_BN, index_BN)
