"""The distinct texts of some corpora, and the place of each one's states in the store."""

from collections.abc import Mapping

import numpy as np

from sentence_order.arrays import FloatArray, IntArray
from sentence_order.data.examples import Example, make_example
from sentence_order.data.hidden_states import CachedHiddenStates
from sentence_order.data.tokenization import Corpus
from sentence_order.prefix_cache.keys import PrefixKind, Texts
from sentence_order.prefix_cache.store import Shard


class TextIndex:
    """An index of distinct texts, numbered by the rank of their digest.

    Attributes:
        digests, rows, tokens: of each text; the rows of the prefix's output for it, and its tokens.
    """

    def __init__(self, corpora: Mapping[str, Corpus], kind: PrefixKind) -> None:
        self.corpora = corpora
        self.texts = {name: Texts.of(corpus, kind) for name, corpus in corpora.items()}
        every = list(self.texts.values())
        self.digests, first = np.unique(np.concatenate([texts.digests for texts in every]), return_index=True)
        self.rows = np.concatenate([texts.rows for texts in every])[first]
        self.tokens = np.concatenate([_tokens(self.texts[name], corpus) for name, corpus in corpora.items()])[first]
        self._corpus = np.repeat(np.arange(len(every), dtype=np.int8), [len(texts.digests) for texts in every])[first]
        self._numbers = np.concatenate([np.arange(len(texts.digests)) for texts in every])[first]
        self._shards: list[FloatArray] = []
        self._shard = np.full(len(self.digests), -1, dtype=np.int32)
        self._start = np.zeros(len(self.digests), dtype=np.int64)

    def missing(self) -> IntArray:
        """The texts without states."""
        return np.flatnonzero(self._shard < 0)

    def lookup(self, shard: Shard) -> IntArray:
        """The entries of a shard that hold missing texts."""
        text = np.searchsorted(self.digests, shard.digests).clip(max=len(self.digests) - 1)
        return np.flatnonzero((self.digests[text] == shard.digests) & (self._shard[text] < 0))

    def matches(self, shard: Shard, entries: IntArray) -> bool:
        """True if the entries that `lookup` has found have the number of rows of the prefix's output."""
        text = np.searchsorted(self.digests, shard.digests[entries])
        return bool((shard.count[entries] == self.rows[text]).all())

    def add_shard(self, shard: Shard, entries: IntArray) -> None:
        """Registers the entries that `lookup` has found as the states of their texts."""
        assert self.matches(shard, entries), f"{shard.path} holds another number of rows"
        text = np.searchsorted(self.digests, shard.digests[entries])
        self._shard[text] = len(self._shards)
        self._start[text] = shard.start[entries]
        self._shards.append(shard.states)

    def example(self, text: int) -> Example:
        """A text as an input of the model."""
        name, number = list(self.corpora)[self._corpus[text]], self._numbers[text]
        corpus, texts = self.corpora[name], self.texts[name]
        members = texts.members[texts.first[number] : texts.first[number + 1]]
        pieces = [corpus.input_ids[corpus.first_token[m] : corpus.first_token[m + 1]] for m in members]
        row = {
            "input_ids": np.concatenate(pieces),
            "lengths": corpus.lengths[members],
            "text_rank": corpus.text_rank[members],
        }
        return make_example(row, int(number), range(len(members)))

    def states(self, name: str) -> CachedHiddenStates:
        """The cached states of each sentence of a corpus; none may be missing."""
        texts = self.texts[name]
        text = np.searchsorted(self.digests, texts.digests)[texts.text_of_sentence()]
        assert (self._shard[text] >= 0).all(), "a text without states"
        return CachedHiddenStates(
            self._shards, self._shard[text], self._start[text] + texts.offset, texts.sentence_rows
        )


def _tokens(texts: Texts, corpus: Corpus) -> IntArray:
    return np.add.reduceat(corpus.lengths[texts.members], texts.first[:-1])
