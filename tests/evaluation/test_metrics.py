"""Metrics against numbers worked out by hand, scipy, brute force, and what must not change them."""

from itertools import permutations, product
from math import comb, factorial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr
from torch import Tensor

from sentence_order.config.components import METRICS
from sentence_order.evaluation.counts import document_counts, position_confusion
from sentence_order.evaluation.metrics import PRIMARY_METRIC, RatioArray, metrics_of, summarise


def document(gold: str, predicted: str) -> tuple[Tensor, Tensor, Tensor]:
    """Order, position and text ids of a document whose sentences are letters, given in alphabetical order."""
    given_ = sorted(gold)
    position_N, order_N = torch.zeros(len(gold), dtype=torch.long), torch.zeros(len(gold), dtype=torch.long)
    unused_gold, unused = list(range(len(gold))), list(range(len(gold)))
    for place, letter in enumerate(gold):
        i = next(i for i in unused_gold if given_[i] == letter)
        unused_gold.remove(i)
        position_N[i] = place
    for slot, letter in enumerate(predicted):
        i = next(i for i in unused if given_[i] == letter)
        unused.remove(i)
        order_N[slot] = i
    return order_N, position_N, torch.tensor([ord(letter) for letter in given_])


def batch(*documents: tuple[Tensor, Tensor, Tensor], size: int = 0, fill: int = 0) -> tuple[Tensor, ...]:
    size = max([size, *(len(doc[0]) for doc in documents)])
    order_BS, position_BS, text_id_BS = (torch.full((len(documents), size), fill) for _ in range(3))
    mask_BS = torch.zeros(len(documents), size, dtype=torch.bool)
    for b, (order_N, position_N, text_id_N) in enumerate(documents):
        n = len(order_N)
        order_BS[b, :n], position_BS[b, :n], text_id_BS[b, :n], mask_BS[b, :n] = order_N, position_N, text_id_N, True
    return order_BS, position_BS, mask_BS, text_id_BS


def document_metrics(*documents: Tensor) -> dict[str, RatioArray]:
    return metrics_of(document_counts(*documents))


def as_lists(parts: dict[str, RatioArray]) -> dict[str, tuple[list[float], list[float]]]:
    return {name: (part.numerator.tolist(), part.denominator.tolist()) for name, part in parts.items()}


def score(gold: str, predicted: str) -> dict[str, float]:
    return summarise(document_metrics(*batch(document(gold, predicted))))


def random_batch(documents: int, n: int, seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    order_BN, position_BN = (torch.rand(documents, n, generator=generator).argsort(1) for _ in range(2))
    return order_BN, position_BN, torch.ones(documents, n, dtype=torch.bool), torch.arange(n).expand(documents, n)


BY_HAND = ("tau", "pmr", "accuracy", "spearman", "pairwise_accuracy", "first", "last", "lcs")


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("ABCD", "ABCD", (1, 1, 1, 1, 1, 1, 1, 1)),
        ("ABCD", "DCBA", (-1, 0, 0, -1, 0, 0, 0, 1 / 4)),
        # Inverted: CB, DB. Displaced by 0, 1, 1, 2: 1 - 6 * 6 / 60. Common: ACD.
        ("ABCD", "ACDB", (1 / 3, 0, 1 / 4, 0.4, 4 / 6, 1, 0, 3 / 4)),
        # Inverted: AB, AD, BD. Displaced by 2, 0, 2, 0: 1 - 6 * 8 / 60. Common: BC.
        ("DBAC", "ABDC", (0, 0, 2 / 4, 0.2, 3 / 6, 0, 1, 2 / 4)),
        # The As stand in slots 0, 2, 3 and take the gold positions 0, 1, 3. Inverted: B and the second A. Common: AAA.
        ("AABA", "ABAA", (4 / 6, 0, 2 / 4, 0.8, 5 / 6, 1, 1, 3 / 4)),
        # In place by text is the A in the middle, though as the first A it counts as displaced by one.
        ("AAB", "BAA", (-1 / 3, 0, 1 / 3, -0.5, 1 / 3, 0, 0, 2 / 3)),
    ],
)
def test_numbers_by_hand(gold: str, predicted: str, expected: tuple[float, ...]) -> None:
    values = score(gold, predicted)
    assert values.pop("accuracy_per_document") == values["accuracy"]
    assert values == pytest.approx(dict(zip(BY_HAND, expected, strict=True)))
    assert PRIMARY_METRIC in values
    assert {"accuracy_per_document", "loss", *values} == set(METRICS), "what trainer.metric may be"


def test_the_two_accuracies_and_what_is_pooled() -> None:
    # A document of two sentences wholly wrong, and one of four wholly right.
    parts = document_metrics(*batch(document("AB", "BA"), document("ABCD", "ABCD")))
    values = summarise(parts)
    assert values["accuracy"] == 4 / 6
    assert values["accuracy_per_document"] == (0 / 2 + 4 / 4) / 2
    assert values["pairwise_accuracy"] == 6 / 7
    assert values["tau"] == 0
    assert parts["accuracy"].denominator.tolist() == [2, 4]
    assert parts["pairwise_accuracy"].denominator.tolist() == [1, 6]


@pytest.mark.parametrize("n", [2, 3, 7, 20])
def test_correlations_equal_those_of_scipy(n: int) -> None:
    order_BN, position_BN, mask_BN, text_id_BN = random_batch(30, n, seed=n)
    parts = document_metrics(order_BN, position_BN, mask_BN, text_id_BN)
    predicted_position_BN = order_BN.argsort(1)
    for b in range(30):
        tau = kendalltau(predicted_position_BN[b], position_BN[b]).statistic
        rho = spearmanr(predicted_position_BN[b], position_BN[b]).statistic
        assert parts["tau"].numerator[b] == pytest.approx(tau)
        assert parts["spearman"].numerator[b] == pytest.approx(rho)


def longest_common_subsequence(a: str, b: str) -> int:
    if not a or not b:
        return 0
    if a[0] == b[0]:
        return 1 + longest_common_subsequence(a[1:], b[1:])
    return max(longest_common_subsequence(a[1:], b), longest_common_subsequence(a, b[1:]))


@settings(deadline=None, max_examples=60)
@given(gold=st.text("ABC", min_size=2, max_size=6), data=st.data())
def test_duplicates_are_scored_as_their_best_assignment(gold: str, data: st.DataObject) -> None:
    predicted = "".join(data.draw(st.permutations(gold)))
    values = score(gold, predicted)
    n = len(gold)
    # Every way to say which of the identical sentences went where: a gold position for each slot.
    assignments = [p for p in permutations(range(n)) if all(gold[p[k]] == predicted[k] for k in range(n))]
    inversions = min(sum(p[k] > p[m] for k in range(n) for m in range(k + 1, n)) for p in assignments)
    displacement = min(sum((p[k] - k) ** 2 for k in range(n)) for p in assignments)
    assert values["tau"] == pytest.approx(1 - 2 * inversions / comb(n, 2))
    assert values["pairwise_accuracy"] == pytest.approx(1 - inversions / comb(n, 2))
    assert values["spearman"] == pytest.approx(1 - 6 * displacement / (n * (n * n - 1)))
    assert values["accuracy"] == sum(g == p for g, p in zip(gold, predicted, strict=True)) / n
    assert values["pmr"] == (gold == predicted)
    assert (values["first"], values["last"]) == (gold[0] == predicted[0], gold[-1] == predicted[-1])
    assert values["lcs"] == longest_common_subsequence(gold, predicted) / n


@settings(deadline=None, max_examples=60)
@given(gold=st.text("ABCDEFG", min_size=2, max_size=7), data=st.data())
def test_neither_relabelling_nor_swapping_duplicates_nor_padding_changes_anything(
    gold: str, data: st.DataObject
) -> None:
    order_N, position_N, text_id_N = document(gold, "".join(data.draw(st.permutations(gold))))
    expected = document_metrics(*batch((order_N, position_N, text_id_N)))

    label_N = torch.tensor(data.draw(st.permutations(range(len(gold)))))  # new sentence i is the old label_N[i]
    relabelled = (label_N.argsort()[order_N], position_N[label_N], text_id_N[label_N] * -3 + 1)
    # Any other sentence of the same text may stand in for the predicted one.
    swapped_N = order_N.clone()
    for text in set(gold):
        slots = [k for k in range(len(gold)) if text_id_N[order_N[k]] == ord(text)]
        swapped_N[slots] = order_N[data.draw(st.permutations(slots))]
    variants = (relabelled, (swapped_N, position_N, text_id_N))
    for variant, fill in product(variants, (0, -7, ord("A"))):
        got = document_metrics(*batch(variant, size=len(gold) + 3, fill=fill))
        assert as_lists(got) == as_lists(expected)


def test_a_mixed_batch_equals_its_documents_one_by_one() -> None:
    docs = [document("AB", "BA"), document("ABCDE", "ACBED"), document("ABA", "AAB"), document("ABCD", "BCDA")]
    together = document_metrics(*batch(*docs))
    for row, doc in enumerate(docs):
        alone = document_metrics(*batch(doc))
        for name, part in together.items():
            assert (part.numerator[row], part.denominator[row]) == (
                alone[name].numerator[0],
                alone[name].denominator[0],
            )
    assert summarise(together)["lcs"] == pytest.approx((1 / 2 + 3 / 5 + 2 / 3 + 3 / 4) / 4)


def test_chance() -> None:
    n, documents = 4, 20_000
    values = summarise(document_metrics(*random_batch(documents, n, seed=0)))
    four_errors = 4 * documents**-0.5  # no metric has a standard deviation above 1 per document
    expected = {"tau": 0, "pmr": 1 / factorial(n), "accuracy": 1 / n, "accuracy_per_document": 1 / n, "spearman": 0}
    expected |= {"pairwise_accuracy": 1 / 2, "first": 1 / n, "last": 1 / n}
    # Of the 24 orders of four, 1 has a common subsequence of four, 9 of three, 13 of two, 1 of one.
    expected |= {"lcs": (1 * 4 + 9 * 3 + 13 * 2 + 1) / 24 / 4}
    assert values == pytest.approx(expected, abs=four_errors)


def test_documents_without_an_order_must_not_come_here() -> None:
    with pytest.raises(AssertionError, match="one sentence"):
        document_metrics(*batch(document("A", "A"), document("AB", "AB")))
    with pytest.raises(AssertionError, match="permutations"):
        document_metrics(*batch((torch.tensor([0, 0]), torch.tensor([0, 1]), torch.tensor([5, 6]))))
    with pytest.raises(ValueError, match="no documents"):
        summarise({"tau": RatioArray(np.zeros(0), np.zeros(0))})


def test_confusion_of_positions_by_hand() -> None:
    docs = [document("ABC", "ABC"), document("CBA", "BCA"), document("AB", "BA"), document("AAB", "ABA")]
    # Gold positions by slot: 0 1 2, 1 0 2, (two sentences only), 0 2 1.
    confusion_33 = position_confusion(*batch(*docs, fill=-1), length=3)
    assert confusion_33.tolist() == [[2, 1, 0], [1, 1, 1], [0, 1, 2]]
    assert not position_confusion(*batch(*docs), length=4).any()
