"""Reads what a run has logged, but for what is measured by the clock and so differs between equal runs."""

import json
import re
from pathlib import Path

CLOCK_TAGS = re.compile(r"train/(documents|tokens)_per_second|total/")


def lines_without_clock(run: Path) -> list[dict[str, float]]:
    """The lines of a run's metrics.jsonl."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{tag: value for tag, value in json.loads(line).items() if not CLOCK_TAGS.match(tag)} for line in lines]
