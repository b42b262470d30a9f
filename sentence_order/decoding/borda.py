"""The Borda count: sentences by how strongly they precede all others together.

Shape suffixes: G documents of one length, N sentences of each of them.
"""

from torch import Tensor


def borda_order(pairs_GNN: Tensor) -> Tensor:
    """Sort the sentences by the sum of their row, greatest first; equal sums leave the lower index first.

    The count of de Borda (1781), with log-odds in place of votes: the order of the scores s that fit
    s[i] - s[j] to pairs[i, j] best in the least-squares sense. Neighbours have no part in it: a sum cannot tell who
    meets whom.

    Args:
        pairs_GNN: antisymmetric, exactly summable.

    Returns:
        `order_GN`, long.
    """
    return pairs_GNN.sum(2).argsort(dim=1, descending=True, stable=True)
