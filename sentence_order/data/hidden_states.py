"""The cached output of a model's frozen prefix for the sentences of a corpus, which replaces their token ids."""

from collections.abc import Sequence
from dataclasses import dataclass

from sentence_order.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class CachedHiddenStates:
    """The hidden states of each sentence of a corpus, in a few large, memory-mapped arrays.

    Attributes:
        shards: arrays (rows, H) in float32 or float16; a row is a token or, if the whole encoder is frozen, a
            sentence.
        shard: the number of the array that holds each sentence's states.
        start: the first of its rows.
        count: the number of its rows.
    """

    shards: Sequence[FloatArray]
    shard: IntArray
    start: IntArray
    count: IntArray

    def __getitem__(self, sentence: int) -> FloatArray:
        """The states of one sentence of the corpus, (rows, H)."""
        start = int(self.start[sentence])
        return self.shards[self.shard[sentence]][start : start + int(self.count[sentence])]
