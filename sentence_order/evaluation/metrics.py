"""Metrics of predicted orders, per document, for all documents of a batch at once.

Every metric is a numerator and a denominator per document, which can be concatenated over batches, and resampled; the
corpus value is the ratio of their sums. With denominators of 1 that is the mean over documents; otherwise it is pooled,
so that long documents weigh more.

Identical sentences are interchangeable: swapping two of them changes no metric. Metrics of exact match compare texts;
the others assign gold positions to identical sentences in ascending order, which no other assignment surpasses.

Inputs are torch tensors, as decoders and data produce them; results are numpy arrays, as statistics need them.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sentence_order.arrays import FloatArray, IntArray

PRIMARY_METRIC = "tau"
MAIN_METRICS = ("accuracy", "pmr", "tau")  # what papers report
CORRELATIONS = ("tau", "spearman")  # from -1 to 1; the other metrics are from 0 to 1


class RatioArray(NamedTuple):
    """One metric of B documents; its corpus value is `numerator.sum() / denominator.sum()`."""

    numerator: FloatArray
    denominator: FloatArray


def document_counts(order_BS: Tensor, position_BS: Tensor, mask_BS: Tensor, text_id_BS: Tensor) -> dict[str, IntArray]:
    """Compares predicted orders with the gold ones; every metric of a document follows from these counts.

    Args:
        order_BS: predicted; `order[b, k]` is the index of the sentence predicted to be k-th.
        position_BS: gold; `position[b, i]` is the gold position of sentence i, from 0.
        mask_BS: bool, True for sentences, False for the padding after them, where the others are not read.
        text_id_BS: integers, equal within a document if and only if two sentences are identical.

    Returns:
        Of each document: `sentences`; how many are in their place (`correct`), among them the `first` and the `last`
        (1 or 0); `inversions`, pairs in the wrong order; `squared_displacement`, summed over sentences;
        `common`, the length of the longest common subsequence.
    """
    predicted_text_BS, gold_text_BS, mask_BS = _texts_by_slot(order_BS, position_BS, mask_BS, text_id_BS)
    length_B = mask_BS.sum(1)
    assert (length_B >= 2).all(), "a document of one sentence has no order to get right"

    # Padding is right by definition: it adds nothing to inversions and displacements, and is subtracted from the counts
    # of what is right.
    right_BS = predicted_text_BS == gold_text_BS
    padding_B = (~mask_BS).sum(1)
    gold_position_BS = _gold_position_by_slot(predicted_text_BS, gold_text_BS)
    slot_S = torch.arange(mask_BS.shape[1])
    counts = {
        "sentences": length_B,
        "correct": right_BS.sum(1) - padding_B,
        "first": right_BS[:, 0],
        "last": right_BS.gather(1, length_B[:, None] - 1)[:, 0],
        "inversions": (gold_position_BS[:, :, None] > gold_position_BS[:, None, :]).triu(1).sum((1, 2)),
        "squared_displacement": (gold_position_BS - slot_S).square().sum(1),
        "common": _longest_common_subsequence(predicted_text_BS, gold_text_BS) - padding_B,
    }
    return {name: count_B.long().numpy() for name, count_B in counts.items()}


def metrics_of(counts: Mapping[str, IntArray]) -> dict[str, RatioArray]:
    """Every metric of every document, from its `document_counts`.

    Returns:
        For each document of n sentences, as (numerator, denominator):

        - `tau`: (1 - 2 * inversions / (n choose 2), 1). Kendall's rank correlation, in [-1, 1], chance 0.
          Lapata (2006), "Automatic evaluation of information ordering: Kendall's tau".
        - `pmr`: (1 if every sentence is in its place, else 0; 1). Perfect match ratio, chance 1 / n!.
        - `accuracy`: (sentences in their place, n). Pooled over all sentences of the corpus, chance 1 / n.
        - `accuracy_per_document`: (sentences in their place / n, 1). Averaged over documents. The literature calls
          both of these accuracy; they differ where documents differ in length.
        - `spearman`: (1 - 6 * sum of squared displacements / (n * (n**2 - 1)), 1). Spearman's rank correlation,
          in [-1, 1], chance 0.
        - `pairwise_accuracy`: (pairs in their order, n choose 2). Pooled over all pairs, chance 1 / 2. Also known as
          the skip-bigram score Rouge-S; on documents of one length it is (1 + tau) / 2.
        - `first`, `last`: (1 if the right sentence stands first, last; 1). Chance 1 / n.
        - `lcs`: (longest common subsequence of the two orders / n, 1). The share of sentences that need not be moved.
          Prabhumoye et al. (2020), "Topological sort for sentence ordering", which also has Rouge-S.

        All are shares in [0, 1] but for the two correlations; where documents hold duplicates, chance is higher.
    """
    n_B = counts["sentences"].astype(np.float64)
    pairs_B = n_B * (n_B - 1) / 2
    one_B = np.ones_like(n_B)
    ratios = {
        "tau": (1 - 2 * counts["inversions"] / pairs_B, one_B),
        "pmr": (counts["correct"] == n_B, one_B),
        "accuracy": (counts["correct"], n_B),
        "accuracy_per_document": (counts["correct"] / n_B, one_B),
        "spearman": (1 - 6 * counts["squared_displacement"] / (n_B * (np.square(n_B) - 1)), one_B),
        "pairwise_accuracy": (pairs_B - counts["inversions"], pairs_B),
        "first": (counts["first"], one_B),
        "last": (counts["last"], one_B),
        "lcs": (counts["common"] / n_B, one_B),
    }
    return {name: RatioArray(top_B.astype(np.float64), bottom_B) for name, (top_B, bottom_B) in ratios.items()}


def right_slots(order_BS: Tensor, position_BS: Tensor, mask_BS: Tensor, text_id_BS: Tensor) -> Tensor:
    """True at every place with the right sentence, false at padding: (B, S). Arguments as for `document_counts`."""
    predicted_text_BS, gold_text_BS, mask_BS = _texts_by_slot(order_BS, position_BS, mask_BS, text_id_BS)
    return (predicted_text_BS == gold_text_BS) & mask_BS


def select(ratios: Mapping[str, RatioArray], rows_R: IntArray) -> dict[str, RatioArray]:
    """The metrics of some of the documents."""
    return {name: RatioArray(*(part_D[rows_R] for part_D in ratio)) for name, ratio in ratios.items()}


def summarise(ratios: Mapping[str, RatioArray]) -> dict[str, float]:
    """The value of each metric over all documents. Raises ValueError if there is none."""
    if any(not len(ratio.denominator) for ratio in ratios.values()):
        raise ValueError("no documents to score")
    return {name: float(ratio.numerator.sum() / ratio.denominator.sum()) for name, ratio in ratios.items()}


def position_confusion(
    order_BS: Tensor, position_BS: Tensor, mask_BS: Tensor, text_id_BS: Tensor, *, length: int
) -> Tensor:
    """Where sentences are predicted: entry [p, k] is how many sentences of gold position p are put k-th: (S, S).

    Only documents of S = `length` sentences count. Arguments, and identical sentences, are as in `document_counts`.
    """
    predicted_text_BS, gold_text_BS, mask_BS = _texts_by_slot(order_BS, position_BS, mask_BS, text_id_BS)
    gold_position_BS = _gold_position_by_slot(predicted_text_BS, gold_text_BS)[mask_BS.sum(1) == length, :length]
    cell_BS = gold_position_BS * length + torch.arange(gold_position_BS.shape[1])
    return cell_BS.flatten().bincount(minlength=length**2).view(length, length)


def _texts_by_slot(
    order_BS: Tensor, position_BS: Tensor, mask_BS: Tensor, text_id_BS: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The predicted and the true text in each place, and the mask, on the CPU.

    A text is named by the index of the first sentence that has it; padding is a text of its own in its own place.
    """
    mask_BS = mask_BS.cpu().bool()
    assert not (mask_BS[:, 1:] & ~mask_BS[:, :-1]).any(), "padding must follow the sentences"
    place_BS = torch.arange(mask_BS.shape[1]).expand_as(mask_BS)
    order_BS = torch.where(mask_BS, order_BS.cpu(), place_BS)
    position_BS = torch.where(mask_BS, position_BS.cpu(), place_BS)
    for permutation_BS in (order_BS, position_BS):
        assert torch.equal(permutation_BS.sort(1).values, place_BS), "orders and positions must be permutations"
    text_id_BS = text_id_BS.cpu()
    same_BSS = text_id_BS[:, :, None] == text_id_BS[:, None, :]
    first_BS = same_BSS.byte().argmax(2)  # `argmax` returns the first of equal values, so never padding
    text_BS = torch.where(mask_BS, first_BS, place_BS)
    return text_BS.gather(1, order_BS), text_BS.gather(1, position_BS.argsort(dim=1)), mask_BS


def _gold_position_by_slot(predicted_text_BS: Tensor, gold_text_BS: Tensor) -> Tensor:
    """The gold position of the sentence in each slot; stable sorts pair identical sentences in ascending order."""
    slot_BS = predicted_text_BS.argsort(dim=1, stable=True)
    gold_position_BS = gold_text_BS.argsort(dim=1, stable=True)
    return torch.empty_like(slot_BS).scatter_(1, slot_BS, gold_position_BS)


def _longest_common_subsequence(predicted_BS: Tensor, gold_BS: Tensor) -> Tensor:
    """Its length, by the textbook recursion over prefixes, whole rows at a time."""
    documents, sentences = gold_BS.shape
    best_BX = torch.zeros(documents, sentences + 1, dtype=torch.long)  # with each of the X prefixes of gold
    for slot in range(sentences):
        match_BS = predicted_BS[:, slot, None] == gold_BS
        longer_BS = torch.maximum(best_BX[:, 1:], best_BX[:, :-1] + match_BS)
        best_BX[:, 1:] = longer_BS.cummax(1).values
    return best_BX[:, -1]
