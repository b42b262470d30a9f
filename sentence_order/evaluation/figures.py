"""The pictures of an evaluation."""

import matplotlib.backends.backend_agg  # noqa: F401 - now, and not at the first picture, when memory may be short
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from sentence_order.inference.calibration import Reliability


def pair_probability_figure(probability_SS: Tensor) -> Figure:
    """How sure the model is that the sentence of one gold position comes before that of another: ideally 1 above the
    diagonal and 0 below it."""
    title = "mean probability that i comes before j"
    return _heat_map(probability_SS, title, "gold position of sentence j", "gold position of sentence i")


def position_confusion_figure(confusion_SS: Tensor, documents: int) -> Figure:
    """Where the sentences of each gold position were put, over `documents` documents of one length."""
    title = f"share of sentences, {documents:,} documents of {len(confusion_SS)}"
    return _heat_map(confusion_SS, title, "predicted position", "gold position")


def reliability_figure(found: Reliability, name: str) -> Figure:
    """How often orders, or pairs, were right, by how sure the model was: ideally the diagonal. Dots grow with their
    number."""
    figure = Figure(figsize=(4.8, 4.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    share_K = found.count_K / found.count_K.sum()
    axes.plot(found.confidence_K, found.right_K, color="C0", linewidth=1)
    axes.scatter(found.confidence_K, found.right_K, s=20 + 600 * share_K, color="C0", alpha=0.7)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    due = "the whole order" if name == "orders" else "the order of a pair"
    axes.set(xlabel=f"confidence that {due} is right", ylabel=f"share of {name} that are right")
    axes.set_title(f"expected calibration error {found.error:.3f}", fontsize=10)
    return figure


def _heat_map(values_SS: Tensor, title: str, x_label: str, y_label: str) -> Figure:
    size = len(values_SS)
    figure = Figure(figsize=(5.2, 4.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(values_SS.numpy(), vmin=0, vmax=1, cmap="viridis")
    figure.colorbar(image, ax=axes)
    if size <= 12:  # with more cells a side, numbers in them cannot be read
        axes.set_xticks(range(size), labels=[str(k + 1) for k in range(size)])
        axes.set_yticks(range(size), labels=[str(k + 1) for k in range(size)])
        for (i, j), value in np.ndenumerate(values_SS.numpy()):
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color="w" if value < 0.6 else "k")
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_title(title, fontsize=10)
    return figure
