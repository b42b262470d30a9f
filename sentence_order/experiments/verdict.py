"""The verdict of a comparison in words: price, gain, best trade-off, and significance."""

from sentence_order.evaluation.statistics import format_interval
from sentence_order.experiments.estimates import Comparison, Row
from sentence_order.experiments.search import Choice

# With fewer test documents, the intervals, which take their means to be normally distributed, tend to be too narrow.
MIN_DOCUMENTS = 30


def verdict(found: Comparison, margin: float, choice: Choice | None = None) -> list[str]:
    """Sentences, the most important first.

    `margin` is the loss of tau against the baseline that is acceptable; an arm is shown to stay within it if the whole
    interval of its difference lies above minus the margin. Of a search it judges nothing but the `choice`.
    """
    if not found.others:
        return [f"There is one arm, and nothing to compare: tau {format_interval(found.baseline.tau)}."]
    if choice is not None:
        (row,) = (row for row in found.rows if row.arm is choice.arm)
        return [
            f"{choice}. On the test documents, its tau is **{format_interval(row.tau)}**.",
            "This is a search: the choice is by validation, and the test values of the other settings had no part in "
            "it. The greatest of many test values would be too high by chance.",
            _how_far_it_goes(found),
        ]
    freezing = len({row.arm.frozen for row in found.rows}) > 1 and not found.has_several_encoders
    first = _freezing(found) if freezing else _best(found)
    return [first, _trade_off(found, margin), _beyond_chance(found), _how_far_it_goes(found)]


def _freezing(found: Comparison) -> str:
    """The cost and the gain of the arm that freezes most."""
    base = found.baseline
    most = min(found.others, key=lambda row: (row.parameters_trained, row.seconds))
    change = most.tau_difference
    price = f"is not shown to change tau, {change}"
    if change.is_significant:
        small, large = sorted((abs(change.low), abs(change.high)))
        verb = "costs" if change.value < 0 else "gains"
        price = f"{verb} {abs(change.value):.3f} of tau ({small:.3f} to {large:.3f})"
    percent = 100 * most.parameters_trained / base.parameters_trained
    return (
        f"With **{_name(most)}**, {percent:.{0 if percent >= 10 else 1}f} % as many parameters train as with "
        f"{_name(base)}. It {price}, and {_time(most, base)}."
    )


def _best(found: Comparison) -> str:
    best = max(found.rows, key=lambda row: row.tau["value"])
    if best is found.baseline:
        return f"No arm has a greater tau than **{_name(best)}**: {format_interval(best.tau)}."
    change = best.tau_difference
    shown = "show that it is better" if change.is_significant else "do not show which of the two is better"
    return (
        f"**{_name(best)}** has the greatest tau, {format_interval(best.tau)}: {change} to {_name(found.baseline)}; "
        f"the data {shown}."
    )


def _trade_off(found: Comparison, margin: float) -> str:
    """The fastest arm that is shown to lose no more than the margin, or the nearest to that."""
    base = found.baseline
    faster = [row for row in found.others if row.seconds < base.seconds]
    if not faster:
        return f"No arm trains in less time than {_name(base)} ({_seconds(base)})."
    # An interval without width shows nothing: all documents came out alike, as a few easy ones may.
    sound = [row for row in faster if -margin < row.tau_difference.low < row.tau_difference.high]
    if sound:
        best = min(sound, key=lambda row: row.seconds)
        return (
            f"The best trade-off is **{_name(best)}**: tau {format_interval(best.tau)}, {best.tau_difference}, and it "
            f"{_time(best, base)}. The data show that it loses less than {margin:g} of tau; no faster arm is "
            f"shown to stay within {margin:g}."
        )
    near = max(faster, key=lambda row: row.tau_difference.low)
    return (
        f"No faster arm is shown to lose less than {margin:g} of tau. The nearest to that is "
        f"**{_name(near)}**: {near.tau_difference}, and it {_time(near, base)}."
    )


def _beyond_chance(found: Comparison) -> str:
    different = [row.arm.name for row in found.others if row.tau_difference.is_significant]
    alike = [row.arm.name for row in found.others if not row.tau_difference.is_significant]
    if len(found.others) == 1:
        verb = "differs" if different else "does not differ"
        return f"The tau of {_name(found.others[0])} {verb} beyond chance from that of {_name(found.baseline)}."
    text = f"Against {_name(found.baseline)}, tau differs beyond chance in {len(different)} of {len(found.others)} arms"
    if different:
        text += f" ({', '.join(different)})"
    if alike:
        text += f"; no difference is shown for {', '.join(alike)}"
    return f"{text}."


def _how_far_it_goes(found: Comparison) -> str:
    seeds = sorted({len(row.arm.runs) for row in found.rows})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    text = f"This rests on {count} seed{'s' if seeds[-1] > 1 else ''} per arm and {found.documents:,} test documents"
    if found.documents < MIN_DOCUMENTS:
        text += ", which are too few for intervals that one can rely on"
    if seeds[-1] > 1:
        encoder = "these encoders" if found.has_several_encoders else "this encoder"
        return f"{text}. It holds for {encoder}, this corpus and this length of training."
    return f"{text}: how much another seed would change is not known, and the intervals leave it out."


def _name(row: Row) -> str:
    """An arm as part of a sentence."""
    if row.arm.name != row.arm.depth_name:
        return row.arm.name
    known = {"none": "nothing frozen", "whole encoder": "the whole encoder frozen"}
    return known.get(row.arm.name, f"{row.arm.name} frozen")


def _seconds(row: Row) -> str:
    return f"{row.seconds:,.{0 if row.seconds >= 10 else 2}f} s"


def _time(row: Row, base: Row) -> str:
    share = row.seconds / base.seconds
    times = f"{_seconds(row)} against {_seconds(base)}"
    if share > 1:
        return f"takes {share:.2f} times the training time ({times})"
    cache = f", and {row.cache_seconds:,.0f} s once to fill the prefix cache" if row.cache_seconds >= 1 else ""
    return f"saves {100 * (1 - share):.0f} % of the training time ({times}{cache})"
