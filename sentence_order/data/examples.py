"""Makes an example of a document and a permutation, and stacks examples into a padded batch.

Shape suffixes: B documents, S sentences (padded), L tokens of a document (padded).
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sentence_order.data.tokenization import Corpus

Row = Mapping[str, Any]  # one row of a Corpus
Example = dict[str, Tensor]
Batch = dict[str, Tensor]

# What padding holds in each of a batch's tensors. Token id 0 is never read: the model packs the real tokens first.
PADDING = {"input_ids": 0, "sentence_index": -1, "positions": 0, "text_rank": 0}


def draw_permutation(seed: int, epoch: int | None, document_id: str, count: int) -> list[int]:
    """A uniform permutation of range(count) that is a pure function of (seed, epoch, document id).

    Args:
        epoch: counts from 0 in training; None stands for the one fixed shuffle of evaluation.
    """
    digest = hashlib.blake2b(document_id.encode(), digest_size=8).digest()
    key = (seed, 0 if epoch is None else epoch + 1, int.from_bytes(digest, "little"))
    return np.random.default_rng(key).permutation(count).tolist()


def make_example(row: Row, index: int, given: Sequence[int]) -> Example:
    """Per-sample tensors of one document whose sentences are given in a certain order.

    Args:
        row: tokenised sentences in gold order (or as the user wrote them).
        index: the document's row in its corpus, so that a batch can be traced back to its documents.
        given: `given[i]` is the gold position of the sentence that is given i-th.

    Returns:
        `input_ids` and `sentence_index` (L), the latter naming the given sentence of each token; `positions` (S), the
        gold position of each given sentence: the target; `text_rank` (S), for ties; `document`, the row.
    """
    ends = np.cumsum(row["lengths"])
    starts = ends - row["lengths"]
    pieces = [row["input_ids"][starts[position] : ends[position]] for position in given]
    positions = torch.tensor(given, dtype=torch.long)
    return {
        "input_ids": torch.tensor([token for piece in pieces for token in piece], dtype=torch.long),
        "sentence_index": torch.arange(len(given)).repeat_interleave(torch.tensor([len(piece) for piece in pieces])),
        "positions": positions,
        "text_rank": torch.tensor(row["text_rank"], dtype=torch.long)[positions],
        "document": torch.tensor(index),
    }


def collate(examples: Sequence[Example]) -> Batch:
    """Pads the examples at their ends and stacks them.

    Returns:
        `input_ids_BL` and `sentence_index_BL` (-1 at padding), `positions_BS`, `text_rank_BS`, `mask_BS` (True where
        there is a sentence) and `document_B`, under the names without suffixes.
    """
    batch = {
        name: torch.nn.utils.rnn.pad_sequence([e[name] for e in examples], batch_first=True, padding_value=padding)
        for name, padding in PADDING.items()
    }
    counts_B = torch.tensor([len(e["positions"]) for e in examples])
    batch["mask"] = torch.arange(batch["positions"].shape[1]) < counts_B[:, None]
    batch["document"] = torch.stack([e["document"] for e in examples])
    return batch


class Examples(Dataset[Example]):
    """The examples of one epoch: document k under the permutation of (seed, epoch, its id)."""

    def __init__(self, corpus: Corpus, seed: int, epoch: int | None) -> None:
        self.corpus, self.seed, self.epoch = corpus, seed, epoch
        self.rows = corpus.documents.select_columns(["id", "input_ids", "lengths", "text_rank"])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        row = self.rows[index]
        return make_example(row, index, draw_permutation(self.seed, self.epoch, row["id"], len(row["lengths"])))
