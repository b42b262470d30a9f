"""Compares what a config describes with the header of its weights, before memory is allocated: a config is a small file
that may ask for any amount.
"""

import json
from os import PathLike
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_NAME, cached_file

SPARE_NUMBERS = 2**24

Shapes = dict[str, tuple[int, ...]]


def count_numbers(model: nn.Module) -> int:
    """All numbers that a model keeps, those of tables that it computes included."""
    return sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))


def check_memory(numbers: int, total: int) -> None:
    """Raises ValueError if a model keeps far more numbers than its `total` of weights.

    Some are not among the weights: tables that are computed, and the decoder of an encoder that was saved alone.
    """
    if numbers > 2 * total + SPARE_NUMBERS:
        raise ValueError(f"config.json describes {numbers:,} numbers, and its weights are {total:,}")


def shapes_of(weights: dict[str, Tensor]) -> Shapes:
    """The shapes of weights."""
    return {name: tuple(weight.shape) for name, weight in weights.items()}


def shapes_of_file(file: str | PathLike[str]) -> Shapes:
    """The shapes in the header of a safetensors file, or in a file of `torch.save`."""
    if Path(file).suffix != ".safetensors":
        return shapes_of(torch.load(file, map_location="meta", weights_only=True))
    with safe_open(file, framework="pt") as opened:
        return {name: tuple(opened.get_slice(name).get_shape()) for name in list(opened.keys())}


def shapes_of_pretrained(location: str) -> Shapes:
    """The shapes of the weights that transformers would load from a folder or hub id. Raises OSError if there are none.

    Names of layer norms are today's: those of 2018 are `gamma` and `beta`.
    """

    def find(name: str) -> str | None:
        found: str | None = cached_file(location, name, _raise_exceptions_for_missing_entries=False)
        return found

    files = [file for file in (find(SAFE_WEIGHTS_NAME),) if file]
    if not files and (index := find(SAFE_WEIGHTS_INDEX_NAME)):
        parts = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values()
        files = [file for part in sorted(set(parts)) if (file := cached_file(location, part))]
    files = files or [file for file in (find(WEIGHTS_NAME),) if file]
    if not files:
        raise OSError(f"no {SAFE_WEIGHTS_NAME} or {WEIGHTS_NAME}")
    shapes = {name: shape for file in files for name, shape in shapes_of_file(file).items()}
    old, new = ("LayerNorm.gamma", "LayerNorm.beta"), ("LayerNorm.weight", "LayerNorm.bias")
    return {name.replace(old[0], new[0]).replace(old[1], new[1]): shape for name, shape in shapes.items()}


def find_mismatch(found: Shapes, expected: Shapes) -> str | None:
    """The first tensor that the weights lack, or hold in another shape than the config says; None if there is none."""
    for name, shape in expected.items():
        if name not in found:
            return f"no weights for {name}"
        if found[name] != shape:
            return f"{name} has shape {found[name]}, and config.json expects {shape}"
    return None
