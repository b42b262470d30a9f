"""Reads what a run has written to metrics.jsonl."""

import json
import re
from pathlib import Path

# What is measured by the clock, and so differs between equal runs.
CLOCK_TAGS = re.compile(r"train/(documents|tokens)_per_second|total/")


def lines_of(run: Path) -> list[dict[str, float]]:
    """The lines of a run's metrics.jsonl."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def lines_without_clock(run: Path) -> list[dict[str, float]]:
    """The same, but for what is measured by the clock."""
    return [{tag: value for tag, value in line.items() if not CLOCK_TAGS.match(tag)} for line in lines_of(run)]


def losses_of(lines: list[dict[str, float]]) -> list[float]:
    """The training loss, step by step."""
    return [line["train/loss"] for line in lines if "train/loss" in line]
