"""The results of each arm, and its differences from the baseline, with intervals.

Two things would come out differently another time: the documents of the test, and the seed that a run draws from. The
standard error of a mean over seeds has a part for each. That of the documents follows from the residuals of a ratio of
sums (Cochran 1977, "Sampling techniques", chapter 6), document by document, so that a difference is a paired one. That
of the seeds is pooled over all arms, since each has few; it is added, and the degrees of freedom of the sum are those
of Satterthwaite 1946. With one seed per arm, that part is not known, and left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtr, stdtrit  # of Student's t; `scipy.stats` takes a second to import

from sentence_order.arrays import FloatArray
from sentence_order.data.groups import group_label, rows_by_group
from sentence_order.errors import UserError
from sentence_order.evaluation.metrics import CORRELATIONS, MAIN_METRICS, PRIMARY_METRIC, RatioArray, metrics_of, select
from sentence_order.evaluation.results import shared_documents
from sentence_order.evaluation.statistics import Interval
from sentence_order.experiments.runs import COSTS, Arm, find_differing

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """An arm's value less the baseline's. `p` is two-sided, and corrected for the number of arms (Holm 1979)."""

    value: float
    low: float
    high: float
    p: float

    @property
    def is_significant(self) -> bool:
        """True if it is not explained by chance."""
        return self.p < 1 - CONFIDENCE

    def __str__(self) -> str:
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


@dataclass(frozen=True)
class Row:
    """The results of an arm."""

    arm: Arm
    parameters: int
    parameters_trained: int
    cache_seconds: float  # spent by its runs together on filling the prefix cache
    values: dict[str, Interval] = field(default_factory=dict)  # by metric on the test documents, and of the `COSTS`
    difference: dict[str, Difference] = field(default_factory=dict)  # by metric, to the baseline, which has none

    @property
    def tau(self) -> Interval:
        """The metric that decides."""
        return self.values[PRIMARY_METRIC]

    @property
    def tau_difference(self) -> Difference:
        """To the baseline, by the metric that decides."""
        return self.difference[PRIMARY_METRIC]

    @property
    def seconds(self) -> float:
        """Of training steps, the mean over its runs."""
        return self.values["seconds_in_steps"]["value"]


@dataclass(frozen=True)
class Comparison:
    """All arms, and the baseline that the others are compared with."""

    rows: list[Row]
    baseline: Row
    documents: int  # of the test, that all runs have
    documents_left_out: int  # that some run was tested on, and another was not
    groups: dict[str, int]  # the documents of each group, of two at least, by the name of its value: "tau/known plots"

    @property
    def has_several_encoders(self) -> bool:
        """True if the arms differ in their encoder."""
        differing = find_differing([row.arm.runs[0] for row in self.rows])
        return any(key.startswith(("encoder.name", "encoder.tiny_")) for key in differing)

    @property
    def others(self) -> list[Row]:
        """All arms but the baseline."""
        return [row for row in self.rows if row is not self.baseline]


def compare_arms(arms: list[Arm], baseline: str | None = None) -> Comparison:
    """Estimates for every arm, and their differences from the one named `baseline`; by default that is the arm with the
    most trained parameters, and of several the one that was started first.

    Raises UserError if there is no such arm, or the runs were not tested on two documents at least that all have.
    """
    tests = [run.test for arm in arms for run in arm.runs]
    groups, counts = shared_documents(tests)
    if (documents := len(groups)) < 2:
        raise UserError("the runs have a single test document in common, by its text: too few to compare")
    names = [arm.name for arm in arms]
    baseline = next((arm.name for arm in arms if arm.name_in_full == baseline), baseline)
    if baseline is not None and baseline not in names:
        raise UserError(f"--baseline: unknown arm {baseline!r}. Available: {'; '.join(names)}")

    rows = []
    for arm in arms:
        training = arm.runs[0].training
        cache_seconds = sum(run.training["seconds_in_cache"] for run in arm.runs if run.training["cached"])
        rows.append(Row(arm, training["parameters"], training["parameters_trained"], cache_seconds))
    base = max(rows, key=lambda row: row.parameters_trained) if baseline is None else rows[names.index(baseline)]
    left_out = max(len(test["per_document"]["text"]) for test in tests) - documents
    found = Comparison(rows, base, documents, left_out, {})

    ratios = map(metrics_of, counts)
    ratios_of = {arm.name: [next(ratios) for _ in arm.runs] for arm in arms}
    for metric in MAIN_METRICS:
        _add_metric(found, metric, {name: [run[metric] for run in runs] for name, runs in ratios_of.items()})
    for group, rows_R in rows_by_group(groups).items():
        if len(rows_R) > 1:
            found.groups[key := f"{PRIMARY_METRIC}/{group_label(group)}"] = len(rows_R)
            own = {name: [select(run, rows_R)[PRIMARY_METRIC] for run in runs] for name, runs in ratios_of.items()}
            _add_metric(found, key, own)
    for key in COSTS:
        _add_cost(rows, key)
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """P values of several tests, corrected to control the family-wise error rate (Holm 1979, "A simple sequentially
    rejective multiple test procedure"): those of .01, .04, .03 are .03, .06, .06."""
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = least
    return corrected


def _add_metric(found: Comparison, metric: str, ratios_of: dict[str, list[RatioArray]]) -> None:
    """The values of the arms by a metric, and their differences from the baseline.

    Their intervals, which are symmetric, end where the metric does.
    """
    lowest = -1.0 if metric.split("/")[0] in CORRELATIONS else 0.0
    base = found.baseline.arm
    denominator_D = ratios_of[base.name][0].denominator  # the same in all runs
    total = denominator_D.sum()
    spread, freedom = _pooled([[run.numerator.sum() / total for run in runs] for runs in ratios_of.values()])
    mean_D = {name: np.mean([run.numerator for run in runs], axis=0) for name, runs in ratios_of.items()}
    for row in found.rows:
        seed_error = spread / math.sqrt(len(row.arm.runs))
        value, low, high, _ = _estimate(mean_D[row.arm.name], denominator_D, seed_error, freedom)
        row.values[metric] = Interval(value=value, low=max(low, lowest), high=min(high, 1.0))

    estimates = []
    for row in found.others:
        seed_error = spread * math.sqrt(1 / len(row.arm.runs) + 1 / len(base.runs))
        estimates.append(_estimate(mean_D[row.arm.name] - mean_D[base.name], denominator_D, seed_error, freedom))
    for row, (value, low, high, _), p in zip(found.others, estimates, holm([p for *_, p in estimates]), strict=True):
        row.difference[metric] = Difference(value, max(low, lowest - 1), min(high, 1 - lowest), p)


def _add_cost(rows: list[Row], key: str) -> None:
    """A cost of every arm: the mean over its runs. What runs differ by is a factor, and pooled over the arms as one."""
    measured = [[float(run.training[key]) for run in row.arm.runs] for row in rows]
    spread, freedom = _pooled([[math.log(value) for value in values] for values in measured])
    for row, values in zip(rows, measured, strict=True):
        mean = sum(values) / len(values)
        row.values[key] = Interval(value=mean, low=None, high=None)
        if freedom:
            factor = math.exp(float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * spread / math.sqrt(len(values)))
            row.values[key] = Interval(value=mean, low=mean / factor, high=mean * factor)


def _pooled(groups: list[list[float]]) -> tuple[float, int]:
    """The standard deviation within groups that they have in common, and its degrees of freedom; 0 where unknown."""
    freedom = sum(len(values) - 1 for values in groups)
    squares = sum(float(np.var(values)) * len(values) for values in groups)
    return (math.sqrt(squares / freedom) if freedom else 0.0), freedom


def _estimate(
    numerator_D: FloatArray, denominator_D: FloatArray, seed_error: float, seed_freedom: int
) -> tuple[float, float, float, float]:
    """A ratio of sums over documents: its value, the bounds of its interval, and p against zero."""
    count = len(numerator_D)
    value = float(numerator_D.sum() / denominator_D.sum())
    residual_D = numerator_D - value * denominator_D
    documents = float(residual_D @ residual_D) * count / (count - 1) / float(denominator_D.sum()) ** 2
    seeds = seed_error**2
    variance = documents + seeds
    if variance == 0:
        return value, value, value, 1.0 if value == 0 else 0.0
    freedom = variance**2 / (documents**2 / (count - 1) + (seeds**2 / seed_freedom if seed_freedom else 0.0))
    error = math.sqrt(variance)
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    return value, value - half, value + half, float(2 * stdtr(freedom, -abs(value) / error))
