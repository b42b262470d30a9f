"""The class that users hold: a trained model that orders sentences."""

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from huggingface_hub import HfApi

from sentence_order.arrays import IntArray
from sentence_order.config.components import DECODERS
from sentence_order.config.validation import check_decoder
from sentence_order.data.batching import TokenBudgetBatches
from sentence_order.data.examples import collate, draw_permutation, make_example
from sentence_order.data.tokenization import document_key, tokenize_documents
from sentence_order.decoding.scores import MATRICES, Scores
from sentence_order.errors import UserError
from sentence_order.inference.calibration import calibrate, order_log_odds
from sentence_order.inference.scoring import average_over_shuffles, decode_batch, score_with_oom_fallback
from sentence_order.model.checkpoint import CARD_FILE, find_checkpoint, load_model
from sentence_order.model.limits import check_fits
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.files import atomic_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """The predicted order of one document.

    Attributes:
        order: `order[k]` is the index, in the input, of the k-th sentence. Empty sentences are left out.
        sentences: the sentences in that order.
        confidence: the calibrated probability that the whole order is right.
    """

    order: list[int]
    sentences: list[str]
    confidence: float


class SentenceOrderer:
    """A model with its tokenizer, ready to order text.

    Example:
        >>> orderer = SentenceOrderer.from_pretrained("outputs/run")
        >>> orderer.order(["He ate it.", "Tom baked a cake."])
        [1, 0]

    Attributes:
        model: scores tokenised documents; a `transformers.PreTrainedModel`.
        card: the text of the checkpoint's README.md, if it has one.
    """

    def __init__(self, model: SentenceOrdererModel, card: str | None = None) -> None:
        assert model.tokenizer is not None, "a model that orders text has a tokenizer"
        self.model, self.card = model.eval(), card

    @classmethod
    def from_pretrained(cls, checkpoint: str | PathLike[str], **hub: Any) -> Self:
        """Loads a checkpoint: its folder, a run's folder (whose best checkpoint is meant) or a hub id.

        Args:
            hub: options of `huggingface_hub.snapshot_download`, such as `revision` and `token`.

        Raises:
            UserError: it is not a checkpoint of this program, or is damaged.
        """
        folder = find_checkpoint(str(checkpoint), **hub)
        card = folder / CARD_FILE
        return cls(load_model(folder), card.read_text(encoding="utf-8") if card.is_file() else None)

    def save_pretrained(self, folder: str | PathLike[str]) -> None:
        """Writes a checkpoint folder that loads with nothing else: weights, configuration, tokenizer, card, checksums.

        Raises:
            OSError: it could not be written; an older folder of that name is as it was.
        """
        with atomic_folder(Path(folder)) as fresh:
            self.model.save_pretrained(fresh)
            if self.card is not None:
                (fresh / CARD_FILE).write_text(self.card, encoding="utf-8")

    def push_to_hub(
        self, repo_id: str, *, private: bool | None = None, token: str | None = None, commit_message: str | None = None
    ) -> str:
        """Uploads the checkpoint as one commit, to a repository that is made if there is none; returns its address."""
        api = HfApi(token=token)
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        with tempfile.TemporaryDirectory() as place:
            self.save_pretrained(Path(place) / "checkpoint")
            message = commit_message or "Upload a sentence orderer"
            return str(
                api.upload_folder(repo_id=repo_id, folder_path=Path(place) / "checkpoint", commit_message=message)
            )

    def to(self, device: torch.device | str) -> Self:
        """Moves the model to a device."""
        self.model.to(device)
        return self

    def order(self, sentences: list[str]) -> list[int]:
        """The predicted order of one document: `order[k]` is the index of the k-th sentence.

        Empty sentences are left out.
        """
        return self.predict([sentences])[0].order

    def predict(
        self,
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
            documents: lists of sentences, of any number and length; long sentences are truncated.
            decoder: one that reads the scores of the model's heads; by default the one of its training.
            beam_width: of a beam search; by default that of its training.
            batch_tokens: the number of tokens that the model reads at once.
            shuffles: score each document under this number of permutations, the first being the input order, and order
                it by the mean of the scores. Only useful for a model that depends on the input order.
            advance: called with the number of documents that were done since the last call.

        Raises:
            UserError: the decoder does not fit the model, a document is too long for it, or its scores are NaN.
            TrainingError: a single document does not fit in memory.
        """
        config, runtime = self.model.config, runtime or Runtime(self.model.device)
        decoder, beam_width = decoder or config.decoder, beam_width or config.beam_width
        if decoder not in DECODERS:
            raise UserError(f"unknown decoder {decoder!r}. Available: {', '.join(DECODERS)}")
        check_decoder(decoder, set(config.heads))
        self.model.eval()

        columns = tokenize_documents(documents, self.model.tokenizer, None, config.max_sentence_tokens)
        if cut := sum(columns["cut"]):
            log.info("%d sentences truncated to %d tokens", cut, config.max_sentence_tokens)
        kept: list[list[int]] = columns["kept"]
        predictions = [_prediction(documents[i], kept[i], 1.0) for i in range(len(documents))]
        advance(sum(len(indices) < 2 for indices in kept))

        rows = np.array([i for i in range(len(documents)) if len(kept[i]) > 1], dtype=np.int64)
        tokens = np.array([len(columns["input_ids"][i]) for i in rows], dtype=np.int64)
        check_fits(config, tokens, np.array([len(kept[i]) for i in rows]), "input")

        for batch_rows in TokenBudgetBatches(tokens, batch_tokens):
            chosen = [int(rows[k]) for k in batch_rows]
            batches = [
                collate([make_example(_row(columns, i), i, _shuffle(documents[i], kept[i], number)) for i in chosen])
                for number in range(shuffles)
            ]
            for parts, scores_per_shuffle in score_with_oom_fallback(self.model, batches, runtime):
                scores = average_over_shuffles(
                    scores_per_shuffle, [(part["positions"], part["mask"]) for part in parts]
                )
                _check_numbers(scores)
                order_BS, _ = decode_batch(decoder, scores, parts[0], beam_width)
                log_odds_B = order_log_odds(scores, order_BS, parts[0]["mask"], parts[0]["text_rank"])
                confidence_B = calibrate(log_odds_B, config.calibration).tolist()

                found = zip(parts[0]["document"].tolist(), order_BS.tolist(), confidence_B, strict=True)
                for i, order, confidence in found:
                    order_kept = [kept[i][k] for k in order[: len(kept[i])]]
                    predictions[i] = _prediction(documents[i], order_kept, confidence)
            advance(len(chosen))
        return predictions


def _check_numbers(scores: Scores) -> None:
    for name in MATRICES:
        if name in scores and scores[name].isnan().any():
            raise UserError("checkpoint: its scores are NaN; it is damaged, or its training failed")


def _row(columns: dict[str, list[Any]], document: int) -> dict[str, Any]:
    return {name: columns[name][document] for name in ("input_ids", "lengths", "text_rank")}


def _shuffle(sentences: list[str], kept: list[int], number: int) -> Sequence[int] | IntArray:
    """A permutation of a document's sentences; number 0 is the input order."""
    if number == 0:
        return range(len(kept))
    return draw_permutation(0, number, document_key("\n".join(sentences[i] for i in kept)), len(kept))


def _prediction(sentences: list[str], order: list[int], confidence: float) -> Prediction:
    return Prediction(order, [sentences[i] for i in order], confidence)
