"""The results of each arm, and its differences from the baseline, with intervals.

Two things would come out differently another time: the documents of the test, and the seed that a run draws from. The
standard error of a mean over seeds has a part for each. That of the documents follows from the residuals of a ratio of
sums (Cochran 1977, "Sampling techniques", chapter 6), document by document, so that a difference is a paired one. That
of the seeds is pooled over all arms, since each has few; it is added, and the degrees of freedom of the sum are those
of Satterthwaite 1946. With one seed an arm, that part is not known, and left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sentence_order.arrays import FloatArray
from sentence_order.errors import UserError
from sentence_order.evaluation.metrics import MAIN_METRICS, PRIMARY_METRIC, RatioArray, metrics_of
from sentence_order.evaluation.results import shared_documents
from sentence_order.evaluation.statistics import Interval
from sentence_order.experiments.runs import Arm

CONFIDENCE = 0.95
# The costs of an arm in a report: keys of the record of training in results.json.
COSTS = ("seconds_in_steps", "documents_per_second", "peak_memory_gb")


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


@dataclass(frozen=True)
class Row:
    """The results of an arm.

    Attributes:
        quality: accuracy, PMR and tau on the test documents.
        costs: seconds of training steps, documents a second in them, peak memory in GB.
        cache_seconds: spent by its runs together on filling the prefix cache.
        difference: by metric, to the baseline, which itself has none.
    """

    arm: Arm
    quality: dict[str, Interval]
    costs: dict[str, Interval]
    parameters: int
    parameters_trained: int
    cache_seconds: float
    difference: dict[str, Difference]

    @property
    def tau(self) -> Interval:
        """The metric that decides."""
        return self.quality[PRIMARY_METRIC]

    @property
    def seconds(self) -> float:
        """Of training steps, the mean over its runs."""
        return self.costs["seconds_in_steps"]["value"]


@dataclass(frozen=True)
class Comparison:
    """All arms, and the baseline that the others are compared with."""

    rows: list[Row]
    baseline: Row
    documents: int

    @property
    def others(self) -> list[Row]:
        """All arms but the baseline."""
        return [row for row in self.rows if row is not self.baseline]

    @property
    def has_multiple_seeds(self) -> bool:
        """True if any arm has several seeds, so that their spread can be estimated."""
        return any(len(row.arm.runs) > 1 for row in self.rows)


def compare_arms(arms: list[Arm], baseline: str | None = None) -> Comparison:
    """Estimates for every arm.

    Args:
        baseline: the name of the arm to compare with; by default the arm with the most trained parameters, and of
            several the one that was started first.

    Raises:
        UserError: there is no such arm, or runs were not tested on the same documents.
    """
    ids, counts = shared_documents([run.test for arm in arms for run in arm.runs])
    if len(ids) < 2:
        raise UserError("the runs have a single test document in common, by its id: too few to compare")
    each = iter(counts)
    counts_of = {arm.name: [next(each) for _ in arm.runs] for arm in arms}
    if baseline is None:
        base = max(arms, key=lambda arm: arm.runs[0].training["parameters_trained"])
    else:
        found = [arm for arm in arms if arm.name == baseline]
        if not found:
            raise UserError(f"--baseline: unknown arm {baseline!r}. Available: {'; '.join(a.name for a in arms)}")
        base = found[0]

    quality: dict[str, dict[str, Interval]] = {arm.name: {} for arm in arms}
    difference: dict[str, dict[str, Difference]] = {arm.name: {} for arm in arms}
    for metric in MAIN_METRICS:
        measured = {name: [metrics_of(own)[metric] for own in runs] for name, runs in counts_of.items()}
        error, freedom = _pooled([[_ratio(*parts) for parts in runs] for runs in measured.values()])
        for name, runs in measured.items():
            mean_D, denominator_D = _mean(runs)
            value, half, _ = _estimate(mean_D, denominator_D, error / math.sqrt(len(runs)), freedom)
            quality[name][metric] = Interval(value=value, low=value - half, high=value + half)

        others = [arm.name for arm in arms if arm is not base]
        base_D, denominator_D = _mean(measured[base.name])
        found_differences = []
        for name in others:
            gain_D = _mean(measured[name])[0] - base_D
            seeds = error * math.sqrt(1 / len(measured[name]) + 1 / len(measured[base.name]))
            found_differences.append(_estimate(gain_D, denominator_D, seeds, freedom))
        corrected = holm([p for *_, p in found_differences])
        for name, (value, half, _), p in zip(others, found_differences, corrected, strict=True):
            difference[name][metric] = Difference(value, value - half, value + half, p)

    costs = {key: _costs(arms, key) for key in COSTS}
    rows = [
        Row(
            arm=arm,
            quality=quality[arm.name],
            costs={key: costs[key][number] for key in COSTS},
            parameters=arm.runs[0].training["parameters"],
            parameters_trained=arm.runs[0].training["parameters_trained"],
            cache_seconds=sum(run.training["seconds_in_cache"] for run in arm.runs if run.training["cached"]),
            difference=difference[arm.name],
        )
        for number, arm in enumerate(arms)
    ]
    return Comparison(rows, next(row for row in rows if row.arm is base), len(ids))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values of several tests, corrected to control the family-wise error rate (Holm 1979, "A simple sequentially
    rejective multiple test procedure").

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = least
    return corrected


def _mean(runs: list[RatioArray]) -> RatioArray:
    """The mean numerators over the seeds; the denominators are the same in all."""
    return RatioArray(np.mean([run.numerator for run in runs], axis=0), runs[0].denominator)


def _ratio(numerator_D: FloatArray, denominator_D: FloatArray) -> float:
    return float(numerator_D.sum() / denominator_D.sum())


def _estimate(
    numerator_D: FloatArray, denominator_D: FloatArray, seed_error: float, seed_freedom: int
) -> tuple[float, float, float]:
    """A ratio of sums over documents: its value, half the width of its interval, and p against zero."""
    from scipy.stats import t  # takes a second to import

    count = len(numerator_D)
    value = _ratio(numerator_D, denominator_D)
    residual_D = numerator_D - value * denominator_D
    documents = float(residual_D @ residual_D) * count / (count - 1) / float(denominator_D.sum()) ** 2
    seeds = seed_error**2
    variance = documents + seeds
    if variance == 0:
        return value, 0.0, 1.0 if value == 0 else 0.0
    shares = documents**2 / (count - 1) + (seeds**2 / seed_freedom if seed_freedom else 0.0)
    freedom = variance**2 / shares
    error = math.sqrt(variance)
    return value, float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error, float(2 * t.sf(abs(value) / error, freedom))


def _pooled(groups: list[list[float]]) -> tuple[float, int]:
    """The standard deviation within groups that they have in common, and its degrees of freedom; 0 where unknown."""
    freedom = sum(len(values) - 1 for values in groups)
    squares = sum(float(np.var(values)) * len(values) for values in groups)
    return (math.sqrt(squares / freedom) if freedom else 0.0), freedom


def _costs(arms: list[Arm], key: str) -> list[Interval]:
    """A cost of every arm: the mean over its runs. What runs differ by is a factor, and pooled over the arms as one."""
    from scipy.stats import t

    measured = [[float(run.training[key]) for run in arm.runs] for arm in arms]
    spread, freedom = _pooled([[math.log(value) for value in values] for values in measured])
    found = []
    for values in measured:
        mean = sum(values) / len(values)
        if freedom:
            factor = math.exp(float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * spread / math.sqrt(len(values)))
            found.append(Interval(value=mean, low=mean / factor, high=mean * factor))
        else:
            found.append(Interval(value=mean, low=None, high=None))
    return found
