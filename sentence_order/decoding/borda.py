"""The Borda count: sentences by how strongly they precede all others together."""

from torch import Tensor

from sentence_order.decoding.scores import CleanScores


def borda_order(scores: CleanScores, beam_width: int) -> Tensor:
    """Sorts the sentences by the sum of their row, greatest first. Does not use neighbours or the beam.

    The count of de Borda (1781), with log-odds in place of votes: the order of the scores s that fit
    s[i] - s[j] to pairs[i, j] best in the least-squares sense.
    """
    return scores.pairs_GSS.sum(2).argsort(dim=1, descending=True, stable=True)
