"""Runs a model over a corpus under its fixed shuffle and collects what the metrics and pictures need.

Gold positions meet the predicted order in the metrics and in the loss, and nowhere before: neither the model nor a
decoder ever sees them.

Shape suffixes: B documents, D those of the corpus, S sentences (padded), N sentences of documents of one length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sentence_order.calibration import Reliability, calibrated, order_log_odds, reliability
from sentence_order.config import DecoderConfig
from sentence_order.data.batching import TokenBudgetBatches, load_shuffles
from sentence_order.data.examples import Batch
from sentence_order.data.tokenization import Corpus
from sentence_order.decoding import decode
from sentence_order.errors import TrainingError
from sentence_order.inference import ensemble, read
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
from sentence_order.scores import MATRICES, Scores, gather_matrix


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
    stop: Callable[[], bool] = lambda: False,
) -> Evaluation | None:
    """Orders every document of a corpus, each under the permutation of (seed, document id), and scores it.

    Several processes take turns at the batches, which are those of a single one, and all get the whole evaluation.

    Args:
        shuffles: under how many permutations each document is read; it is ordered by the mean of the scores.
        keeper: is given the scores.
        advance: is told how many documents were done since the last call, those of the other processes included.
        stop: asked before each batch; where it says so in one process, all stop, and return None.

    Raises:
        TrainingError: the model's scores are not numbers; a single document does not fit in memory.
    """
    was_training = model.training
    model.eval()
    batches = TokenBudgetBatches(corpus.tokens, batch_tokens).batches
    numbers = runtime.processes.share(range(len(batches)))
    share = load_shuffles(corpus, [batches[number] for number in numbers], seed, shuffles)
    common = int(np.bincount(corpus.sizes).argmax())
    parts: list[tuple[int, _Part]] = []
    stopped = False
    for number, shuffled in zip(numbers, share, strict=True):
        if stopped := stop():
            break
        for several, readings in read(model, shuffled, runtime):
            parts.append((number, _judged(model, several, readings, corpus, common, decoder, keeper)))
        advance(sum(map(len, batches[number : number + runtime.processes.count])))
    model.train(was_training)
    gathered = runtime.processes.gather((stopped, parts))
    if any(stopped for stopped, _ in gathered):
        return None
    in_order = sorted((part for _, parts in gathered for part in parts), key=itemgetter(0))
    return _merged([part for _, part in in_order], corpus)


@dataclass(frozen=True)
class _Part:
    """What was found of one batch; `given`, `order` and `right` as in `Evaluation`, by row of the corpus."""

    rows: list[int]
    counts: dict[str, IntArray]
    log_odds: FloatArray
    given: list[list[int]]
    order: list[list[int]]
    right: list[list[bool]]
    loss: float
    pairs: int
    changed: Tensor | None
    alike: int  # documents of the commonest number of sentences, of which the next two are sums
    probability_NN: Tensor | None
    confusion_NN: Tensor | None


def _judged(
    model: SentenceOrderer,
    shuffled: Sequence[Batch],
    readings: Sequence[Scores],
    corpus: Corpus,
    common: int,
    decoder: DecoderConfig,
    keeper: ScoreKeeper | None,
) -> _Part:
    """What the scores of a batch, under one shuffle or several, come to.

    Args:
        common: the commonest number of sentences in the corpus.
    """
    batch = shuffled[0]
    for scores in readings:
        _check_finite(scores, batch, corpus)
    scores = ensemble(readings, [(each["positions"], each["mask"]) for each in shuffled])
    positions_BS, mask_BS = batch["positions"], batch["mask"]
    loss, pairs = model.ordering_loss(scores, positions_BS, mask_BS)
    order_BS = _order(scores, batch, decoder)
    changed = None
    if len(shuffled) > 1:
        alone = [_order(reading, each, decoder) for reading, each in zip(readings, shuffled, strict=True)]
        # Each order is told by its texts' ranks, which are the same in all shuffles.
        texts = [each["text_rank"].gather(1, order) for each, order in zip(shuffled, alone, strict=True)]
        differs_BS = torch.stack([texts_BS != texts[0] for texts_BS in texts[1:]]).any(0)
        changed = (differs_BS & mask_BS).any(1)
    if keeper is not None:
        keeper.add(batch, scores)

    compared = (order_BS, positions_BS, mask_BS, batch["text_rank"])
    sizes = mask_BS.sum(1).tolist()
    alike = sizes.count(common)
    confusion_NN = probability_NN = None
    if alike:
        confusion_NN = alike * torch.from_numpy(position_confusion(*compared, length=common))
        if scores.logits is not None:
            probability_NN = _in_gold_order(scores.logits, positions_BS, mask_BS, common).sigmoid().sum(0)
    return _Part(
        rows=batch["document"].tolist(),
        counts=document_counts(*compared),
        log_odds=order_log_odds(scores, order_BS, mask_BS, batch["text_rank"]),
        given=_cut(positions_BS.tolist(), sizes),
        order=_cut(order_BS.tolist(), sizes),
        right=_cut(right_slots(*compared).tolist(), sizes),
        loss=loss.item(),
        pairs=int(pairs),
        changed=changed,
        alike=alike,
        probability_NN=probability_NN,
        confusion_NN=confusion_NN,
    )


def _order(scores: Scores, batch: Batch, decoder: DecoderConfig) -> Tensor:
    assert decoder.name is not None, "entry points fill it in"
    assert decoder.beam_width is not None, "entry points fill it in"
    return decode(decoder.name.value, scores, batch["mask"], batch["text_rank"], beam_width=decoder.beam_width)[0]


def _check_finite(scores: Scores, batch: Batch, corpus: Corpus) -> None:
    finite_B = torch.ones(len(batch["mask"]), dtype=torch.bool)
    for name in MATRICES:
        if name in scores:
            finite_B &= scores[name].isfinite().all(2).all(1)
    if not finite_B.all():
        ids = [corpus.documents[row]["id"] for row in batch["document"][~finite_B].tolist()]
        raise TrainingError(f"the model's logits are not finite for the documents {', '.join(ids[:20])}")


def _merged(parts: Sequence[_Part], corpus: Corpus) -> Evaluation:
    """The parts, whose documents come by length, as one."""
    rows = [row for part in parts for row in part.rows]
    back = np.argsort(rows)

    def in_order(name: str) -> list[Any]:
        values = [value for part in parts for value in getattr(part, name)]
        return [values[index] for index in back]

    alike = sum(part.alike for part in parts)
    probabilities = [part.probability_NN for part in parts if part.probability_NN is not None]
    confusions = [part.confusion_NN for part in parts if part.confusion_NN is not None]
    changed = [part.changed for part in parts if part.changed is not None]
    return Evaluation(
        counts={name: np.concatenate([part.counts[name] for part in parts])[back] for name in parts[0].counts},
        loss=sum(part.loss for part in parts) / max(sum(part.pairs for part in parts), 1),
        log_odds_D=np.concatenate([part.log_odds for part in parts])[back],
        given=in_order("given"),
        order=in_order("order"),
        right=in_order("right"),
        changed_D=torch.cat(changed).double().numpy()[back] if changed else None,
        common_documents=alike,
        pair_probability_NN=torch.stack(probabilities).sum(0) / alike if probabilities else None,
        confusion_NN=torch.stack(confusions).sum(0) / alike,
    )


def _cut(padded: list[list[Any]], sizes: list[int]) -> list[list[Any]]:
    return [values[:size] for values, size in zip(padded, sizes, strict=True)]


def _in_gold_order(logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor, size: int) -> Tensor:
    """The logits of the documents of `size` sentences, rows and columns by gold position (B, N, N)."""
    alike_B = mask_BS.sum(1) == size
    index_BN = positions_BS[alike_B, :size].argsort(1)
    return gather_matrix(logits_BSS[alike_B, :size, :size], index_BN, index_BN)
