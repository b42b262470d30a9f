"""The file in which an evaluation keeps its scores, so that decoders can be compared without the model.

Documents are of many lengths, so their matrices lie in flat tensors, one document after the other.

Shape suffixes: B documents of one length, S sentences of each, T = 1 + S.
"""

import json
import time
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sentence_order.data.readers import no_file
from sentence_order.decoding import decode, decoders_for
from sentence_order.errors import UserError, first_line
from sentence_order.files import atomic_file
from sentence_order.metrics import document_counts, metrics_of
from sentence_order.scores import MATRICES, Scores
from sentence_order.statistics import with_intervals

FORMAT = "sentence_order scores 1"


class ScoreKeeper:
    """Collects the scores of batches; `save` writes them."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[Tensor]] = {}

    def add(self, batch: dict[str, Tensor], scores: Scores) -> None:
        """Takes what is real of a padded batch."""
        assert scores.pointer is None, "a pointer has no scores that could be kept"
        for row, size in enumerate(batch["mask"].sum(1).tolist()):
            kept = {name: batch[name][row, :size] for name in ("positions", "text_rank")}
            for name in MATRICES:
                if name in scores:
                    side = size + 1 if name == "next_log_probs" else size
                    kept[name] = scores[name][row, :side, :side].flatten()
            kept |= {"size": torch.tensor([size]), "document": batch["document"][row, None]}
            for name, values in kept.items():
                self._pieces.setdefault(name, []).append(values)

    def save(self, path: Path, ids: list[str], about: dict[str, Any]) -> None:
        """Writes the file; `ids` are those of the corpus, by row."""
        tensors = {name: torch.cat(pieces).contiguous() for name, pieces in self._pieces.items()}
        metadata = {"format": FORMAT, "ids": json.dumps(ids), "about": json.dumps(about)}
        with atomic_file(path) as stream:
            assert isinstance(stream, TextIOWrapper)
            stream.buffer.write(save(tensors, metadata))


class KeptScores:
    """An open file of scores.

    Attributes:
        ids: of the documents.
        about: what they were made with: the checkpoint, the split, its decoder.
    """

    def __init__(self, path: str) -> None:
        """Raises UserError where it is none."""
        if problem := no_file(path):
            raise UserError(f"scores: {path} could not be read: {problem}")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                self._tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise UserError(f"scores: {path} could not be read: {first_line(error)}") from error
        if metadata.get("format") != FORMAT:
            raise UserError(f"scores: {path} holds no scores; evaluate with scores=FILE writes such a file")
        try:
            self.ids: list[str] = json.loads(metadata["ids"])
            self.about: dict[str, Any] = json.loads(metadata["about"])
            self._check()
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"scores: {path} is damaged: {first_line(error)}") from error

    def _check(self) -> None:
        """Raises ValueError where the tensors do not fit each other, or cannot be what an evaluation has kept."""
        if not isinstance(self.ids, list) or not isinstance(self.about, dict):
            raise ValueError("its ids or what is told about them are not as they are written")
        missing = [name for name in ("size", "document", "positions", "text_rank") if name not in self._tensors]
        if missing or not set(self._tensors) & set(MATRICES):
            raise ValueError(f"there is no {(missing or ['score'])[0]}")
        for name, values in self._tensors.items():
            if values.ndim != 1 or (name not in MATRICES and values.dtype != torch.int64):
                raise ValueError(f"'{name}' is not as it is written")
        size_D = self._tensors["size"]
        if not len(size_D) or size_D.min() < 2 or size_D.max() > 2**20:
            raise ValueError("a document has fewer than two sentences")
        if not torch.equal(self._tensors["document"].sort().values, torch.arange(len(self.ids))):
            raise ValueError("its documents are not those of its ids")
        lengths = {"size": len(size_D), "document": len(size_D), "positions": int(size_D.sum())}
        lengths |= {"text_rank": lengths["positions"], **dict.fromkeys(MATRICES, int((size_D**2).sum()))}
        lengths["next_log_probs"] = int(((size_D + 1) ** 2).sum())
        for name, values in self._tensors.items():
            if len(values) != lengths.get(name):
                raise ValueError(f"'{name}' does not fit the number of sentences of its documents")
            if name in MATRICES and values.isnan().any():
                raise ValueError(f"'{name}' is not all numbers")
        for batch, _ in self.batches():
            size = batch["positions"].shape[1]
            if not torch.equal(batch["positions"].sort(1).values, torch.arange(size).expand_as(batch["positions"])):
                raise ValueError("the positions of a document are none")

    def batches(self) -> Iterator[tuple[dict[str, Tensor], Scores]]:
        """All documents of one length at a time: `positions`, `text_rank`, `mask` and `document`, and their scores."""
        size_D = self._tensors["size"]
        for size in size_D.unique().tolist():
            rows = size_D == size
            batch = {name: self._of_length(name, size, rows) for name in ("positions", "text_rank")}
            batch["mask"] = torch.ones_like(batch["positions"], dtype=torch.bool)
            batch["document"] = self._tensors["document"][rows]
            names = [name for name in MATRICES if name in self._tensors]
            kept: dict[str, Any] = {name: self._matrices(name, size, rows) for name in names}
            yield batch, Scores(**kept)

    def decoders(self) -> list[str]:
        """The decoders that the scores suffice for."""
        return decoders_for(next(self.batches())[1])

    def _of_length(self, name: str, size: int, rows: Tensor, power: int = 1, more: int = 0) -> Tensor:
        """(B, (size + more) ** power): the values of some documents, whose length is `size`."""
        count_D = (self._tensors["size"] + more) ** power
        chosen = rows.repeat_interleave(count_D)
        return self._tensors[name][chosen].view(-1, (size + more) ** power)

    def _matrices(self, name: str, size: int, rows: Tensor) -> Tensor:
        more = 1 if name == "next_log_probs" else 0
        return self._of_length(name, size, rows, 2, more).view(-1, size + more, size + more)


def decode_all(kept: KeptScores, decoder: str, beam_width: int, resamples: int, seed: int) -> dict[str, Any]:
    """What a decoder makes of all documents: every metric with its interval, the mean objective in nats, seconds."""
    counts, objectives, rows, seconds = [], [], [], 0.0
    for batch, scores in kept.batches():
        started = time.perf_counter()
        order_BS, objective_B = decode(decoder, scores, batch["mask"], batch["text_rank"], beam_width=beam_width)
        seconds += time.perf_counter() - started
        counts.append(document_counts(order_BS, batch["positions"], batch["mask"], batch["text_rank"]))
        objectives.append(objective_B)
        rows.append(batch["document"])
    back = torch.cat(rows).argsort().numpy()  # in the corpus's order, so that intervals are those of `evaluate`
    joined = {name: np.concatenate([batch[name] for batch in counts])[back] for name in counts[0]}
    return {
        "documents": len(joined["sentences"]),
        "seconds": round(seconds, 4),
        "objective": torch.cat(objectives).mean().item(),
        **with_intervals(metrics_of(joined), resamples=resamples, seed=seed),
    }
