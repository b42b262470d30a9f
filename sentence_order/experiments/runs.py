"""Finds and reads the runs of a report, and groups those that differ in their seed only."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentence_order.config.keys import flatten_config, key_infos
from sentence_order.config.schema import TrainConfig
from sentence_order.config.summary import describe_frozen, describe_losses
from sentence_order.errors import UserError, first_line
from sentence_order.evaluation.results import read_results
from sentence_order.runtime.console import console
from sentence_order.training.run_config import CONFIG_FILE, read_config
from sentence_order.training.run_dir import METRICS_FILE, RESULTS_FILE, RunStatus, run_status

# Of the name of an arm, so that it fits in tables and legends.
MAX_NAME = 60
# Of the test documents of two runs, the share that shows that these are of one corpus.
MIN_SHARED = 0.05
# The costs of an arm in a report; and all numbers that the record of a training must have.
COSTS = ("seconds_in_steps", "documents_per_second", "peak_memory_gb")
NUMBERS = (*COSTS, "parameters", "parameters_trained", "cached", "seconds_in_cache")


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    settings: dict[str, Any]  # its config, by dotted key
    training: dict[str, Any]  # the record of its training in results.json
    test: dict[str, Any]  # its results on the test documents
    validation: float | None  # `trainer.metric` of its best checkpoint, if that is recorded
    started: str
    curve: list[tuple[float, float]]  # epochs done, and tau on the validation documents, at each validation

    @property
    def frozen(self) -> tuple[str, ...]:
        """The blocks that were frozen from beginning to end."""
        return tuple(self.training["frozen"])

    @property
    def depth_name(self) -> str:
        """What is frozen, in a word or two."""
        return describe_frozen(self.settings, self.frozen)

    @property
    def distinguishing_settings(self) -> dict[str, Any]:
        """The settings that distinguish arms, by importance; those of what is frozen, and of the loss, are one each."""
        infos = key_infos(TrainConfig)
        others = {
            key: value
            for key, value in self.settings.items()
            if not infos[key].varies_between_seeds and not key.startswith(("freeze.", "loss."))
        }
        frozen, loss = self.depth_name, describe_losses(self.settings)
        return {"encoder.name": self.settings["encoder.name"], "frozen": frozen, "loss": loss, **others}


@dataclass(frozen=True)
class Arm:
    """Runs that differ in their seed only, named by what distinguishes them from the other arms."""

    name: str
    runs: list[Run]
    frozen: tuple[str, ...]  # this and the next are the same in all of its runs
    depth_name: str
    name_in_full: str  # with every setting that differs, and paths with their folders


def find_runs(paths: Sequence[Path]) -> tuple[list[Run], list[Path]]:
    """All finished runs in and below some folders, by the time of their start, and the unfinished ones.

    Folders with the config of another program are left out. Raises UserError if there are no finished runs, or a run's
    files are damaged.
    """
    folders = [folder for path in paths for folder in sorted(file.parent for file in path.rglob(CONFIG_FILE))]
    runs, unfinished = [], []
    for folder in dict.fromkeys(folders):
        try:
            config = read_config(folder)
        except UserError as error:
            console.print(f"left out: {error}", markup=False, soft_wrap=True)
            continue
        if run_status(folder) is RunStatus.FINISHED:
            runs.append(_read(folder, config))
        else:
            unfinished.append(folder)
    if not runs:
        raise UserError(f"{', '.join(map(str, paths))}: no finished runs (none with {RESULTS_FILE})")
    return sorted(runs, key=lambda run: run.started), unfinished


def group_by_corpus(runs: list[Run]) -> list[list[Run]]:
    """The runs whose test documents, by their texts, are the same for the most part, or at least not others."""
    groups: list[tuple[set[str], list[Run]]] = []
    for run in runs:
        texts = {*run.test["per_document"]["text"]}
        for shared, members in groups:
            if len(shared & texts) >= max(2, MIN_SHARED * min(len(shared), len(texts))):
                shared &= texts
                members.append(run)
                break
        else:
            groups.append((texts, [run]))
    return [members for _, members in groups]


def name_corpora(corpora: list[list[Run]]) -> list[str]:
    """A name for each, which may be that of a folder."""
    settings = [members[0].settings for members in corpora]
    origins = [
        str(own["data.hub_id"] or own["data.test"] or own["data.train"] or own["data.source"]) for own in settings
    ]
    names = [re.sub(r"[^\w.+-]+", "-", re.sub(r"\.\w+$", "", name)) for name in _file_names(origins)]
    return [f"{number}-{name}" if names.count(name) > 1 else name for number, name in enumerate(names, 1)]


def group_runs(runs: list[Run]) -> tuple[list[Arm], list[Run]]:
    """The arms, by the time of their first start; and runs that repeat the config and seed of another."""
    groups: dict[str, dict[int, Run]] = {}
    left_out = []
    for run in runs:
        identity = json.dumps([run.distinguishing_settings, run.frozen], sort_keys=True)
        by_seed = groups.setdefault(identity, {})
        if by_seed.setdefault(run.settings["seed"], run) is not run:
            left_out.append(run)
    members = [list(group.values()) for group in groups.values()]
    names = _names([runs[0] for runs in members])
    pairs = zip(names, members, strict=True)
    arms = [Arm(name, runs, runs[0].frozen, runs[0].depth_name, in_full) for (name, in_full), runs in pairs]
    return arms, left_out


def _read(folder: Path, config: TrainConfig) -> Run:
    test = read_results(folder, "test")
    file = folder / RESULTS_FILE
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
        training, started = results["train"], str(results["started"])
        if not all(math.isfinite(float(training[key])) for key in NUMBERS):
            raise ValueError("a number of its training is not finite")
        if not isinstance(training["frozen"], list) or not all(isinstance(name, str) for name in training["frozen"]):
            raise ValueError("'frozen' is not a list of names")
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(f"{file}: not the results of a run: {first_line(error)}") from error
    validation = results.get("validation")
    for name in (config.trainer.metric.value, "value"):
        validation = validation.get(name) if isinstance(validation, dict) else validation
    validation = float(validation) if isinstance(validation, int | float) else None
    return Run(folder, flatten_config(config), training, test, validation, started, _curve(folder / METRICS_FILE))


def _curve(file: Path) -> list[tuple[float, float]]:
    try:
        records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        validations = [record for record in records if "validation/tau" in record]
        return [(float(record["epoch"]), float(record["validation/tau"])) for record in validations]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: is damaged: {first_line(error)}") from error


def find_differing(runs: Sequence[Run]) -> list[str]:
    """The distinguishing settings that are not the same in all runs."""
    settings = [run.distinguishing_settings for run in runs]
    return [key for key in settings[0] if any(own[key] != settings[0][key] for own in settings)]


def short_key(key: str) -> str:
    """The last part of a key that says what it is."""
    return key.removesuffix(".name").rsplit(".", 1)[-1]


def _names(first_runs: list[Run]) -> list[tuple[str, str]]:
    """A name for every arm, of what is not the same in all; and the same in full, if the name had to be shortened."""
    differing = find_differing(first_runs)
    texts = {key: [_as_text(run.distinguishing_settings[key]) for run in first_runs] for key in differing}
    if not differing or differing == ["frozen"]:
        return [(name, name) for name in texts.get("frozen", ["all runs"] * len(first_runs))]
    in_full, files = _join(texts), {key: _file_names(values) for key, values in texts.items()}
    names = _join(files)
    if max(map(len, names)) > MAX_NAME:  # without keys that tell apart no more arms than those before them
        deciding: dict[str, list[str]] = {}
        for key, values in files.items():
            if len({*_join({**deciding, key: values})}) > len({*_join(deciding)}):
                deciding[key] = values
        half = MAX_NAME // 2 - 2
        names = [name if len(name) <= MAX_NAME else f"{name[:half]}...{name[-half:]}" for name in _join(deciding)]
    if len(set(names)) < len(names):
        names = [f"{number}: {name}" for number, name in enumerate(names, 1)]
    return list(zip(names, in_full, strict=True))


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _file_names(values: list[str]) -> list[str]:
    """Paths by the names of their files or, if these are alike, without the folders and names that all have."""
    paths = [value.rstrip("/").split("/") for value in values]
    if len({path[-1] for path in paths}) == len(set(values)):
        return [path[-1] for path in paths]
    for end in (0, -1):
        while len({path[end] for path in paths}) == 1 and min(map(len, paths)) > 1:
            paths = [[*path[:end], *path[end:][1:]] for path in paths]
    return ["/".join(path) for path in paths]


def _join(texts: dict[str, list[str]]) -> list[str]:
    """For every arm, its keys with their values."""
    parts = [[f"{short_key(key)}: {value}" for value in values] for key, values in texts.items()]
    return [", ".join(own) for own in zip(*parts, strict=True)]
