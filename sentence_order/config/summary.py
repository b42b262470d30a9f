"""What a run freezes and minimises, in a few words, for a report's tables and TensorBoard's hyper-parameters."""

from collections.abc import Mapping, Sequence
from typing import Any


def describe_frozen(settings: Mapping[str, Any], frozen: Sequence[str]) -> str:
    """What is frozen, in a word or two: by a run's config, and the blocks that were frozen from beginning to end."""
    if schedule := settings["freeze.schedule"]:
        return f"gradual {' '.join(schedule)}"
    if not frozen:
        return "none"
    if "all" in (settings["freeze.depth"], settings["freeze.layers"]) and "embeddings" in frozen:
        return "whole encoder"
    layers = [block.removeprefix("layer_") for block in frozen if block != "embeddings"]
    lowest = layers == [str(number) for number in range(len(layers))]
    names = f"{len(layers)} layer{'s' if len(layers) > 1 else ''}" if lowest else f"layers {', '.join(layers)}"
    if "embeddings" not in frozen:
        return names
    return f"embeddings + {names}" if layers else "embeddings"


def describe_losses(settings: Mapping[str, Any]) -> str:
    """The losses with their weights, where these are not 1."""
    weights = {key.removeprefix("loss."): value for key, value in settings.items() if key.startswith("loss.")}
    width = weights.pop("margin_width")
    losses = "+".join(name if weight == 1 else f"{weight:g} {name}" for name, weight in weights.items() if weight)
    return losses + (f" (margin_width {width:g})" if weights["margin"] and width != 1 else "")
