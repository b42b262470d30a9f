"""Makes a padded batch of documents, each in the order in which the model is to read it; slices and splits batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from sentence_order.arrays import FloatArray, IntArray

Batch = dict[str, Tensor]

# What a training step reads of a batch on the device; `lengths`, by which it is laid out, are read on the host.
READ_ON_DEVICE = ("input_ids", "prefix", "positions", "mask")


@dataclass(frozen=True)
class CachedHiddenStates:
    """The output of a model's frozen prefix for each sentence of some documents, which replaces their token ids."""

    # Arrays (rows, H) of float32 or float16; a row is a token or, if the whole encoder is frozen, a sentence.
    shards: Sequence[FloatArray]
    shard: IntArray  # the states of sentence i are `count[i]` rows of the array `shard[i]`, from `start[i]` on
    start: IntArray
    count: IntArray

    def gather(self, sentence_N: IntArray) -> FloatArray:
        """The states of some sentences, one after the other: (P, H)."""
        shard_N, start_N = self.shard[sentence_N], self.start[sentence_N]
        end_N = start_N + self.count[sentence_N]
        places = zip(shard_N.tolist(), start_N.tolist(), end_N.tolist(), strict=True)
        # One copy each of a few kilobytes: twice as fast as a gather by the numbers of all rows.
        states_PH: FloatArray = np.concatenate([self.shards[shard][start:end] for shard, start, end in places])
        return states_PH


@dataclass(frozen=True, kw_only=True)
class TokenizedDocuments:
    """Documents as flat arrays: what batches are made of."""

    keys: IntArray  # of each document, see `document_key`
    input_ids: IntArray  # of all sentences of all documents, one after the other, special tokens included
    lengths: IntArray  # the number of tokens of each sentence
    text_rank: IntArray  # of each sentence in its document, see `rank_texts`
    first_sentence: IntArray  # the number of each document's first sentence and, last, that of all sentences
    first_token: IntArray  # where each sentence begins in `input_ids` and, last, where the last one ends
    states: CachedHiddenStates | None = None  # the frozen prefix's output for each sentence, if it is cached

    @classmethod
    def of(
        cls,
        keys: Sequence[int] | IntArray,
        input_ids: Iterable[Iterable[int]],
        lengths: Sequence[Sequence[int]],
        text_rank: Iterable[Iterable[int]],
    ) -> "TokenizedDocuments":
        """From an entry for each document, as `tokenize_documents` gives them."""
        tokens, flat_lengths, ranks = (_flatten(values) for values in (input_ids, lengths, text_rank))
        return cls(
            keys=np.asarray(keys, dtype=np.uint64),
            input_ids=tokens,
            lengths=flat_lengths,
            text_rank=ranks,
            first_sentence=ends_of([len(values) for values in lengths]),
            first_token=ends_of(flat_lengths),
        )


def make_batch(
    documents: TokenizedDocuments, rows: Sequence[int] | IntArray, given_BS: IntArray | None = None
) -> Batch:
    """The documents of these rows, padded at their ends; without rows the batch is empty.

    `input_ids_BL`, the sentences' tokens one after the other, or `prefix_PH`, the frozen prefix's output for them,
    packed; `lengths_BS` in tokens (0 at padding); `positions_BS` in gold, the target; `text_rank_BS`, for ties;
    `mask_BS` (True where there is a sentence); and `document_B`, the rows: under the names without suffixes.

    Args:
        given_BS: the sentence `given[b, i]` of a document comes i-th; what stands at padding does not matter. None: as
            the documents stand.
    """
    if not len(rows):
        return {}
    row_B = np.asarray(rows, dtype=np.int64)
    first_B = documents.first_sentence[row_B]
    counts_B = documents.first_sentence[row_B + 1] - first_B
    index_S = np.arange(counts_B.max())
    mask_BS = index_S < counts_B[:, None]
    positions_BS = np.where(mask_BS, index_S if given_BS is None else given_BS, 0)
    sentence_BS = first_B[:, None] + positions_BS  # at padding the first one, which every document has
    sentence_N = sentence_BS[mask_BS]
    lengths_BS = np.where(mask_BS, documents.lengths[sentence_BS], 0).astype(np.int64)
    arrays = {
        "lengths": lengths_BS,
        "positions": positions_BS,
        "text_rank": np.where(mask_BS, documents.text_rank[sentence_BS], 0).astype(np.int64),
        "mask": mask_BS,
        "document": row_B,
    }

    if documents.states is not None:
        arrays["prefix"] = documents.states.gather(sentence_N)
    else:
        # Token id 0 at padding is never read: the model packs the real tokens first, and knows them by the lengths.
        tokens_B = lengths_BS.sum(1)
        real_BL = np.arange(tokens_B.max()) < tokens_B[:, None]
        arrays["input_ids"] = np.zeros(real_BL.shape, dtype=np.int64)
        token_P = _ranges(documents.first_token[sentence_N], lengths_BS[mask_BS])
        arrays["input_ids"][real_BL] = documents.input_ids[token_P]
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def padded_size(batch: Batch) -> int:
    """Tokens of a batch, padding included: its documents times the tokens of the longest one."""
    tokens_B = batch["lengths"].sum(1)
    return len(tokens_B) * int(tokens_B.max())


def slice_batch(batch: Batch, first: int, last: int) -> Batch:
    """The documents from `first` to before `last`, padded as if their batch had been made alone."""
    # By the lengths, which are on the CPU: for others a device would be waited for.
    sizes_B, tokens_B = (batch["lengths"] > 0).sum(1), batch["lengths"].sum(1)
    sentences = int(sizes_B[first:last].max())
    part = {name: tensor[first:last] for name, tensor in batch.items() if name != "prefix"}
    for name in part.keys() - {"document"}:
        part[name] = part[name][:, : int(tokens_B[first:last].max()) if name == "input_ids" else sentences]
    if "prefix" in batch:  # a row per token or, if the whole encoder is frozen, per sentence
        by_token = len(batch["prefix"]) == int(tokens_B.sum())
        ends = (tokens_B if by_token else sizes_B).cumsum(0).tolist()
        part["prefix"] = batch["prefix"][ends[first - 1] if first else 0 : ends[last - 1]]
    return part


def split_batch(batch: Batch) -> list[Batch]:
    """Splits a batch of two documents or more into two."""
    documents = len(batch["mask"])
    return [slice_batch(batch, 0, documents // 2), slice_batch(batch, documents // 2, documents)]


def _ranges(start_N: IntArray, count_N: IntArray) -> IntArray:
    """The numbers from each start on, as many as its count, one range after the other: (P)."""
    end_N = count_N.cumsum()
    return np.repeat(start_N - end_N + count_N, count_N) + np.arange(end_N[-1])


def ends_of(counts: Sequence[int] | IntArray) -> IntArray:
    """Where each of consecutive ranges begins and, last, where the last one ends."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _flatten(values: Iterable[Iterable[int]]) -> IntArray:
    return np.fromiter(chain.from_iterable(values), dtype=np.int32)
