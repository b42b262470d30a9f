"""Which blocks of the encoder are frozen, until when, and the table of trainable parameters.

Block 0 is the embeddings, block k the encoder's k-th layer; layers are numbered from 0 in settings, as in the weights.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sentence_order.config.schema import EncoderConfig, FreezeConfig
from sentence_order.errors import UserError

if TYPE_CHECKING:  # settings are checked without torch
    from sentence_order.model.modeling import SentenceOrdererModel


class Phase(NamedTuple):
    """The numbers of the blocks that are frozen from an epoch on; a fraction of an epoch is allowed."""

    epoch: float
    blocks: frozenset[int]


class BlockReport(NamedTuple):
    """One row of the table: a block, its number of parameters, and the epoch from which it trains, if ever."""

    name: str
    parameters: int
    trained_from: float | None


def resolve_depth(setting: Any, total: int) -> int | None:
    """How many of the lowest layers a setting names: a number, "half" or "all"; None if it is none of these."""
    if setting in ("half", "all"):
        return total // 2 if setting == "half" else total
    return setting if type(setting) is int and 0 <= setting <= total else None


def first_joint_layer(encoder: EncoderConfig, total: int) -> int:
    """Resolves `encoder.joint_from`, of `total` layers. Raises UserError if it is not valid."""
    joint_from = resolve_depth(encoder.joint_from, total)
    if joint_from is None:
        raise UserError(
            f"encoder.joint_from: a number from 0 to {total} (this encoder's layers), half or all, "
            f"not {encoder.joint_from!r}"
        )
    return joint_from


def freeze_phases(config: FreezeConfig, total: int) -> list[Phase]:
    """What a run freezes of an encoder of `total` layers: one phase, or those of `freeze.schedule`.

    Gradual unfreezing from the top is due to Howard and Ruder 2018, "Universal language model fine-tuning for text
    classification". Raises UserError if a setting is not valid, names a layer that does not exist, or freezes what
    trained before.
    """
    if not config.schedule and config.depth is None:
        return [Phase(0.0, frozen_blocks(config.embeddings, config.layers, total))]
    if not config.schedule:
        return [Phase(0.0, _blocks_of_depth(config.depth, total, "freeze.depth"))]

    phases: list[Phase] = []
    for entry in config.schedule:
        if not (match := re.fullmatch(r"(\d+(?:\.\d+)?):(-?\w+)", entry)):
            raise UserError(
                f"freeze.schedule: {entry!r} is not valid; each entry is an epoch and a depth, as in "
                "[0:all,0.5:half,1:none]"
            )
        depth = int(match[2]) if match[2].removeprefix("-").isdecimal() else match[2]
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
    if depth in ("none", "embeddings"):
        return frozenset({0} if depth == "embeddings" else ())
    if not (count := _count_frozen(depth, total)):
        raise UserError(
            f"{key}: {depth!r} is not valid; accepted are none, embeddings, a number of layers from 1 to {total} "
            "(the lowest, and the embeddings), -N (all but the last N), half and all"
        )
    return frozenset(range(count + 1))


def _count_frozen(setting: Any, total: int) -> int | None:
    """How many of the lowest layers a setting freezes: as `resolve_depth`, or all but the last N, which is -N."""
    return resolve_depth(total + setting if type(setting) is int and setting < 0 else setting, total)


def frozen_blocks(embeddings: bool, layers: Any, total: int) -> frozenset[int]:
    """Resolves `freeze.embeddings` and `freeze.layers`, of `total` layers, to block numbers.

    Layers are the lowest N (4), all but the last N (-2), a range with both ends ("2-4"), a list ([0, 2]), "half" or
    "all". Raises UserError if the setting is none of these, or names a layer that does not exist.
    """
    span = re.fullmatch(r"(\d+)-(\d+)", layers) if isinstance(layers, str) else None
    if (count := _count_frozen(layers, total)) is not None:
        numbers: Sequence[int] = range(count)
    elif type(layers) is int:
        which = f"the lowest {layers}" if layers > 0 else f"all but the last {-layers}"
        raise UserError(f"freeze.layers: {layers} stands for {which} layers, and this encoder has {total}")
    elif isinstance(layers, list) and all(type(number) is int for number in layers):
        numbers = layers
    elif span and int(span[1]) <= int(span[2]):
        numbers = range(int(span[1]), int(span[2]) + 1)  # of any length: it is left at the first one too many
    else:
        raise UserError(
            f"freeze.layers: {layers!r} is not valid; accepted are a number (the lowest N, or -N: all but the last N), "
            "a range '2-4', a list [0,2], half and all"
        )
    for number in numbers:
        if not 0 <= number < total:
            raise UserError(f"freeze.layers: there is no layer {number}; this encoder has layers 0 to {total - 1}")
    return frozenset({0} if embeddings else ()) | {number + 1 for number in numbers}


def check_separable(model: "SentenceOrdererModel", phases: list[Phase], layer_decay: float) -> None:
    """Raises UserError for settings that single out some layers of an encoder whose layers are one."""
    embeddings, *layers = model.blocks
    if all(layers):
        return
    inseparable = frozenset(range(1 if embeddings else 0, len(model.blocks)))
    kind = f"the layers of an encoder of type '{model.encoder.config.model_type}'"
    why = f"{kind} share their weights" if model.family.by_layer else f"{kind} cannot be told apart"
    if any(0 < len(phase.blocks & inseparable) < len(inseparable) for phase in phases):
        accepted = "none, embeddings and all" if embeddings else "none and all"
        raise UserError(f"freeze: {why}, so some of them cannot be frozen; accepted are {accepted}")
    if layer_decay != 1:
        raise UserError(f"optim.layer_decay: {why}, and cannot have learning rates of their own; leave it out")


def report_blocks(model: "SentenceOrdererModel", phases: list[Phase]) -> list[BlockReport]:
    """Every block of the model that has parameters, lowest first, with when it trains."""
    rows = []
    for number, (name, modules) in enumerate(model.parts.items()):
        parameters = sum(p.numel() for module in modules for p in module.parameters())
        rows.append(BlockReport(name, parameters, next((p.epoch for p in phases if number not in p.blocks), None)))
    return [row for row in rows if row.parameters]
