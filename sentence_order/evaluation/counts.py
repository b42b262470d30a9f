"""Compares predicted orders with the gold ones, for all documents of a batch at once.

Identical sentences are interchangeable: swapping two of them changes no count. What is right is found by comparing
texts; otherwise gold positions are assigned to identical sentences in ascending order, which no other assignment
surpasses.

Inputs are torch tensors, as decoders and data produce them; results are numpy arrays, as statistics need them.
"""

import torch
from torch import Tensor

from sentence_order.arrays import IntArray


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


def right_slots(order_BS: Tensor, position_BS: Tensor, mask_BS: Tensor, text_id_BS: Tensor) -> Tensor:
    """True at every place with the right sentence, false at padding: (B, S). Arguments as for `document_counts`."""
    predicted_text_BS, gold_text_BS, mask_BS = _texts_by_slot(order_BS, position_BS, mask_BS, text_id_BS)
    return (predicted_text_BS == gold_text_BS) & mask_BS


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
