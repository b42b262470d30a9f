"""The class that users hold: a trained model that orders sentences."""

import os
import tempfile
from collections.abc import Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Self

import torch
from huggingface_hub import HfApi

from sentence_order.config.keys import expand_home
from sentence_order.config.parsing import config_from
from sentence_order.config.schema import Precision, PredictConfig
from sentence_order.config.validation import check_ranges
from sentence_order.data.memory import Documents, check_sentences, collect_documents
from sentence_order.inference.details import Details, OrderProbability
from sentence_order.inference.ordering import Prediction, find_order_probability, order_documents
from sentence_order.model.checkpoint import find_checkpoint, load_model
from sentence_order.model.linear import place_model
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.console import progress_bar
from sentence_order.runtime.device import Runtime, choose_runtime
from sentence_order.runtime.files import atomic_folder
from sentence_order.runtime.manifest import CARD_FILE

MANY_DOCUMENTS = 1000


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
        folder = find_checkpoint(expand_home("checkpoint", os.fspath(checkpoint)), **hub)
        card = folder / CARD_FILE
        return cls(load_model(folder), card.read_text(encoding="utf-8") if card.is_file() else None)

    def save_pretrained(self, folder: str | PathLike[str]) -> None:
        """Writes a checkpoint folder that loads with nothing else: weights, configuration, tokenizer, card, checksums.

        Raises OSError if it could not be written; an older folder of that name is as it was.
        """
        with atomic_folder(Path(folder).expanduser()) as fresh:
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

    def order(self, sentences: Sequence[str]) -> list[int]:
        """The predicted order of one document: `order[k]` is the index of the k-th sentence, empty ones left out.

        Raises TypeError for what is no list of texts, and UserError as `predict` does.
        """
        return self.predict([check_sentences(sentences)])[0].order

    def predict(
        self,
        documents: Documents,
        *,
        decoder: str | None = None,
        beam_width: int | None = None,
        batch_tokens: int = 4096,
        shuffles: int = 1,
        top_k: int = 0,
        pairs: bool = False,
        neighbours: bool = False,
        precision: str = "fp32",
        show_progress: bool | None = None,
    ) -> list[Prediction]:
        """Predicts the order of every document.

        Args:
            documents: lists of sentences, of any number and length, or dicts with the field `sentences`, such as those
                of a `datasets.Dataset`; long sentences are truncated.
            decoder, beam_width: by default those of the model's training.
            batch_tokens: the number of tokens that the model reads at once.
            shuffles: score each document under this number of permutations, the first being the input order, and order
                it by the mean of the scores. Only useful for a model that depends on the input order.
            top_k, pairs, neighbours: fill these fields of `Prediction`: this number of likeliest orders, and the
                probabilities of pairs and of neighbours.
            precision: `fp32`, `bf16`, `fp16` or `auto`; the device is that of the model, see `to`.
            show_progress: show a progress bar; None: for many documents.

        Raises TypeError for what are no documents; UserError if the decoder does not fit the model, a document is too
        long for it, or its scores are NaN; TrainingError if a single document does not fit in memory.
        """
        texts = [document.sentences for document in collect_documents(documents, "documents")]
        values = {
            "checkpoint": "",
            "input": "",
            "decoder": {"name": decoder, "beam_width": beam_width},
            "batch_tokens": batch_tokens,
            "shuffles": shuffles,
            "top_k": top_k,
            "pairs": pairs,
            "neighbours": neighbours,
            "precision": precision,
        }
        config = config_from(values, PredictConfig)
        check_ranges(config)

        details = Details.of(config)
        details.log_missing(self.model.config)
        order = partial(
            order_documents,
            *(self.model, texts, self._runtime(config.precision)),
            decoder=config.decoder.name and config.decoder.name.value,
            beam_width=config.decoder.beam_width,
            batch_tokens=config.batch_tokens,
            shuffles=config.shuffles,
            details=details,
        )
        if not (len(texts) >= MANY_DOCUMENTS if show_progress is None else show_progress):
            return order()
        with progress_bar(transient=True) as bar:
            task = bar.add_task("ordering", total=len(texts), unit="documents", note="")
            return order(advance=partial(bar.advance, task))

    def probability(self, sentences: Sequence[str], order: Sequence[int]) -> OrderProbability:
        """How likely an order of a document is, such as one of your own, and which of its pairs the model doubts.

        Args:
            order: `order[k]` is the index of the k-th sentence, each once; empty sentences may have no place.

        Example:
            >>> orderer.probability(["He ate it.", "Tom baked a cake."], [0, 1]).doubted_pairs
            [DoubtedPair(first=0, second=1, probability=0.04)]

        Raises TypeError for what is no list of texts; UserError for an order of other indices, and as `predict` does.
        """
        return find_order_probability(self.model, check_sentences(sentences), order, self._runtime(Precision.fp32))

    def _runtime(self, precision: Precision) -> Runtime:
        return place_model(self.model, choose_runtime(str(self.model.device), precision))
