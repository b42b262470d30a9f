"""The distinct texts of some corpora, and where in the store the states of each one lie."""

from collections.abc import Mapping

import numpy as np

from sentence_order.data.examples import Example, make_example
from sentence_order.data.states import FloatArray, IntArray, SentenceStates
from sentence_order.data.tokenization import Corpus
from sentence_order.prefix.keys import PrefixKind, Texts
from sentence_order.prefix.store import Shard


class Catalogue:
    """Texts are numbered by the rank of their digest.

    Attributes:
        digests, rows, tokens: of each text; how many rows the prefix makes of it, and of how many tokens.
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

    def find(self, shard: Shard) -> IntArray:
        """The entries of a shard that hold texts still missing."""
        text = np.searchsorted(self.digests, shard.digests).clip(max=len(self.digests) - 1)
        return np.flatnonzero((self.digests[text] == shard.digests) & (self._shard[text] < 0))

    def fits(self, shard: Shard, entries: IntArray) -> bool:
        """Whether a shard has as many rows of texts that `find` has found as the prefix makes of them."""
        text = np.searchsorted(self.digests, shard.digests[entries])
        return bool((shard.count[entries] == self.rows[text]).all())

    def take(self, shard: Shard, entries: IntArray) -> None:
        """Notes where the states of the texts lie that `find` has found."""
        assert self.fits(shard, entries), f"{shard.path} holds another number of rows"
        text = np.searchsorted(self.digests, shard.digests[entries])
        self._shard[text] = len(self._shards)
        self._start[text] = shard.start[entries]
        self._shards.append(shard.states)

    def example(self, text: int) -> Example:
        """A text as the model reads it."""
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

    def states(self, name: str) -> SentenceStates:
        """Where the states of each sentence of a corpus lie; none may be missing."""
        texts = self.texts[name]
        text = np.searchsorted(self.digests, texts.digests)[texts.text_of_sentence()]
        assert (self._shard[text] >= 0).all(), "a text without states"
        return SentenceStates(self._shards, self._shard[text], self._start[text] + texts.offset, texts.sentence_rows)


def _tokens(texts: Texts, corpus: Corpus) -> IntArray:
    return np.add.reduceat(corpus.lengths[texts.members], texts.first[:-1])
