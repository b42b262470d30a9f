"""Which blocks of the encoder a freeze setting names, and the table of what is trained and what is frozen.

Block 0 is the embeddings, block k the encoder's k-th layer; layers are numbered from 0 in settings, as in the weights.
"""

import re
from dataclasses import dataclass
from typing import Any

from sentence_order.errors import UserError
from sentence_order.model.modeling import SentenceOrderer


@dataclass(frozen=True)
class BlockReport:
    """One row of the table: a block's name, its number of parameters, and whether it trains."""

    name: str
    parameters: int
    trained: bool


def frozen_blocks(embeddings: bool, layers: Any, total: int) -> set[int]:
    """Resolves `freeze.embeddings` and `freeze.layers` to block numbers.

    Args:
        layers: the lowest N layers (4), a range with both ends ("2-4"), a list ([0, 2]), "half" or "all".
        total: how many layers the encoder has.

    Raises:
        UserError: the setting is none of these, or names a layer that does not exist.
    """
    numbers = _layer_numbers(layers, total)
    for number in numbers:
        if not 0 <= number < total:
            raise UserError(f"freeze.layers: there is no layer {number}; this encoder has layers 0 to {total - 1}")
    return {number + 1 for number in numbers} | ({0} if embeddings else set())


def _layer_numbers(layers: Any, total: int) -> list[int]:
    if layers == "half":
        return list(range(total // 2))
    if layers == "all":
        return list(range(total))
    if isinstance(layers, int) and not isinstance(layers, bool):
        if not 0 <= layers <= total:
            raise UserError(f"freeze.layers: the lowest {layers} layers cannot be frozen; this encoder has {total}")
        return list(range(layers))
    if isinstance(layers, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in layers):
        return layers
    if isinstance(layers, str) and (span := re.fullmatch(r"(\d+)-(\d+)", layers)):
        first, last = int(span[1]), int(span[2])
        if first <= last:
            return list(range(first, last + 1))
    raise UserError(
        f"freeze.layers: {layers!r} is not understood; accepted are a number (the lowest N), a range '2-4', "
        "a list [0,2], half and all"
    )


def report_blocks(model: SentenceOrderer) -> list[BlockReport]:
    """Every block of the model, lowest first, with what trains in it.

    Raises:
        UserError: nothing is left to train.
    """
    rows = []
    for name, modules in model.parts.items():
        parameters = [parameter for module in modules for parameter in module.parameters()]
        if parameters:
            trained = any(parameter.requires_grad for parameter in parameters)
            rows.append(BlockReport(name, sum(p.numel() for p in parameters), trained))
    if not any(row.trained for row in rows):
        raise UserError("freeze: everything is frozen and nothing is left to train")
    return rows
