"""Which blocks of the encoder are frozen, until when, and the table of trainable parameters.

Block 0 is the embeddings, block k the encoder's k-th layer; layers are numbered from 0 in settings, as in the weights.
"""

import re
from dataclasses import dataclass
from typing import Any

from sentence_order.config.schema import FreezeConfig
from sentence_order.errors import UserError
from sentence_order.model.modeling import SentenceOrdererModel


@dataclass(frozen=True)
class Phase:
    """The numbers of the blocks that are frozen from an epoch on; a fraction of an epoch is allowed."""

    epoch: float
    blocks: frozenset[int]


@dataclass(frozen=True)
class BlockReport:
    """One row of the table: a block's name, its number of parameters, and the epoch from which it trains, if ever."""

    name: str
    parameters: int
    trained_from: float | None


def freeze_phases(config: FreezeConfig, total: int) -> list[Phase]:
    """What a run freezes: a single phase, or those of `freeze.schedule`, each a subset of the one before.

    Gradual unfreezing from the top is due to Howard and Ruder 2018, "Universal language model fine-tuning for text
    classification".

    Args:
        total: how many layers the encoder has.

    Raises:
        UserError: a setting is not valid, names a layer that does not exist, or freezes what trained before.
    """
    if not config.schedule:
        if config.depth is None:
            return [Phase(0.0, frozenset(frozen_blocks(config.embeddings, config.layers, total)))]
        return [Phase(0.0, _blocks_of_depth(config.depth, total, "freeze.depth"))]
    phases: list[Phase] = []
    for entry in config.schedule:
        match = re.fullmatch(r"(\d+(?:\.\d+)?):(\w+)", entry)
        if match is None:
            raise UserError(
                f"freeze.schedule: {entry!r} is not valid; each entry is an epoch and a depth, as in "
                "[0:all,0.5:half,1:none]"
            )
        depth = int(match[2]) if match[2].isdecimal() else match[2]
        phase = Phase(float(match[1]), _blocks_of_depth(depth, total, f"freeze.schedule: {entry}"))
        if not phases and phase.epoch > 0:
            raise UserError(f"freeze.schedule: the first entry must be for epoch 0, not {entry}")
        if phases and phase.epoch <= phases[-1].epoch:
            raise UserError(f"freeze.schedule: {entry} comes after a later epoch; epochs must increase")
        if phases and not phase.blocks <= phases[-1].blocks:
            raise UserError(f"freeze.schedule: {entry} freezes what was trained before; a schedule can only unfreeze")
        phases.append(phase)
    return phases


def _blocks_of_depth(depth: Any, total: int, key: str) -> frozenset[int]:
    if depth == "none":
        return frozenset()
    if depth == "embeddings":
        return frozenset({0})
    if depth in ("half", "all") or (isinstance(depth, int) and not isinstance(depth, bool) and 0 < depth <= total):
        return frozenset(frozen_blocks(True, depth, total))
    raise UserError(
        f"{key}: {depth!r} is not valid; accepted are none, embeddings, a number of layers from 1 to {total} "
        "(the lowest, and the embeddings), half and all"
    )


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
        f"freeze.layers: {layers!r} is not valid; accepted are a number (the lowest N), a range '2-4', "
        "a list [0,2], half and all"
    )


def report_blocks(model: SentenceOrdererModel, phases: list[Phase]) -> list[BlockReport]:
    """Every block of the model, lowest first, with when it trains."""
    rows = []
    for number, (name, modules) in enumerate(model.parts.items()):
        if parameters := sum(p.numel() for module in modules for p in module.parameters()):
            since = next((phase.epoch for phase in phases if number not in phase.blocks), None)
            rows.append(BlockReport(name, parameters, since))
    return rows
