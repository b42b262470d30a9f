"""A validation that is perfect at once, or no better than chance, is reported."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sentence_order.evaluation.inspection import find_problem, is_at_chance


def counts_of(inversions: list[int], sentences: int = 5) -> dict[str, Any]:
    zero = np.zeros(len(inversions), dtype=int)
    names = ("correct", "first", "last", "squared_displacement", "common")
    return {"sentences": zero + sentences, "inversions": np.array(inversions), **dict.fromkeys(names, zero)}


def test_chance_by_hand() -> None:
    """Of 100 documents of five, tau is within 0 and 2 * sqrt(2 * 15 / (9 * 20) / 100) = .0816 by chance."""
    assert is_at_chance(counts_of([5] * 100))  # tau 0
    assert is_at_chance(counts_of([5] * 61 + [4] * 39))  # tau .078
    assert not is_at_chance(counts_of([5] * 58 + [4] * 42))  # tau .084
    assert is_at_chance(counts_of([10] * 100))  # tau -1
    assert is_at_chance(counts_of([4] * 100), chance=0.2)  # tau .2, as of two equal sentences and three others
    assert not is_at_chance(counts_of([4] * 100), chance=0.1)


@pytest.mark.parametrize(
    ("inversions", "is_first", "is_late", "problem"),
    [
        ([0] * 10, True, False, "the first validation is perfect"),
        ([0] * 9, True, False, None),
        ([0] * 10, False, True, None),
        ([0] * 9 + [1], True, False, None),
        ([5] * 20, False, True, "no better than chance"),
        ([5] * 20, True, False, None),
        ([2] * 20, False, True, None),
    ],
)
def test_suspicious_validations(inversions: list[int], is_first: bool, is_late: bool, problem: str | None) -> None:
    evaluation: Any = SimpleNamespace(order=inversions, counts=counts_of(inversions), perfect=np.array(inversions) == 0)
    corpus: Any = SimpleNamespace(share_of_equal_pairs=np.zeros(len(inversions)))
    found = find_problem(evaluation, corpus, is_first, is_late)
    assert (found is None) if problem is None else (problem in str(found))
