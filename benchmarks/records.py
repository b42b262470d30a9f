"""Reads the metrics.jsonl of a run."""

import json
import re
from pathlib import Path

# Measured by the clock, and so different in equal runs.
CLOCK_TAGS = re.compile(r"train/(documents|tokens)_per_second|total/")


def read_lines(run: Path) -> list[dict[str, float]]:
    """The lines of a run's metrics.jsonl."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def read_lines_without_clock(run: Path) -> list[dict[str, float]]:
    """The same without what is measured by the clock."""
    return [{tag: value for tag, value in line.items() if not CLOCK_TAGS.match(tag)} for line in read_lines(run)]


def get_losses(lines: list[dict[str, float]]) -> list[float]:
    """The training loss, step by step."""
    return [line["train/loss"] for line in lines if "train/loss" in line]
