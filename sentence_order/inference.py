"""Orders documents of which nobody knows the order: the way of `predict` and of the Python API.

Shape suffixes: B documents, S sentences (padded), T = 1 + S.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sentence_order.data.batching import TokenBudgetBatches
from sentence_order.data.examples import collate, make_example
from sentence_order.data.tokenization import tokenize_documents
from sentence_order.decoding import decode
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.runtime import Runtime

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """What the model says of one document.

    Attributes:
        order: `order[k]` is the index, in the list that was given, of the sentence that stands k-th. Empty sentences
            are left out.
        sentences: the sentences in that order, as they were given.
        confidence: the mean probability, over all pairs, that two sentences stand as predicted: a guess has 0.5.
    """

    order: list[int]
    sentences: list[str]
    confidence: float


def predict(
    model: SentenceOrderer,
    documents: list[list[str]],
    *,
    decoder: str | None = None,
    beam_width: int = 64,
    batch_tokens: int = 4096,
    runtime: Runtime | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Prediction]:
    """Predicts the order of every document.

    Args:
        documents: lists of sentences, of any number and length; sentences longer than the model's maximum are cut.
        decoder: "exact", "beam" or "borda"; by default the one that the model was trained with.
        batch_tokens: how many tokens go through the model at once.
        advance: is told how many documents were done since the last call.
    """
    assert model.tokenizer is not None, (
        "load the model with SentenceOrderer.from_pretrained, which brings its tokenizer"
    )
    runtime = runtime or Runtime(model.device, bf16=False)
    model.eval()
    columns = tokenize_documents(documents, model.tokenizer, None, model.config.max_sentence_tokens)
    if cut := sum(columns["cut"]):
        log.info("%d sentences cut to %d tokens", cut, model.config.max_sentence_tokens)
    kept: list[list[int]] = columns["kept"]
    predictions = [_as_given(documents[i], kept[i], 1.0) for i in range(len(documents))]
    advance(sum(len(indices) < 2 for indices in kept))

    rows = np.array([i for i in range(len(documents)) if len(kept[i]) > 1], dtype=np.int64)
    lengths = np.array([len(columns["input_ids"][i]) for i in rows], dtype=np.int64)
    for batch_rows in TokenBudgetBatches(lengths, batch_tokens):
        chosen = [int(rows[k]) for k in batch_rows]
        given = [{name: columns[name][i] for name in ("input_ids", "lengths", "text_rank")} for i in chosen]
        batch = collate(
            [make_example(row, i, range(len(row["lengths"]))) for i, row in zip(chosen, given, strict=True)]
        )
        logits_BSS, next_BTT = score(model, batch, runtime)
        name = decoder or model.config.decoder
        order_BS, _ = decode(name, logits_BSS, next_BTT, batch["mask"], batch["text_rank"], beam_width=beam_width)
        confidence_B = pair_confidence(logits_BSS, order_BS, batch["mask"])
        for i, order, confidence in zip(chosen, order_BS.tolist(), confidence_B.tolist(), strict=True):
            order_kept = [kept[i][k] for k in order[: len(kept[i])]]
            predictions[i] = _as_given(documents[i], order_kept, confidence)
        advance(len(chosen))
    return predictions


@torch.inference_mode()
def score(model: SentenceOrderer, batch: dict[str, Tensor], runtime: Runtime) -> tuple[Tensor, Tensor | None]:
    """The pair logits (B, S, S) and the log-probabilities of neighbours (B, T, T) of a batch, on the CPU in float32.

    The gold positions do not go in.
    """
    inputs = {
        name: batch[name].to(runtime.device, non_blocking=True)
        for name in ("input_ids", "lengths", "prefix")
        if name in batch
    }
    with runtime.autocast():
        output = model(**inputs)
    assert isinstance(output.logits, Tensor)
    next_BTT = output.next_log_probs
    return output.logits.cpu(), None if next_BTT is None else next_BTT.cpu()


def pair_confidence(logits_BSS: Tensor, order_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """Mean probability of the pairs as ordered (B): 1 where there is no pair."""
    index_BSS = order_BS[:, :, None].expand_as(logits_BSS)
    ordered_BSS = logits_BSS.gather(1, index_BSS).gather(2, order_BS[:, None, :].expand_as(logits_BSS))
    pair_BSS = (mask_BS[:, :, None] & mask_BS[:, None, :]).triu(diagonal=1)  # padding stays last in an order
    count_B = pair_BSS.sum((1, 2))
    total_B = (ordered_BSS.sigmoid() * pair_BSS).sum((1, 2))
    return torch.where(count_B > 0, total_B / count_B.clamp(min=1), torch.ones_like(total_B))


def _as_given(sentences: list[str], order: list[int], confidence: float) -> Prediction:
    return Prediction(order, [sentences[i] for i in order], confidence)
