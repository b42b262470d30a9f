"""All orders of few sentences, whose objectives are one product of matrices."""

from functools import lru_cache
from itertools import permutations
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

MAX_LISTED_SENTENCES = 6  # beyond, all orders take longer than all subsets


class Orders(NamedTuple):
    """All K orders, in lexicographic order, and 1 where one earns the score of a pair or of neighbours.

    The objectives (K, G) of documents are `pairs_KX @ pairs_XG + next_KY @ next_YG`, X being all S * S pairs and Y all
    T * T neighbours.
    """

    order_KS: Tensor
    pairs_KX: Tensor
    next_KY: Tensor

    def objectives(self, pairs_GSS: Tensor, next_GTT: Tensor) -> Tensor:
        """The objectives (G, K) of all orders of documents."""
        return (pairs_GSS.flatten(1) @ self.pairs_KX.T).addmm_(next_GTT.flatten(1), self.next_KY.T)


@lru_cache
def list_orders(sentences: int, device: torch.device, dtype: torch.dtype) -> Orders:
    """All orders of so many sentences, computed once."""
    order_KS = torch.tensor(list(permutations(range(sentences))))
    position_KS = order_KS.argsort(1)
    before_KSS = position_KS[:, :, None] < position_KS[:, None]
    item_KT = pad(order_KS + 1, (1, 0))
    follower_KT = item_KT.roll(-1, 1).gather(1, item_KT.argsort(1))  # of each item
    next_KTT = one_hot(follower_KT, 1 + sentences)
    earned = (matrix.flatten(1).to(device, dtype) for matrix in (before_KSS, next_KTT))
    return Orders(order_KS.to(device), *earned)
