"""Cleans and tokenises a raw split once; `datasets` caches the result by the fingerprints of tokenizer and text."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from sentence_order.arrays import FloatArray, IntArray
from sentence_order.data.encoding import encode
from sentence_order.errors import UserError

# Part of the cache's key, which does not see the code: a change in what is cached must change it.
CACHE_VERSION = 2
ENCODED_AT_ONCE = 10_000


@dataclass(frozen=True)
class CachedHiddenStates:
    """The output of a model's frozen prefix for each sentence of a corpus, which replaces their token ids."""

    # Arrays (rows, H) of float32 or float16; a row is a token or, if the whole encoder is frozen, a sentence.
    shards: Sequence[FloatArray]
    shard: IntArray  # the states of sentence i are `count[i]` rows of the array `shard[i]`, from `start[i]` on
    start: IntArray
    count: IntArray

    def __getitem__(self, sentence: int) -> FloatArray:
        start = int(self.start[sentence])
        return self.shards[self.shard[sentence]][start : start + int(self.count[sentence])]


@dataclass(frozen=True)
class Corpus:
    """A tokenised split, ready for random access: its text in `documents`, its tokens in flat arrays."""

    documents: Dataset  # `id` and `sentences` (clean, in gold order)
    keys: IntArray  # a number for each document's id (see `document_key`)
    input_ids: IntArray  # of all sentences of all documents, one after the other, special tokens included
    lengths: IntArray  # the number of tokens of each sentence
    # The rank of each sentence's text among its document's distinct texts: equal for identical sentences, and a
    # function of the content alone, so that it can break ties without knowing any order.
    text_rank: IntArray
    first_sentence: IntArray  # the number of each document's first sentence and, last, that of all sentences
    first_token: IntArray  # where each sentence begins in `input_ids` and, last, where the last one ends
    changes: dict[str, int]  # counts of what was dropped, truncated or is unusual
    states: CachedHiddenStates | None = None  # the frozen prefix's output for each sentence, if it is cached

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def sizes(self) -> IntArray:
        """The number of sentences of each document."""
        return np.diff(self.first_sentence)

    @property
    def tokens(self) -> IntArray:
        """The number of tokens of each document."""
        return np.diff(self.first_token[self.first_sentence])

    def row(self, document: int) -> dict[str, Any]:
        """What `examples.make_example` needs of a document: sentences in gold order, as token ids or as states."""
        first, last = self.first_sentence[document : document + 2].tolist()
        row: dict[str, Any] = {"lengths": self.lengths[first:last], "text_rank": self.text_rank[first:last]}
        if self.states is None:
            row["input_ids"] = self.input_ids[self.first_token[first] : self.first_token[last]]
        else:
            row["states"] = [self.states[sentence] for sentence in range(first, last)]
        return row

    def describe(self) -> str:
        """One line for the log: the size, and what was dropped or truncated."""
        size = f"{len(self):,} documents, {len(self.lengths):,} sentences, {len(self.input_ids):,} tokens"
        changes = ", ".join(f"{count:,} {what}" for what, count in self.changes.items() if count)
        return f"{size}; {changes or 'nothing dropped or truncated'}"


def document_key(document_id: str) -> int:
    """A document's id as a number of 64 bits, by which its permutations are drawn."""
    return int.from_bytes(hashlib.blake2b(document_id.encode(), digest_size=8).digest(), "little")


def tokenize_corpus(
    raw: Dataset, tokenizer: PreTrainedTokenizerBase, max_sentences: int, max_sentence_tokens: int, name: str
) -> Corpus:
    """Drops empty sentences and documents of fewer than two, truncates long sentences, tokenises, and counts.

    Raises UserError if no document with two sentences or more is left.
    """
    limits = {"max_sentences": max_sentences, "max_sentence_tokens": max_sentence_tokens}
    arguments = {"version": CACHE_VERSION, "tokenizer": tokenizer, **limits}
    documents = raw.map(_tokenize_batch, batched=True, batch_size=1000, fn_kwargs=arguments, desc=f"tokenising {name}")
    found = documents.select_columns(["count", "empty", "cut", "beyond"]).with_format("numpy")[:]
    counts, total = found["count"], len(documents)
    keep = np.flatnonzero(counts >= 2)
    if not len(keep):
        raise UserError(f"data.{name}: none of the {total:,} documents has two sentences or more; nothing to order")
    if len(keep) < total:
        documents = documents.select(keep)
    first_sentence = np.concatenate([[0], counts[keep].cumsum()])
    lengths = _flat(documents, "lengths", first_sentence[-1])
    first_token = np.concatenate([[0], lengths.cumsum()])
    ids = (document_id for batch in documents.select_columns("id").iter(1000) for document_id in batch["id"])
    keys = np.fromiter(map(document_key, ids), dtype=np.uint64, count=len(documents))
    changes = {
        "empty sentences dropped": int(found["empty"].sum()),
        f"sentences truncated to {max_sentence_tokens} tokens": int(found["cut"].sum()),
        f"sentences beyond the first {max_sentences} of a document dropped": int(found["beyond"].sum()),
        "documents with fewer than two sentences dropped": total - len(keep),
        "documents with the id of another one": len(keys) - len(np.unique(keys)),
    }
    return Corpus(
        documents=documents.select_columns(["id", "sentences"]),
        keys=keys,
        input_ids=_flat(documents, "input_ids", first_token[-1]),
        lengths=lengths,
        text_rank=_flat(documents, "text_rank", first_sentence[-1]),
        first_sentence=first_sentence,
        first_token=first_token,
        changes=changes,
    )


def _flat(documents: Dataset, column: str, total: int) -> IntArray:
    """The values of a column of lists, `total` of them, one list after the other."""
    # In pieces: of millions of documents, a column of Arrow is large, and rows one by one are slow.
    values, start = np.empty(total, dtype=np.int32), 0
    for batch in documents.select_columns(column).with_format("arrow").iter(1000):
        piece = batch[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        values[start : start + len(piece)] = piece
        start += len(piece)
    return values


def tokenize_documents(
    documents: list[list[str]], tokenizer: PreTrainedTokenizerBase, max_sentences: int | None, max_sentence_tokens: int
) -> dict[str, list[Any]]:
    """Cleans and tokenises documents, given as lists of sentences, into the columns of a `Corpus` and its counts.

    White space is folded; empty sentences are left out (`kept` holds the indices of the others), and those beyond
    `max_sentences`; sentences longer than `max_sentence_tokens` are cut, their last special token kept.
    """
    real = [[i for i, sentence in enumerate(sentences) if sentence.strip()] for sentences in documents]
    kept = [indices[:max_sentences] for indices in real]
    clean = [[" ".join(sentences[i].split()) for i in k] for sentences, k in zip(documents, kept, strict=True)]
    # Many in one call: the tokenizer works in parallel over a flat list. Not all: what it makes of each text is large.
    flat = [text for sentences in clean for text in sentences]
    parts = (flat[start : start + ENCODED_AT_ONCE] for start in range(0, len(flat), ENCODED_AT_ONCE))
    encoded = (ids for part in parts for ids in encode(tokenizer, part))
    whole = [[next(encoded) for _ in texts] for texts in clean]
    last = max_sentence_tokens - 1
    short = [
        [ids if len(ids) <= max_sentence_tokens else ids[:last] + ids[-1:] for ids in document] for document in whole
    ]
    ranks = [{text: number for number, text in enumerate(sorted(set(texts)))} for texts in clean]
    return {
        "sentences": clean,
        "kept": kept,
        "count": [len(texts) for texts in clean],
        "input_ids": [[token for ids in document for token in ids] for document in short],
        "lengths": [[len(ids) for ids in document] for document in short],
        "text_rank": [[rank[text] for text in texts] for rank, texts in zip(ranks, clean, strict=True)],
        "empty": [len(sentences) - len(indices) for sentences, indices in zip(documents, real, strict=True)],
        "cut": [sum(len(ids) > max_sentence_tokens for ids in document) for document in whole],
        "beyond": [len(indices) - len(texts) for indices, texts in zip(real, clean, strict=True)],
    }


def _tokenize_batch(batch: dict[str, list[Any]], version: int, **arguments: Any) -> dict[str, list[Any]]:
    columns = tokenize_documents(batch["sentences"], **arguments)
    return {name: values for name, values in columns.items() if name != "kept"}
