"""The distinct texts of some corpora, and the place of each one's states in the store."""

from collections.abc import Mapping

import numpy as np

from sentence_order.arrays import FloatArray, IntArray
from sentence_order.data.examples import Example
from sentence_order.data.tokenization import CachedHiddenStates, Corpus
from sentence_order.prefix_cache.keys import PrefixKind, Texts
from sentence_order.prefix_cache.store import Shard


class TextIndex:
    """An index of distinct texts, numbered by the rank of their digest."""

    def __init__(self, corpora: Mapping[str, Corpus], kind: PrefixKind) -> None:
        self.texts = {name: Texts.of(corpus, kind) for name, corpus in corpora.items()}
        every = list(self.texts.values())
        self.digests, first = np.unique(np.concatenate([texts.digests for texts in every]), return_index=True)
        self.rows = np.concatenate([texts.rows for texts in every])[first]
        self.tokens = np.concatenate([texts.tokens for texts in every])[first]
        # Where a text occurs: the number of a corpus, and that of the text there.
        self._corpus = np.repeat(np.arange(len(every), dtype=np.int8), [len(texts.digests) for texts in every])[first]
        self._numbers = np.concatenate([np.arange(len(texts.digests)) for texts in every])[first]
        self._shards: list[FloatArray] = []
        self._shard = np.full(len(self.digests), -1, dtype=np.int32)
        self._start = np.zeros(len(self.digests), dtype=np.int64)

    def missing(self) -> IntArray:
        """The texts without states."""
        return np.flatnonzero(self._shard < 0)

    def lookup(self, shard: Shard) -> tuple[IntArray, IntArray]:
        """The entries of a shard that hold missing texts, and these texts."""
        text = np.searchsorted(self.digests, shard.digests).clip(max=len(self.digests) - 1)
        entries = np.flatnonzero((self.digests[text] == shard.digests) & (self._shard[text] < 0))
        return entries, text[entries]

    def add_shard(self, shard: Shard, entries: IntArray, texts: IntArray) -> None:
        """Registers entries of a shard as the states of these texts."""
        self._shard[texts] = len(self._shards)
        self._start[texts] = shard.start[entries]
        self._shards.append(shard.states)

    def example(self, text: int) -> Example:
        """A text as an input of the model."""
        return list(self.texts.values())[self._corpus[text]].example(int(self._numbers[text]))

    def states(self, name: str) -> CachedHiddenStates:
        """The cached states of each sentence of a corpus; none may be missing."""
        texts = self.texts[name]
        text = np.searchsorted(self.digests, texts.digests)[texts.text_of_sentence]
        assert (self._shard[text] >= 0).all(), "a text without states"
        start = self._start[text] + texts.offset
        return CachedHiddenStates(self._shards, self._shard[text], start, texts.sentence_rows)
