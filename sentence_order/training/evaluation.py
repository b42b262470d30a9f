"""Runs a model over a corpus under its fixed shuffle and collects what the metrics and pictures need.

Gold positions meet the predicted order in the metrics and in the loss, and nowhere before: neither the model nor a
decoder ever sees them.

Shape suffixes: B documents, S sentences (padded), T = 1 + S, N sentences of documents of one length.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sentence_order.config import DecoderConfig
from sentence_order.data.batching import load_batches
from sentence_order.data.tokenization import Corpus
from sentence_order.decoding import decode
from sentence_order.errors import TrainingError
from sentence_order.inference import score
from sentence_order.losses import OrderingLoss, ordering_loss
from sentence_order.metrics import RatioArray, concatenate, document_metrics, position_confusion, summarise
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.runtime import Runtime


@dataclass(frozen=True)
class Evaluation:
    """What was found, one entry a document of the corpus and in its order.

    Attributes:
        parts: every metric as numerators and denominators.
        loss: of all pairs and neighbours of the corpus, per pair.
        given: `given[d][i]` is the gold position of the i-th given sentence.
        order: `order[d][k]` is the index, among the given sentences, of the one predicted to stand k-th.
        common_documents: how many documents have the commonest number of sentences, N; the next two are theirs.
        pair_probability_NN: the mean probability that the sentence of gold position i comes before that of position j.
        confusion_NN: the share of the sentences of gold position i that were put at position j.
    """

    parts: dict[str, RatioArray]
    loss: float
    given: list[list[int]]
    order: list[list[int]]
    common_documents: int
    pair_probability_NN: Tensor
    confusion_NN: Tensor

    def summary(self) -> dict[str, float]:
        """The corpus value of every metric."""
        return summarise(self.parts)


def evaluate_corpus(
    model: SentenceOrderer,
    corpus: Corpus,
    decoder: DecoderConfig,
    runtime: Runtime,
    *,
    seed: int,
    batch_tokens: int,
    loss: OrderingLoss = ordering_loss,
    advance: Callable[[int], None] = lambda count: None,
) -> Evaluation:
    """Orders every document of a corpus, each under the permutation of (seed, document id), and scores it.

    Args:
        advance: is told how many documents were done since the last call.

    Raises:
        TrainingError: the model's logits are not numbers.
    """
    assert decoder.name is not None, "entry points fill it in"
    was_training = model.training
    model.eval()
    given: list[list[int]] = [[]] * len(corpus)
    orders: list[list[int]] = [[]] * len(corpus)
    parts, rows, losses, counts = [], [], 0.0, 0
    common = int(np.bincount(corpus.sizes).argmax())
    probability_NN, confusion_NN, alike = torch.zeros(common, common), torch.zeros(common, common), 0
    for batch in load_batches(corpus, batch_tokens, seed):
        positions_BS, mask_BS, text_rank_BS = batch["positions"], batch["mask"], batch["text_rank"]
        logits_BSS, next_BTT = score(model, batch, runtime)
        finite_B = logits_BSS.isfinite().all(2).all(1)
        broken_B = ~(finite_B if next_BTT is None else finite_B & next_BTT.isfinite().all(2).all(1))
        if broken_B.any():
            ids = [corpus.documents[row]["id"] for row in batch["document"][broken_B].tolist()]
            raise TrainingError(f"the model's logits are not finite for the documents {', '.join(ids[:20])}")
        order_BS, _ = decode(
            decoder.name.value, logits_BSS, next_BTT, mask_BS, text_rank_BS, beam_width=decoder.beam_width
        )
        total, count = loss(logits_BSS, next_BTT, positions_BS, mask_BS)
        losses, counts = losses + total.item(), counts + int(count)
        parts.append(document_metrics(order_BS, positions_BS, mask_BS, text_rank_BS))
        rows += batch["document"].tolist()
        sizes = mask_BS.sum(1).tolist()
        for row, size, position, order in zip(
            batch["document"].tolist(), sizes, positions_BS.tolist(), order_BS.tolist(), strict=True
        ):
            given[row], orders[row] = position[:size], order[:size]
        if found := sizes.count(common):
            alike += found
            probability_NN += _in_gold_order(logits_BSS, positions_BS, mask_BS, common).sigmoid().sum(0)
            share_NN = position_confusion(order_BS, positions_BS, mask_BS, text_rank_BS, length=common)
            confusion_NN += found * torch.from_numpy(share_NN)
        advance(len(mask_BS))
    model.train(was_training)
    corpus_order = np.argsort(rows)
    merged = {
        name: RatioArray(part.numerator[corpus_order], part.denominator[corpus_order])
        for name, part in concatenate(parts).items()
    }
    return Evaluation(
        merged, losses / max(counts, 1), given, orders, alike, probability_NN / alike, confusion_NN / alike
    )


def _in_gold_order(logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor, size: int) -> Tensor:
    """The logits of the documents of `size` sentences, rows and columns by gold position (B, N, N)."""
    alike_B = mask_BS.sum(1) == size
    index_BN = positions_BS[alike_B, :size].argsort(1)
    rows_BNN = logits_BSS[alike_B, :size, :size].gather(1, index_BN[:, :, None].expand(-1, -1, size))
    return rows_BNN.gather(2, index_BN[:, None, :].expand(-1, size, -1))
