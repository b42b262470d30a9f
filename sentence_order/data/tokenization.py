"""Cleans and tokenises a raw split once; the result is cached by its text and its tokenizer."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from datasets import Dataset, Features, List, Value
from transformers import PreTrainedTokenizerBase

from sentence_order.arrays import FloatArray, IntArray
from sentence_order.config.schema import CacheConfig, DataConfig
from sentence_order.data.arrow_cache import BATCH_DOCUMENTS, ArrowCache, Columns, read_column
from sentence_order.data.documents import nothing_to_order
from sentence_order.data.encoding import describe_tokenizer, tokenize_documents
from sentence_order.data.examples import TokenizedDocuments, ends_of
from sentence_order.errors import UserError
from sentence_order.runtime.console import progress_bar

# What is counted of each document, and of the corpus; `encoding.tokenize_documents` explains the names.
COUNTS = {
    "empty": "empty sentences dropped",
    "cut": "sentences truncated to data.max_sentence_tokens",
    "beyond": "sentences beyond data.max_sentences dropped",
    "repeated": "sentences that repeat another one of their document",
    "alike": "sentences that the encoder cannot tell from another one of their document (equal tokens, other text)",
}
CORPUS_COUNTS = {
    "short": "documents with fewer than two sentences dropped",
    "copies": "documents with the text of another one",
}
FEATURES = Features(
    {
        **{"id": Value("string"), "sentences": List(Value("string")), "fingerprint": Value("uint64")},
        **{"group": Value("string"), "key": Value("uint64"), "count": Value("int32"), "unknown": Value("int32")},
        **{name: List(Value("int32")) for name in ("input_ids", "lengths", "text_rank")},
        **{name: Value("int32") for name in COUNTS},
    }
)


@dataclass(frozen=True, kw_only=True)
class Corpus(TokenizedDocuments):
    """A tokenised split, ready for random access: its text in `documents`, its tokens in flat arrays."""

    documents: Dataset  # `id`, `sentences` (clean, in gold order) and `group`
    fingerprints: IntArray  # of each document, see `text_fingerprint`
    num_unknown_tokens: int  # that stand for what the tokenizer does not know
    counts: dict[str, int]  # of what was dropped, truncated or is unusual, see `COUNTS`

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

    @property
    def groups(self) -> list[str]:
        """The group of each document, "" for none."""
        return list(self.documents["group"][:])

    @property
    def share_of_equal_pairs(self) -> FloatArray:
        """Of each document's pairs of sentences, the share with equal texts: the tau that random orders reach."""
        document_T, width = np.repeat(np.arange(len(self)), self.sizes), self.sizes.max()  # above every rank
        texts, count = np.unique(document_T * width + self.text_rank, return_counts=True)
        equal_D = np.bincount(texts // width, weights=count * (count - 1), minlength=len(self))
        return equal_D / (self.sizes * (self.sizes - 1))

    def describe(self, width: int = 0) -> str:
        """One line: the size, in numbers of at least this width, and what was dropped, truncated or is unusual."""
        size = {"documents": len(self), "sentences": len(self.lengths), "tokens": len(self.input_ids)}
        unknown = self.num_unknown_tokens / len(self.input_ids)
        if (groups := len(set(self.groups))) > 1:
            size["groups"] = groups
        names = COUNTS | CORPUS_COUNTS
        remarks = [f"{unknown:.1%} of the tokens unknown"] if unknown >= 0.001 else []
        remarks += [f"{count:,} {names[name]}" for name, count in self.counts.items() if count]
        return "; ".join(
            filter(None, [", ".join(f"{n:{width},} {name}" for name, n in size.items()), ", ".join(remarks)])
        )


def tokenize_corpus(
    raw: Dataset, tokenizer: PreTrainedTokenizerBase, data: DataConfig, name: str, cache: CacheConfig | None = None
) -> Corpus:
    """Drops empty sentences and documents of fewer than two, truncates long sentences, tokenises, and counts.

    Raises UserError if no document with two sentences or more is left.
    """
    settings = {key: getattr(data, key) for key in ("max_sentences", "max_sentence_tokens", "strip_enumeration")}

    def tokenize() -> Iterator[Columns]:
        with progress_bar(transient=True) as bar:
            task = bar.add_task(f"tokenising {name}", total=len(raw), unit="documents", note="")
            for batch in raw.iter(BATCH_DOCUMENTS):
                columns = tokenize_documents(batch["sentences"], tokenizer, **settings)
                yield {column: columns.get(column, batch.get(column)) for column in FEATURES}
                bar.advance(task, len(batch["id"]))

    key = [raw._fingerprint, describe_tokenizer(tokenizer), settings]
    documents, _ = ArrowCache.of(cache or CacheConfig()).load(key, FEATURES, tokenize)
    found = {name: read_column(documents, name) for name in ("key", "fingerprint", "count", "unknown", *COUNTS)}
    keep, total = np.flatnonzero(found["count"] >= 2), len(documents)
    if not len(keep):
        raise UserError(f"data.{name}: {nothing_to_order(total, 'data.')}")
    if len(keep) < total:
        documents = documents.select(keep)
    kept = {column: values[keep] for column, values in found.items()}
    first_sentence = ends_of(kept["count"])
    lengths = _flat(documents, "lengths", first_sentence[-1])
    first_token = ends_of(lengths)
    counts = {column: int(found[column].sum()) for column in COUNTS}
    counts |= {"short": total - len(keep), "copies": len(keep) - len(np.unique(kept["key"]))}
    return Corpus(
        documents=documents.select_columns(["id", "sentences", "group"]),
        keys=kept["key"],
        fingerprints=kept["fingerprint"],
        input_ids=_flat(documents, "input_ids", first_token[-1]),
        lengths=lengths,
        text_rank=_flat(documents, "text_rank", first_sentence[-1]),
        first_sentence=first_sentence,
        first_token=first_token,
        num_unknown_tokens=int(kept["unknown"].sum()),
        counts=counts,
    )


def _flat(documents: Dataset, column: str, total: int) -> IntArray:
    """The values of a column of lists, `total` of them, one list after the other."""
    # In pieces: of millions of documents, a column of Arrow is large, and rows one by one are slow.
    values, start = np.empty(total, dtype=np.int32), 0
    for batch in documents.select_columns(column).with_format("arrow").iter(BATCH_DOCUMENTS):
        piece = batch[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        values[start : start + len(piece)] = piece
        start += len(piece)
    return values
