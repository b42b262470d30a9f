"""Reads what a run has logged, but for what is measured by the clock and so differs between equal runs."""

import csv
import json
import re
from pathlib import Path

CLOCK_TAGS = re.compile(r"train/(documents|tokens)_per_second|total/")
CLOCK_COLUMNS = re.compile(r"seconds_in_|documents_per_second|peak_memory")


def lines_without_clock(run: Path) -> list[dict[str, float]]:
    """The lines of a run's metrics.jsonl."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{tag: value for tag, value in json.loads(line).items() if not CLOCK_TAGS.match(tag)} for line in lines]


def rows_without_clock(sweep: Path) -> list[dict[str, str]]:
    """The rows of the table in a sweep's report."""
    with (sweep / "report" / "report.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [{column: cell for column, cell in row.items() if not CLOCK_COLUMNS.match(column)} for row in rows]
