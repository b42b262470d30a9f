"""The table of `benchmarks/company.py`."""

import pytest

from benchmarks.company import DEFAULT, format_table, median


def test_ratios_are_of_one_turn_and_of_turns_that_both_have() -> None:
    seconds = {
        ("busy", DEFAULT): {0: 100.0, 1: 50.0},
        ("busy", "GOMP_SPINCOUNT=1000"): {0: 20.0, 1: 10.0, 2: 40.0},
        ("nothing", DEFAULT): {0: 10.0},
        ("nothing", "GOMP_SPINCOUNT=1000"): {0: 12.0},
    }
    assert format_table(seconds, 25)[2:] == [
        f"| nothing | {DEFAULT} | 10.0 | 1.00 | 1 |",
        "| nothing | GOMP_SPINCOUNT=1000 | 12.0 | 1.20 | 1 |",
        f"| busy | {DEFAULT} | 75.0 (50.0 to 100.0) | 1.00 (1.00 to 1.00) | 2 |",
        "| busy | GOMP_SPINCOUNT=1000 | 20.0 (10.0 to 40.0) | 0.20 (0.20 to 0.20) | 3 |",
    ]


def test_a_median_lies_in_its_interval() -> None:
    found = median([3.0, 1.0, 2.0, 10.0, 2.5])
    assert found["value"] == 2.5
    assert found["low"] == 1.0
    assert found["high"] == pytest.approx(10.0)
