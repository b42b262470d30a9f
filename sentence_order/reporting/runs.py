"""Finds the runs of a report, reads what they left, and groups those that differ in their seed only."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentence_order.config import leaves
from sentence_order.errors import UserError, first_line
from sentence_order.results import read_results
from sentence_order.training.folder import CONFIG_FILE, RESULTS_FILE, Stage, read_config, stage_of
from sentence_order.training.recorder import METRICS_FILE

# Runs that differ in these only are repetitions of each other.
REPEATED = ("seed", "output_dir", "resume", "cache.dir", "cache.max_gb")

# What a report reads of a run's training.
FIGURES = (
    *("seconds_in_steps", "documents_per_second", "seconds_in_cache", "peak_memory_gb"),
    *("parameters", "parameters_trained"),
)


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        settings: its config, by dotted key.
        training: what results.json tells of its training.
        test: what it tells of the test documents.
        curve: epochs done, and tau on the validation documents, at each validation.
    """

    folder: Path
    settings: dict[str, Any]
    training: dict[str, Any]
    test: dict[str, Any]
    started: str
    curve: list[tuple[float, float]]

    @property
    def seed(self) -> int:
        """What it drew its shuffles and new weights from."""
        return int(self.settings["seed"])

    @property
    def frozen(self) -> tuple[str, ...]:
        """The blocks that were frozen from beginning to end."""
        return tuple(self.training["frozen"])


@dataclass(frozen=True)
class Arm:
    """Runs that differ in their seed only, under the name of what tells them from the other arms."""

    name: str
    runs: list[Run]

    @property
    def frozen(self) -> tuple[str, ...]:
        """The blocks that were frozen from beginning to end."""
        return self.runs[0].frozen

    @property
    def depth_name(self) -> str:
        """What is frozen, in a word or two."""
        return depth_name(self.runs[0])


def find_runs(paths: list[Path]) -> tuple[list[Run], list[Path]]:
    """All finished runs at and below some folders, in the order in which they were started, and the unfinished ones.

    Raises:
        UserError: a folder is not there, holds no finished run, or a run's files are damaged.
    """
    folders: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            raise UserError(f"{path}: no such folder; name folders of runs, or of sweeps")
        folders |= dict.fromkeys(sorted(file.parent for file in path.rglob(CONFIG_FILE)))
    stages = {folder: stage_of(folder) for folder in folders}
    runs = [_read(folder) for folder, stage in stages.items() if stage is Stage.finished]
    if not runs:
        raise UserError(f"{', '.join(map(str, paths))}: no finished run there (none with {RESULTS_FILE})")
    return sorted(runs, key=lambda run: run.started), [f for f, stage in stages.items() if stage is not Stage.finished]


def group(runs: list[Run]) -> tuple[list[Arm], list[Run]]:
    """The arms, in the order in which they were begun; and runs left out, since another has their config and seed."""
    groups: dict[str, dict[int, Run]] = {}
    left_out = []
    for run in runs:
        same = groups.setdefault(_identity(run), {})
        if run.seed in same:
            left_out.append(run)
        else:
            same[run.seed] = run
    members = [list(same.values()) for same in groups.values()]
    names = _names([runs[0] for runs in members])
    return [Arm(name, runs) for name, runs in zip(names, members, strict=True)], left_out


def depth_name(run: Run) -> str:
    """What a run freezes, in a word or two."""
    if schedule := run.settings["freeze.schedule"]:
        return f"gradual {' '.join(schedule)}"
    if not run.frozen:
        return "none"
    if "all" in (run.settings["freeze.depth"], run.settings["freeze.layers"]) and run.frozen[0] == "embeddings":
        return "whole encoder"
    layers = [block.removeprefix("layer_") for block in run.frozen if block != "embeddings"]
    lowest = layers == [str(number) for number in range(len(layers))]
    told = f"{len(layers)} layer{'s' if len(layers) > 1 else ''}" if lowest else f"layers {', '.join(layers)}"
    if run.frozen[0] != "embeddings":
        return told
    return f"embeddings + {told}" if layers else "embeddings"


def _read(folder: Path) -> Run:
    test = read_results(folder, "test")
    whole = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    training, started = whole.get("train"), whole.get("started")
    if not isinstance(started, str) or not isinstance(training, dict) or not _is_whole(training):
        raise UserError(f"{folder / RESULTS_FILE}: of another version or damaged, which a report cannot read")
    return Run(folder, leaves(read_config(folder)), training, test, started, _curve(folder / METRICS_FILE))


def _is_whole(training: dict[str, Any]) -> bool:
    figures: list[Any] = [training.get(name) for name in FIGURES]
    frozen = training.get("frozen")
    return (
        all(type(figure) in (int, float) and 0 <= figure < math.inf for figure in figures)
        and isinstance(training.get("cached"), bool)
        and isinstance(frozen, list)
        and all(isinstance(block, str) for block in frozen)
    )


def _curve(file: Path) -> list[tuple[float, float]]:
    try:
        records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        judged = [record for record in records if "validation/tau" in record]
        return [(float(record["epoch"]), float(record["validation/tau"])) for record in judged]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: is damaged: {first_line(error)}") from error


def _facts(run: Run) -> dict[str, Any]:
    """What tells runs apart, with what is frozen as one fact, and what is trained by as another."""
    told = {
        key: value
        for key, value in run.settings.items()
        if key not in REPEATED and not key.startswith(("freeze.", "loss."))
    }
    weights = {key.removeprefix("loss."): value for key, value in run.settings.items() if key.startswith("loss.")}
    width = weights.pop("margin_width")
    losses = "+".join(f"{name}" if weight == 1 else f"{weight:g} {name}" for name, weight in weights.items() if weight)
    margin = f" (margin_width {width:g})" if weights["margin"] and width != 1 else ""
    return {"frozen": depth_name(run), "loss": losses + margin, **told}


def _identity(run: Run) -> str:
    return json.dumps([_facts(run), run.frozen], sort_keys=True)


def _names(first_runs: list[Run]) -> list[str]:
    """A name for every arm, of what is not the same in all."""
    facts = [_facts(run) for run in first_runs]
    differing = [key for key in facts[0] if any(other[key] != facts[0][key] for other in facts)]
    names = []
    for own in facts:
        parts = []
        for key in differing:
            label = key.removesuffix(".name").rsplit(".", 1)[-1]
            value = own[key]
            value = f"{value:g}" if isinstance(value, float) else " ".join(value) if isinstance(value, list) else value
            parts.append(f"{label}: {value}" if len(differing) > 1 or key != "frozen" else str(value))
        names.append(", ".join(parts) or "all runs")
    return names
