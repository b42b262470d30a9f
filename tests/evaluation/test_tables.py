"""Tables of metrics for the console."""

from typing import Any

from rich.table import Table

from sentence_order.evaluation.tables import breakdown_table, metric_table


def cells_of(table: Table) -> dict[object, list[object]]:
    """The cells of every row, by its label."""
    labels, *columns = [list(column.cells) for column in table.columns]
    return dict(zip(labels, map(list, zip(*columns, strict=True)), strict=True))


def value(number: float) -> dict[str, Any]:
    return {"value": number, "low": None, "high": None}


def test_positions_count_from_one() -> None:
    """As in the pictures; in results.json from 0."""
    rows = [{"position": position, "documents": 4, "accuracy": value(0.5)} for position in range(3)]
    cells = cells_of(breakdown_table({"by_sentences": [], "by_position": rows}))
    assert [label for label in cells if label] == ["position 1", "position 2", "position 3"]


def test_a_model_with_no_right_order_has_no_calibration_error() -> None:
    found = {"documents": 4, "pmr": value(0.0), "calibration_error": 0.0}
    assert cells_of(metric_table("test", found))["calibration_error"][0] == "-"
    assert cells_of(metric_table("test", {**found, "pmr": value(0.5)}))["calibration_error"][0] == "0.000"
