"""Tables for the console: what they show, and that they fit in."""

import io
from typing import Any

import pytest
from rich.console import Console

from sentence_order.evaluation.metrics import MAIN_METRICS
from sentence_order.evaluation.tables import breakdown_table, metric_table

NAMES = ["Society and social sciences", "[red]Biology and health sciences", "", "Philosophy and religion", "People"]


def part_of(tau: float, **key: object) -> dict[str, Any]:
    metrics = {name: {"value": 0.5, "low": 0.111, "high": 0.999} for name in MAIN_METRICS}
    metrics["tau"] = {"value": tau, "low": -0.111, "high": 0.999}
    return {**key, "documents": 1234, **metrics, "calibration_error": 0.25}


def results_with(groups: int) -> dict[str, Any]:
    parts = {"by_sentences": [part_of(0.5, sentences=5)], "by_position": [part_of(0.5, position=0)]}
    by_group = [part_of(-k / 10, group=name) for k, name in enumerate(NAMES[:groups], 1)]
    return {**part_of(0.5), **parts, **({"by_group": by_group} if groups else {})}


def lines_of(table: object) -> list[str]:
    console = Console(width=200, file=io.StringIO())
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("groups", [0, 2, 3, 4])
def test_few_groups_are_columns_beside_the_whole(groups: int) -> None:
    lines = lines_of(metric_table("test", results_with(groups)))
    tau = next(line for line in lines if line.startswith("│ tau"))
    columns = groups % 4
    cells = [cell.strip() for cell in tau.split("│")[2:-1]]
    assert cells == ["0.500", "-0.111 to 0.999", *(f"-0.{k}00" for k in range(1, columns + 1))]
    head = "\n".join(lines[1 : lines.index(tau)])
    assert ("[red]" in head) == (columns > 1)
    assert ("no group" in head) == (columns > 2)
    assert max(map(len, lines)) <= 100


def test_breakdown_has_all_groups_with_intervals_and_is_no_wider_than_a_terminal() -> None:
    lines = lines_of(breakdown_table(results_with(5), 100))
    assert max(map(len, lines)) <= 100
    assert any("-0.500 (-0.111 to 0.999)" in line for line in lines)
    assert lines[0] == "by group, by sentences, by position"
    narrow = lines_of(breakdown_table(results_with(5), 80))
    assert max(map(len, narrow)) <= 80
    assert any("-0.500 │" in line for line in narrow)
    assert next(line for line in lines if "People (1,234)" in line).count("(0.111 to 0.999)") == 2
    assert lines_of(breakdown_table(results_with(0), 100))[0] == "by sentences, by position"
    assert lines_of(breakdown_table({"by_group": results_with(5)["by_group"]}, 100))[0] == "by group"


def test_positions_count_from_one_and_a_model_without_right_orders_has_no_calibration_error() -> None:
    assert any("position 1 (1,234)" in line for line in lines_of(breakdown_table(results_with(0), 100)))
    never = {**results_with(2), "pmr": {"value": 0.0, "low": 0.0, "high": 0.0}}
    cells = next(line for line in lines_of(metric_table("test", never)) if "calibration_error" in line)
    assert "0." not in cells
