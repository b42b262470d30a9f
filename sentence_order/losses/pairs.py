"""What the pairwise losses share: the pairs of a document and what the model says of each.

Shape suffixes: B documents, S sentences (padded), P pairs.
"""

import torch
from torch import Tensor


def gold_pair_logits(logits_BSS: Tensor, positions_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """The log-odds given to the true order of every unordered pair of real sentences: (P)."""
    earlier_BSS = positions_BS[:, :, None] < positions_BS[:, None, :]
    real_BSS = mask_BS[:, :, None] & mask_BS[:, None, :]
    return torch.masked_select(logits_BSS, earlier_BSS & real_BSS)
