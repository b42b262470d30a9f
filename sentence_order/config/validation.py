"""Raises UserError for what the types of a config's keys cannot check: ranges, and keys that do not go together."""

import codecs
import re
from collections.abc import Callable, Iterable
from typing import Any

from sentence_order.config.aliases import VALUES
from sentence_order.config.commands import key_of, override
from sentence_order.config.components import DECODERS, HEADS, LOSSES, heads_for, readers_of
from sentence_order.config.keys import MAX_NUMBER, Range, flatten_config, key_infos
from sentence_order.config.schema import (
    TINY_HEAD_WIDTH,
    DataConfig,
    FreezeConfig,
    LayoutConfig,
    LossConfig,
    Source,
    TrainConfig,
)
from sentence_order.errors import UserError

# The formats that keys of how files are read are for.
TABLES = ("jsonl", "csv", "parquet", "hub")
READ_BY = {
    **dict.fromkeys(("id_column", "sentences_column", "sentence_columns", "text_column"), (*TABLES, "memory")),
    "document_column": (*TABLES, "memory"),
    "position_column": (*TABLES, "memory"),
    "records": ("jsonl",),
    "delimiter": ("csv",),
    "encoding": ("jsonl", "csv", "text"),
}


def _is(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


def _is_not(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value not in values


# Keys that certainly have no effect if others have some values.
NO_EFFECT: tuple[tuple[str, dict[str, Callable[[Any], bool]]], ...] = (
    ("encoder.tiny_layers encoder.tiny_width encoder.tiny_vocabulary", {"encoder.name": _is_not("tiny")}),
    ("encoder.joint", {"encoder.joint_from": _is("all")}),
    ("loss.margin_width", {"loss.margin": _is(0)}),
    ("decoder.beam_width", {"decoder.name": _is("borda", "topological", "assignment")}),
    ("optim.lr optim.layer_decay", {"freeze.depth": _is("all")}),
    ("optim.lr optim.layer_decay", {"freeze.embeddings": _is(True), "freeze.layers": _is("all")}),
    ("trainer.epochs", {"trainer.max_steps": _is_not(None)}),
    ("cache.dtype", {"cache.mode": _is("off")}),
    ("max_nonfinite", {"on_nonfinite": _is_not("skip")}),
    ("data.hub_id data.hub_config", {"data.source": _is_not("hub", None)}),
    ("data.text_layout data.any_text", {"data.source": _is("synthetic", "jsonl", "csv", "parquet", "hub")}),
    ("data.validation_share", {"data.validation": _is_not(None)}),
    ("data.test_share", {"data.test": _is_not(None)}),
)


def find_without_effect(config: Any) -> dict[str, str]:
    """The keys of a config that have no effect beside the others, each with the reason and the way out."""
    values = flatten_config(config)
    found: dict[str, str] = {}
    for names, conditions in NO_EFFECT:
        if all(is_met(values.get(other)) for other, is_met in conditions.items()):
            beside = " ".join(override(other, values[other]) for other in conditions if other in values)
            reason = f"no effect with {beside}; leave it out, or change {' or '.join(conditions)}"
            found |= dict.fromkeys(names.split(), reason)
    return found


def check_effects(config: Any, typed: Iterable[str]) -> None:
    """Refuses a key among the typed overrides that has no effect beside the others; one in a file is harmless."""
    found, keys = find_without_effect(config), set(map(key_of, typed))
    for key in sorted(keys & found.keys()) if "debug" not in keys else []:  # whose options cut any command short
        raise UserError(f"{key}: {found[key]}")


def check_ranges(config: Any) -> None:
    """Checks each number of a config against the range that its key accepts, and the name of the device."""
    values = flatten_config(config)
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,2})?", device := values["device"]):
        hint = f"; did you mean '{meant}'?" if (meant := VALUES["device"].get(device)) else ""
        raise UserError(f"device: {device!r} is not a device; accepted are auto, cpu, cuda and cuda:N{hint}")
    for name, info in key_infos(type(config)).items():
        if isinstance(info.accepts, Range):
            info.accepts.check(name, values[name])


def check_train(config: TrainConfig) -> None:
    """Checks the config of a training run."""
    check_ranges(config)
    check_freeze(config.freeze)
    if config.decoder.name is None:
        raise UserError(f"decoder: none chosen; available: {', '.join(DECODERS)}")
    heads = {head.value for head in config.model.heads}
    check_heads(heads)
    check_loss(config.loss, heads)
    check_decoder(config.decoder.name.value, heads)

    tokens = config.trainer.batch_tokens
    if tokens != "auto" and not (type(tokens) is int and 0 < tokens <= MAX_NUMBER):
        raise UserError(f"trainer.batch_tokens: an integer of at least 1, or auto, not {tokens!r}")
    betas = config.optim.betas
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise UserError(f"optim.betas: two numbers of at least 0 and less than 1, such as [0.9,0.98], not {betas}")
    if config.encoder.tiny_width % TINY_HEAD_WIDTH:
        raise UserError(f"encoder.tiny_width: a multiple of {TINY_HEAD_WIDTH}, not {config.encoder.tiny_width}")
    check_data(config.data)
    if config.data.validation_share + config.data.test_share >= 1:
        raise UserError("data.validation_share and data.test_share: their sum must be less than 1")


def check_freeze(freeze: FreezeConfig) -> None:
    """Checks that keys of the group do not contradict each other."""
    given = [key for key in ("embeddings", "layers", "depth", "schedule") if getattr(freeze, key) not in (0, None, [])]
    for key in ("schedule", "depth"):
        if key in given and (others := [f"freeze.{other}" for other in given if other != key]):
            raise UserError(
                f"freeze.{key}: cannot be combined with {' and '.join(others)}; leave these out, or add freeze=none"
            )


def check_heads(heads: set[str]) -> None:
    """Checks that there are heads, and that no two of them provide the same score."""
    if not heads:
        raise UserError(f"model.heads: none; available: {', '.join(HEADS)}")
    by_score: dict[str, list[str]] = {}
    for head in sorted(heads):
        by_score.setdefault(HEADS[head].scores[0], []).append(head)
    for rivals in by_score.values():
        if len(rivals) > 1:
            raise UserError(f"model.heads: {' and '.join(rivals)} predict the same; choose one of them")
    if "pointer" in by_score and len(heads) > 1:
        raise UserError(f"model.heads: {by_score['pointer'][0]} cannot be combined with other heads")


def check_loss(loss: LossConfig, heads: set[str]) -> None:
    """Checks that every loss has a head that it trains, and every head a loss that trains it."""
    weighted = {name: component for name, component in LOSSES.items() if getattr(loss, name)}
    for name, component in weighted.items():
        if not (readable := heads_for(component)) & heads:
            raise UserError(
                f"loss.{name}: needs the head {' or '.join(sorted(readable))}, and model.heads is "
                f"[{','.join(sorted(heads))}]; add loss.{name}=0, or the head"
            )
    for head in sorted(heads):
        if not readers_of({head}, weighted):
            names = " or loss.".join(readers_of({head}, LOSSES))
            raise UserError(f"loss: nothing trains the head {head}; give a weight to loss.{names}")


def check_decoder(name: str, heads: set[str]) -> None:
    """Checks that the heads provide scores that a decoder reads."""
    if not (readable := heads_for(DECODERS[name])) & heads:
        raise UserError(
            f"decoder={name}: needs the head {' or '.join(sorted(readable))}, and the model's heads are "
            f"[{','.join(sorted(heads))}]; choose one of {', '.join(readers_of(heads, DECODERS))}"
        )


def check_data(data: DataConfig) -> None:
    """Checks keys of the data group against each other."""
    paths = [f"data.{name}" for name in ("train", "validation", "test") if getattr(data, name)]
    if data.source is Source.synthetic and paths:
        raise UserError(f"{paths[0]}: data=synthetic reads no files; add data=jsonl, csv, parquet, text or hub")
    if data.gold_order_columns and len(data.gold_order_columns) != len(data.sentence_columns):
        raise UserError(
            f"data.gold_order_columns: one for each of data.sentence_columns, which are {len(data.sentence_columns)}, "
            f"not {len(data.gold_order_columns)}; a single column with all numbers is data.gold_order_column"
        )
    if data.gold_order_columns and data.gold_order_column:
        raise UserError("data.gold_order_column: cannot be combined with data.gold_order_columns; leave out one")
    if data.source in (Source.synthetic, Source.text):
        for name in ("gold_order_column", "gold_order_columns", "group_column"):
            if getattr(data, name):
                raise UserError(f"data.{name}: data={data.source} has no columns")
    if data.document_column and (data.gold_order_column or data.gold_order_columns):
        raise UserError("data.document_column: data.position_column says the order of its sentences, not a gold order")
    if data.folder and data.source is not Source.text:
        raise UserError(f"data.folder: files of a sentence per line are read from it, by data=text, not {data.source}")
    check_layout(data, data.source and data.source.value, "data.")
    if data.source is Source.hub and any(isinstance(getattr(data, path[5:]), list) for path in paths):
        raise UserError(f"{paths[0]}: the name of one split, as data=hub reads it, not a list")
    if data.source is Source.hub and not data.hub_id:
        raise UserError("data.hub_id: data=hub needs the id of a data set, as in data.hub_id=owner/name")


def check_layout(layout: LayoutConfig, file_format: str | None, prefix: str) -> None:
    """Checks the keys of how files are read; whether those of a format have it is checked if it is known."""
    if layout.document_column and not layout.text_column:
        raise UserError(f"{prefix}document_column: {prefix}text_column=NAME must name the column with its sentences")
    if layout.position_column and not layout.document_column:
        raise UserError(f"{prefix}position_column: {prefix}document_column=NAME must name the column with the document")
    if layout.delimiter is not None and layout.delimiter not in ("tab", r"\t") and len(layout.delimiter) != 1:
        raise UserError(f"{prefix}delimiter: one character or tab, not {layout.delimiter!r}")
    if layout.encoding is not None:
        try:
            codecs.getincrementaldecoder(layout.encoding)
            "".encode(layout.encoding)
        except (LookupError, UnicodeError) as error:
            raise UserError(f"{prefix}encoding: {layout.encoding!r} is none; such are utf-8, utf-16, cp1252") from error
    for name in find_refused(layout, file_format) if file_format else []:
        raise UserError(f"{prefix}{name}: only for {' and '.join(READ_BY[name])}, not for {file_format}")


def find_refused(layout: LayoutConfig, file_format: str) -> list[str]:
    """The keys that are set and are not for files of a format."""
    usual = LayoutConfig()
    given = [name for name in READ_BY if getattr(layout, name) != getattr(usual, name)]
    return [name for name in given if file_format not in READ_BY[name]]
