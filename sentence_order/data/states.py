"""What a model's frozen prefix makes of the sentences of a corpus, in place of their token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

IntArray = np.ndarray[Any, np.dtype[np.integer[Any]]]


@dataclass(frozen=True)
class SentenceStates:
    """Where the states of each sentence of a corpus lie in a few large, memory-mapped tensors.

    Attributes:
        shards: tensors (rows, D) in float32 or float16; a row is a token or, where the whole encoder is frozen, a
            sentence.
        shard: the number of the tensor that each sentence's states are in.
        start: the first of its rows.
        count: how many rows they are.
    """

    shards: Sequence[Tensor]
    shard: IntArray
    start: IntArray
    count: IntArray

    def __getitem__(self, sentence: int) -> Tensor:
        """The states of one sentence of the corpus, (rows, D)."""
        start = int(self.start[sentence])
        return self.shards[self.shard[sentence]][start : start + int(self.count[sentence])]
