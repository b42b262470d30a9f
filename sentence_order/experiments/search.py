"""Searches: sweeps of which one setting is to be chosen. They choose by validation, so that the test stays honest."""

from collections.abc import Sequence
from dataclasses import dataclass

from sentence_order.config.commands import as_typed
from sentence_order.config.components import METRICS
from sentence_order.config.keys import key_infos
from sentence_order.config.schema import TrainConfig
from sentence_order.experiments.job import SEARCH_FILE
from sentence_order.experiments.runs import Arm, Run


@dataclass(frozen=True)
class Choice:
    """The best arm of a search by `trainer.metric` on the validation documents."""

    arm: Arm
    num_arms: int
    metric: str
    value: float  # the mean over the runs of the arm
    settings: str  # in which the arms differ, as one types them

    def __str__(self) -> str:
        folders = ", ".join(str(run.folder) for run in self.arm.runs)
        return f"Best of {self.num_arms} by validation {self.metric}: {self.settings}, {self.value:.3f} -> {folders}"


def choose_by_validation(arms: Sequence[Arm]) -> Choice | None:
    """The choice of a search; None for other runs, and for those that were validated by different metrics."""
    runs = [run for arm in arms for run in arm.runs]
    metrics = {run.settings["trainer.metric"] for run in runs}
    differing = _differing_keys(runs)
    if len(arms) < 2 or len(metrics) > 1 or not _is_search(arms, differing):
        return None
    means = []
    for arm in arms:
        values = [run.validation for run in arm.runs if run.validation is not None]
        if len(values) < len(arm.runs):
            return None
        means.append(sum(values) / len(values))
    (metric,) = metrics
    value, arm = max(zip(means, arms, strict=True), key=lambda pair: METRICS[metric] * pair[0])
    settings = " ".join(as_typed(key, arm.runs[0].settings[key]) for key in differing)
    return Choice(arm, len(arms), metric, value, settings)


def _is_search(arms: Sequence[Arm], differing: Sequence[str]) -> bool:
    """True for the runs of a searching plugin, and for a grid of numbers without repeated seeds.

    Not if all are integers, such as numbers of layers, or one is 0, which switches something off.
    """
    runs = [run for arm in arms for run in arm.runs]
    if any((run.folder.parent / SEARCH_FILE).exists() for run in runs):
        return True
    values = [run.settings[key] for run in runs for key in differing]
    has_numbers = all(type(value) is int or (type(value) is float and value > 0) for value in values)
    return has_numbers and any(type(value) is float for value in values) and len(runs) == len(arms)


def _differing_keys(runs: Sequence[Run]) -> list[str]:
    """The keys of which the runs have different values, other than those that repetitions differ in."""
    infos, first = key_infos(TrainConfig), runs[0].settings
    return [
        key
        for key, value in first.items()
        if not infos[key].varies_between_seeds and any(run.settings[key] != value for run in runs)
    ]
