"""The class that users hold: a trained model that orders sentences."""

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from huggingface_hub import HfApi

from sentence_order.config.components import DECODERS
from sentence_order.config.validation import check_decoder
from sentence_order.data.batching import make_batches
from sentence_order.data.encoding import tokenize_documents
from sentence_order.data.examples import Example, collate, draw_permutation, make_example
from sentence_order.decoding.scores import MATRICES
from sentence_order.errors import UserError, counted
from sentence_order.inference.calibration import calibrate, order_log_odds
from sentence_order.inference.scoring import average_over_shuffles, decode_batch, score_with_oom_fallback
from sentence_order.model.checkpoint import find_checkpoint, load_model
from sentence_order.model.limits import check_fits, find_excess
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.files import atomic_folder
from sentence_order.runtime.manifest import CARD_FILE

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


class SentenceOrderer:
    """A model with its tokenizer, ready to order text.

    Example:
        >>> orderer = SentenceOrderer.from_pretrained("outputs/run")
        >>> orderer.order(["He ate it.", "Tom baked a cake."])
        [1, 0]
    """

    def __init__(self, model: SentenceOrdererModel, card: str | None = None) -> None:
        assert model.tokenizer is not None, "a model that orders text has a tokenizer"
        self.model = model.eval()
        self.card = card  # the text of the checkpoint's README.md, if it has one

    @classmethod
    def from_pretrained(cls, checkpoint: str | PathLike[str], **hub: Any) -> Self:
        """Loads a checkpoint, in evaluation mode and on the CPU.

        Args:
            checkpoint: its folder, a run's folder (whose best checkpoint is meant) or a hub id.
            **hub: for a hub id, arguments of `huggingface_hub.snapshot_download`, such as `revision` (a branch, tag or
                commit), `token`, `cache_dir` and `local_files_only`.

        Raises UserError if it is not a checkpoint of this program, or is damaged.
        """
        folder = find_checkpoint(str(checkpoint), **hub)
        card = folder / CARD_FILE
        return cls(load_model(folder), card.read_text(encoding="utf-8") if card.is_file() else None)

    def save_pretrained(self, folder: str | PathLike[str]) -> None:
        """Writes a checkpoint folder that loads with nothing else: weights, configuration, tokenizer, card, checksums.

        Raises OSError if it could not be written; an older folder of that name is as it was.
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
        message = commit_message or "Upload a sentence orderer"
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "checkpoint"
            self.save_pretrained(folder)
            return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message))

    def to(self, device: torch.device | str) -> Self:
        """Moves the model to a device."""
        self.model.to(device)
        return self

    def order(self, sentences: list[str]) -> list[int]:
        """The predicted order of one document: `order[k]` is the index of the k-th sentence, empty ones left out."""
        return self.predict([sentences])[0].order

    def find_excess(self, sentences: list[str]) -> str | None:
        """What a document has too much of to be ordered, or None."""
        config, count, tokens = self.model.config, sum(bool(s.strip()) for s in sentences), 0
        if config.depends_on_input_order:
            tokens = len(self._tokenize([sentences])["input_ids"][0])
        return find_excess(config, count, tokens)

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
            decoder, beam_width: by default those of the model's training.
            batch_tokens: the number of tokens that the model reads at once.
            shuffles: score each document under this number of permutations, the first being the input order, and order
                it by the mean of the scores. Only useful for a model that depends on the input order.
            runtime: device and precision; by default fp32, where the model is.
            advance: called with the number of documents that were done since the last call.

        Raises UserError if the decoder does not fit the model, a document is too long for it, or its scores are NaN;
        TrainingError if a single document does not fit in memory.
        """
        config, runtime = self.model.config, runtime or Runtime(self.model.device)
        decoder, beam_width = decoder or config.decoder, beam_width or config.beam_width
        if decoder not in DECODERS:
            raise UserError(f"unknown decoder {decoder!r}. Available: {', '.join(DECODERS)}")
        check_decoder(decoder, set(config.heads))
        self.model.eval()

        columns = self._tokenize(documents)
        if cut := sum(columns["cut"]):
            log.info("%s truncated to %d tokens", counted(cut, "sentence"), config.max_sentence_tokens)
        orders: list[list[int]] = [*columns["kept"]]
        confidences = [1.0] * len(documents)
        rows = [i for i, kept in enumerate(orders) if len(kept) > 1]
        advance(len(documents) - len(rows))
        tokens = np.array([len(columns["input_ids"][i]) for i in rows], dtype=np.int64)
        check_fits(config, tokens, np.array([len(orders[i]) for i in rows]), "input")

        for batch_rows in make_batches(tokens, batch_tokens):
            chosen = [rows[k] for k in batch_rows]
            batches = [collate([_example(columns, i, n) for i in chosen]) for n in range(shuffles)]
            for parts, scores_per_shuffle in score_with_oom_fallback(self.model, batches, runtime):
                scores, batch = average_over_shuffles(scores_per_shuffle, parts), parts[0]
                if any(scores[name].isnan().any() for name in MATRICES if name in scores):
                    raise UserError("checkpoint: its scores are NaN; it is damaged, or its training failed")
                order_BS, _ = decode_batch(decoder, scores, batch, beam_width)
                log_odds_B = order_log_odds(scores, order_BS, batch["mask"], batch["text_rank"])
                confidence_B = calibrate(log_odds_B, config.calibration)

                for row, i in enumerate(batch["document"].tolist()):
                    kept = orders[i]
                    orders[i] = [kept[k] for k in order_BS[row, : len(kept)].tolist()]
                    confidences[i] = float(confidence_B[row])
            advance(len(chosen))

        texts = [[document[k] for k in order] for document, order in zip(documents, orders, strict=True)]
        return [Prediction(*predicted) for predicted in zip(orders, texts, confidences, strict=True)]

    def _tokenize(self, documents: list[list[str]]) -> dict[str, list[Any]]:
        limits = self.model.config.max_sentence_tokens, self.model.config.strip_enumeration
        return tokenize_documents(documents, self.model.tokenizer, None, *limits)


def _example(columns: dict[str, list[Any]], i: int, shuffle: int) -> Example:
    """Document i under one of its permutations; number 0 is the input order."""
    row = {name: column[i] for name, column in columns.items()}
    count = row["count"]
    return make_example(row, i, draw_permutation(0, shuffle, row["key"], count) if shuffle else range(count))
