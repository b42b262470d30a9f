"""What a report is about: its title, what all of its runs have in common, and what it leaves out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sentence_order.errors import counted
from sentence_order.experiments.estimates import Comparison
from sentence_order.experiments.job import FAILURES
from sentence_order.experiments.runs import Run, find_differing, short_key

MAX_KEYS = 3


def make_title(found: Comparison) -> str:
    """What was compared, and with which encoder, corpus and length of training, where these are the same in all."""
    runs = [run for row in found.rows for run in row.arm.runs]
    differing = find_differing(runs)
    subject = "One arm"
    if differing == ["frozen"]:
        is_pair = len(found.rows) == 2 and any(not row.arm.frozen for row in found.rows)
        subject = "Frozen against unfrozen" if is_pair else "Depths of freezing"
    elif differing:
        keys = list(dict.fromkeys(map(short_key, differing)))
        subject = f"Arms by {', '.join(keys[:MAX_KEYS])}{' and more' if len(keys) > MAX_KEYS else ''}"
    facts = [_encoder(runs), _corpus(runs), _length(runs)]
    return ": ".join(filter(None, [subject, ", ".join(filter(None, facts))]))


def describe_runs(found: Comparison) -> str:
    """The seeds and the dates of all runs, in a sentence."""
    runs = [run for row in found.rows for run in row.arm.runs]
    seeds = sorted({run.settings["seed"] for run in runs})
    dates = sorted({run.started[:10] for run in runs})
    when = dates[0] if len(dates) == 1 else f"from {dates[0]} to {dates[-1]}"
    arms, of = counted(len(found.rows), "arm"), counted(len(runs), "run")
    return f"{of} in {arms}, with the seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}, started {when}."


def describe_left_out(paths: Sequence[Path], runs: Sequence[Run], unfinished: Sequence[Path]) -> list[str]:
    """Sentences about the runs of a sweep that have failed, or are not finished."""
    finished = {run.folder.name for run in runs}
    failures = [file for path in paths for file in sorted(path.glob(f"{FAILURES}/*.txt")) if file.stem not in finished]
    failed = [f"{file.stem} ({file.read_text(encoding='utf-8', errors='replace').strip()})" for file in failures]
    names = [folder.name for folder in unfinished if folder.name not in {file.stem for file in failures}]
    lists = [("failed", failed), ("not finished", names)]
    return [f"Left out, {why}: {'; '.join(who)}." for why, who in lists if who]


def _common(runs: Sequence[Run], key: str) -> Any:
    """The value of a key, if it is the same in all runs."""
    first = runs[0].settings[key]
    return first if all(run.settings[key] == first for run in runs) else None


def _encoder(runs: Sequence[Run]) -> str:
    return (_common(runs, "encoder.name") or "").rsplit("/", 1)[-1]


def _corpus(runs: Sequence[Run]) -> str:
    source = _common(runs, "data.source")
    name = (
        source
        if source == "synthetic"
        else _common(runs, "data.hub_id") or Path(_common(runs, "data.train") or "").name
    )
    counts = {int(run.training.get("documents", 0)) for run in runs}
    size = f" ({counted(min(counts), 'document')})" if name and len(counts) == 1 and min(counts) else ""
    return f"{name or ''}{size}"


def _length(runs: Sequence[Run]) -> str:
    if steps := _common(runs, "trainer.max_steps"):
        return counted(steps, "step")
    capped = any(run.settings["trainer.max_steps"] for run in runs)
    epochs = None if capped else _common(runs, "trainer.epochs")
    return counted(epochs, "epoch") if epochs else ""
