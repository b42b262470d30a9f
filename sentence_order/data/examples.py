"""Makes an example of a document and a permutation, and stacks examples into a padded batch."""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sentence_order.arrays import IntArray

if TYPE_CHECKING:  # predictions need no corpus, and not the second that `datasets` takes to import
    from sentence_order.data.tokenization import Corpus

Example = dict[str, Tensor]
Batch = dict[str, Tensor]


def draw_permutation(seed: int, epoch: int | None, key: int, count: int) -> IntArray:
    """A uniform permutation of range(count) that is a pure function of (seed, epoch, the document's key).

    It sorts by numbers that are hashed from the three, and so is the same with every version of every library. Epochs
    count from 0; None stands for the one fixed shuffle of evaluation.
    """
    source = struct.pack("<3Q", seed, 0 if epoch is None else epoch + 1, key)
    return np.frombuffer(hashlib.shake_128(source).digest(8 * count), dtype="<u8").argsort(kind="stable")


def make_example(row: Mapping[str, Any], index: int, given: Sequence[int] | IntArray) -> Example:
    """Tensors of a document (see `Corpus.row`), in gold order or as the user wrote it: sentence `given[i]` comes i-th.

    `input_ids` (L), the sentences' tokens one after the other, or `prefix` (P, H), the frozen prefix's output for them;
    `lengths` (S) in tokens; `positions` (S) in gold, the target; `text_rank` (S), for ties; `document`, its `index` in
    the corpus, by which a batch can be traced back to its documents.
    """
    given = np.asarray(given, dtype=np.int64)
    lengths = np.asarray(row["lengths"], dtype=np.int64)
    if "states" in row:
        name, pieces = "prefix", row["states"]
    else:
        name, pieces = "input_ids", np.split(np.asarray(row["input_ids"], dtype=np.int64), lengths.cumsum()[:-1])
    return {
        "lengths": torch.from_numpy(lengths[given]),
        "positions": torch.from_numpy(given),
        "text_rank": torch.from_numpy(np.asarray(row["text_rank"], dtype=np.int64)[given]),
        "document": torch.scalar_tensor(index, dtype=torch.long),
        name: torch.from_numpy(np.concatenate([pieces[position] for position in given])),
    }


def load_example(corpus: "Corpus", index: int, seed: int, epoch: int | None) -> Example:
    """A document of a corpus under the permutation of (seed, epoch, its text)."""
    row = corpus.row(index)
    return make_example(row, index, draw_permutation(seed, epoch, int(corpus.keys[index]), len(row["lengths"])))


def collate(examples: Sequence[Example]) -> Batch:
    """Pads the examples at their ends and stacks them; the frozen prefix's output, if they have it, is packed.

    `input_ids_BL` or `prefix_PH`; `lengths_BS` (0 at padding), `positions_BS`, `text_rank_BS`, `mask_BS` (True where
    there is a sentence) and `document_B`, under the names without suffixes. Without examples the batch is empty.
    """
    if not examples:
        return {}
    # Token id 0 at padding is never read: the model packs the real tokens first, and knows them by the lengths.
    names = [name for name in ("input_ids", "lengths", "positions", "text_rank") if name in examples[0]]
    batch: Batch = {name: pad_sequence([e[name] for e in examples], batch_first=True) for name in names}
    if "prefix" in examples[0]:
        batch["prefix"] = torch.cat([e["prefix"] for e in examples])
    counts_B = torch.tensor([len(e["positions"]) for e in examples])
    batch["mask"] = torch.arange(batch["positions"].shape[1]) < counts_B[:, None]
    batch["document"] = torch.stack([e["document"] for e in examples])
    return batch


def padded_size(batch: Batch) -> int:
    """Tokens of a batch, padding included: its documents times the tokens of the longest one."""
    tokens_B = batch["lengths"].sum(1)
    return len(tokens_B) * int(tokens_B.max())


def slice_batch(batch: Batch, first: int, last: int) -> Batch:
    """The documents from `first` to before `last`, padded as if they had been collated alone."""
    sentences = int(batch["mask"][first:last].sum(1).max())
    tokens_B = batch["lengths"].sum(1)
    part = {name: tensor[first:last] for name, tensor in batch.items() if name != "prefix"}
    for name in part.keys() - {"document"}:
        part[name] = part[name][:, : int(tokens_B[first:last].max()) if name == "input_ids" else sentences]
    if "prefix" in batch:  # a row per token or, if the whole encoder is frozen, per sentence
        by_token = len(batch["prefix"]) == int(tokens_B.sum())
        ends = (tokens_B if by_token else batch["mask"].sum(1)).cumsum(0).tolist()
        part["prefix"] = batch["prefix"][ends[first - 1] if first else 0 : ends[last - 1]]
    return part


def split_batch(batch: Batch) -> list[Batch]:
    """Splits a batch of two documents or more into two."""
    documents = len(batch["mask"])
    return [slice_batch(batch, 0, documents // 2), slice_batch(batch, documents // 2, documents)]
