"""What losses share: the pairs of a document, one score per sentence, and sums that leave padding out."""

from torch import Tensor


def gold_pairs(positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """True at [b, i, j] where sentence i comes before sentence j in truth: every pair of real sentences once."""
    earlier_BSS = positions_BS[:, :, None] < positions_BS[:, None, :]
    return earlier_BSS & mask_BS[:, :, None] & mask_BS[:, None, :]


def sentence_scores(logits_BSS: Tensor, mask_BS: Tensor) -> Tensor:
    """How early each sentence stands, as one number: its mean log-odds against all of its document, itself included.

    (B, S), their sum zero in every document. Where logits are differences of scores, those again, up to a constant.
    """
    rows_BSS = logits_BSS.masked_fill(~mask_BS[:, None, :], 0.0)
    return rows_BSS.sum(2) / mask_BS.sum(1, keepdim=True).clamp(min=1)


def sum_where(mask: Tensor, values: Tensor) -> Tensor:
    """The sum of the values where the mask is True: not of a selection, for whose size CUDA would be waited for."""
    return values.masked_fill(~mask, 0.0).sum()


def gold_order(positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """The order that gold positions stand for, padding in its own places: (B, S)."""
    return positions_BS.masked_fill(~mask_BS, positions_BS.shape[1]).argsort(dim=1, stable=True)
