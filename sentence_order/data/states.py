"""What a model's frozen prefix makes of the sentences of a corpus, in place of their token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]
IntArray = np.ndarray[Any, np.dtype[np.integer[Any]]]


@dataclass(frozen=True)
class SentenceStates:
    """Where the states of each sentence of a corpus lie in a few large, memory-mapped arrays.

    Attributes:
        shards: arrays (rows, D) in float32 or float16; a row is a token or, where the whole encoder is frozen, a
            sentence.
        shard: the number of the array that each sentence's states are in.
        start: the first of its rows.
        count: how many rows they are.
    """

    shards: Sequence[FloatArray]
    shard: IntArray
    start: IntArray
    count: IntArray

    def __getitem__(self, sentence: int) -> FloatArray:
        """The states of one sentence of the corpus, (rows, D)."""
        start = int(self.start[sentence])
        return self.shards[self.shard[sentence]][start : start + int(self.count[sentence])]
