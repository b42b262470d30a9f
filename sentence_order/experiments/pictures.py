"""The pictures of a report: tau against training time and size, quality by depth of freezing, learning curves.

Arms have colours that colour-blind readers can distinguish: those of Okabe and Ito 2008, "Color universal design", or,
if the arms are ordered, a scale that also grows in lightness.
"""

import io
import itertools
import math
from collections.abc import Sequence
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from sentence_order.evaluation.statistics import Interval
from sentence_order.experiments.estimates import Comparison, Row

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B8A800")
MARKERS = "osD^vP*X"
# In characters; longer names are broken into lines.
LEGEND_WIDTH, PANEL_WIDTH = 26, 32
GREY = "0.72"
UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.92",
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
    "lines.linewidth": 1.2,
    "svg.fonttype": "none",
    "svg.hashsalt": "sentence_order",  # the same picture is the same file
}


def draw(found: Comparison) -> dict[str, bytes]:
    """The files, by name, of every picture that the comparison gives."""
    figures = {"tau_against_time": _tau_against_time}
    if found.has_several_encoders and len({row.parameters for row in found.rows}) > 1:
        figures["tau_against_parameters"] = _tau_against_parameters
    if len(depths(found)) > 2:
        figures["quality_by_depth"] = _quality_by_depth
    if any(len(run.curve) > 1 for row in found.rows for run in row.arm.runs):
        figures["learning_curves"] = _learning_curves
    files: dict[str, bytes] = {}
    with matplotlib.rc_context(STYLE):
        for name, make in figures.items():
            figure, png, svg = make(found), io.BytesIO(), io.BytesIO()
            figure.savefig(png, format="png", dpi=160)
            figure.set_layout_engine("none")  # it is laid out
            figure.savefig(svg, format="svg", metadata={"Date": None})
            files |= {f"{name}.png": png.getvalue(), f"{name}.svg": svg.getvalue()}
    return files


def depths(found: Comparison) -> list[Row]:
    """The arms from nothing frozen to most, if they differ in that alone and each freezes more than the one before;
    otherwise none."""
    rows = sorted(found.rows, key=lambda row: len(row.arm.frozen))
    alone = all(row.arm.name == row.arm.depth_name for row in rows)
    nested = all(set(a.arm.frozen) < set(b.arm.frozen) for a, b in itertools.pairwise(rows))
    return rows if alone and nested else []


def _looks(found: Comparison) -> dict[str, tuple[object, str]]:
    """A colour and a marker for every arm."""
    ordered = depths(found)
    colours = [*matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(ordered)))] if ordered else OKABE_ITO
    return {
        row.arm.name: (colours[k % len(colours)], MARKERS[(k + k // len(colours)) % len(MARKERS)])
        for k, row in enumerate(ordered or found.rows)
    }


def _tau_against_time(found: Comparison) -> Figure:
    times = [row.seconds for row in found.rows]
    unit, length = next((u for u in UNITS if max(times) >= 5 * u[1]), UNITS[-1])
    return _tau_against(
        found,
        [seconds / length for seconds in times],
        [_ends([row.values["seconds_in_steps"]]) / length for row in found.rows],
        label=f"time in training steps, {unit} a run",
        title="What an arm reaches, and how long it trains",
    )


def _tau_against_parameters(found: Comparison) -> Figure:
    return _tau_against(
        found,
        [row.parameters / 1e6 for row in found.rows],
        [None] * len(found.rows),
        label="all parameters, millions",
        title="What an arm reaches, and how large its model is",
        logarithmic=True,
    )


def _tau_against(
    found: Comparison, costs: list[float], errors: Sequence[Any], label: str, title: str, logarithmic: bool = False
) -> Figure:
    """A point per arm, at one of its costs; `errors` are the ends of the costs' intervals."""
    looks = _looks(found)
    lines = sum(fill(name, LEGEND_WIDTH).count("\n") + 1 for name in looks)
    figure = Figure(figsize=(7.6, max(4.8, 0.18 * lines + 1)))
    axes = figure.subplots()
    if logarithmic := logarithmic or max(costs) > 5 * min(costs):
        axes.set(xscale="log", xlim=(min(costs) / 1.6, max(costs) * 1.6))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())

    front = _front([(cost, row.tau["value"]) for cost, row in zip(costs, found.rows, strict=True)])
    axes.plot(*zip(*front, strict=True), color=GREY, zorder=1)
    for row, cost, xerr in zip(found.rows, costs, errors, strict=True):
        colour, marker = looks[row.arm.name]
        look = {"color": colour, "marker": marker, "markersize": 7, "linestyle": "none", "zorder": 2}
        _errorbars(axes, [cost], [row.tau], xerr=xerr, label=fill(row.arm.name, LEGEND_WIDTH), **look)

    scale = " (logarithmic)" if logarithmic else ""
    axes.set(xlabel=f"{label}{scale}", ylabel="Kendall's tau, test documents")
    axes.set_title(title, fontsize=11, pad=16)
    heading = "frozen" if all(row.arm.name == row.arm.depth_name for row in found.rows) else None
    figure.legend(loc="outside right upper", title=heading, frameon=False, fontsize=9, alignment="left")
    note = "grey line: arms that no other arm beats in both.  bars: 95 % intervals"
    axes.annotate(note, (0, 1), (0, 2), "axes fraction", "offset points", fontsize=8, color="0.4")
    return figure


def _front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points, each a cost and a tau, that no other one surpasses in both, from the cheapest on."""
    front: list[tuple[float, float]] = []
    for cost, tau in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or tau > front[-1][1]:
            front.append((cost, tau))
    return front


def _quality_by_depth(found: Comparison) -> Figure:
    rows = depths(found)
    panels = {"tau": "Kendall's tau", "pmr": "perfect match ratio", "accuracy": "accuracy"}
    panels["seconds_in_steps"] = "time in training steps, s"
    figure = Figure(figsize=(9.6, 6))
    for axes, (key, name) in zip(figure.subplots(2, 2, sharex=True).flat, panels.items(), strict=True):
        is_time = key == "seconds_in_steps"
        values = [row.values[key] for row in rows]
        colour = OKABE_ITO[1] if is_time else OKABE_ITO[0]
        _errorbars(axes, range(len(rows)), values, color=colour, marker="o", markersize=5)
        axes.set_title(name, fontsize=10)
        axes.set_xticks(range(len(rows)), labels=[_short(row) for row in rows])
        axes.yaxis.set_major_locator(MaxNLocator(6))
        if is_time:
            axes.set_ylim(bottom=0)

    figure.supxlabel("frozen: nothing, the embeddings, or these and the lowest N layers", fontsize=10)
    title = "Quality on the test documents, and training time, by depth of freezing (95 % intervals)"
    figure.suptitle(title, fontsize=11)
    return figure


def _learning_curves(found: Comparison) -> Figure:
    """A panel per arm, with the baseline behind each."""
    looks = _looks(found)
    columns = min(4, len(found.rows))
    lines = math.ceil(len(found.rows) / columns)
    figure = Figure(figsize=(2.7 * columns + 0.6, 2.3 * lines + 0.7))
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flatten()
    epochs_K, base_K, *_ = _curve(found.baseline)
    for axes, row in zip(grid, found.rows, strict=False):
        axes.plot(epochs_K, base_K, color=GREY, linewidth=1.5, zorder=1)
        own_K, mean_K, low_K, high_K = _curve(row)
        colour, marker = looks[row.arm.name]
        axes.fill_between(own_K, low_K, high_K, color=colour, alpha=0.25, linewidth=0, zorder=2)
        axes.plot(own_K, mean_K, color=colour, linewidth=1.8, marker=marker, markersize=4, zorder=3)
        axes.set_title(fill(row.arm.name, PANEL_WIDTH), fontsize=9)
    for above, axes in zip(grid[len(found.rows) - columns :], grid[len(found.rows) :], strict=False):
        axes.set_visible(False)
        above.tick_params(labelbottom=True)
    figure.supxlabel("epochs", fontsize=10)
    figure.supylabel("Kendall's tau, validation", fontsize=10)
    title = f"In the course of training: mean and range over seeds; grey: the baseline ({found.baseline.arm.name})"
    figure.suptitle(fill(title, int(14 * figure.get_figwidth())), fontsize=10)
    return figure


def _curve(row: Row) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Epochs, and the mean, least and greatest tau of the seeds at each; as far as all of them have come.

    Seeds validate at the same steps, but their epochs may differ by a step.
    """
    validations = min(len(run.curve) for run in row.arm.runs)
    curves = np.array([run.curve[:validations] for run in row.arm.runs])
    epochs, tau = curves[..., 0].mean(0), curves[..., 1]
    return epochs, tau.mean(0), tau.min(0), tau.max(0)


def _short(row: Row) -> str:
    """A short label of what is frozen."""
    layers = sum(block.startswith("layer_") for block in row.arm.frozen)
    if not row.arm.frozen:
        return "none"
    if row.arm.depth_name == "whole encoder":
        return f"all {layers}"
    return str(layers) if layers else "emb."


def _errorbars(axes: Axes, x: Sequence[float], values: Sequence[Interval], **look: Any) -> None:
    axes.errorbar(x, [value["value"] for value in values], yerr=_ends(values), elinewidth=1.2, **look)


def _ends(values: Sequence[Interval]) -> np.ndarray:
    """The distances of the bounds of N intervals from their values (2, N); zero if they are not known."""
    numbers = [[found["value"], found["low"], found["high"]] for found in values]
    value_N, low_N, high_N = np.array(numbers, dtype=float).T  # None becomes NaN
    return np.nan_to_num([value_N - low_N, high_N - value_N])
