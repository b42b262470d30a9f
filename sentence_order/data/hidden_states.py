"""The cached output of a model's frozen prefix for the sentences of a corpus, which replaces their token ids."""

from collections.abc import Sequence
from dataclasses import dataclass

from sentence_order.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class CachedHiddenStates:
    """The hidden states of each sentence of a corpus, in a few large, memory-mapped arrays.

    `shards` are arrays (rows, H) in float32 or float16, whose rows are tokens or, if the whole encoder is frozen,
    sentences. The states of sentence i are `count[i]` rows of the array `shard[i]`, from `start[i]` on.
    """

    shards: Sequence[FloatArray]
    shard: IntArray
    start: IntArray
    count: IntArray

    def __getitem__(self, sentence: int) -> FloatArray:
        """The states of one sentence of the corpus, (rows, H)."""
        start = int(self.start[sentence])
        return self.shards[self.shard[sentence]][start : start + int(self.count[sentence])]
