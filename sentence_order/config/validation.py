"""Raises UserError for what the types of a config's keys cannot check: ranges, and keys that do not go together."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from sentence_order.config.commands import key_of
from sentence_order.config.components import DECODERS, HEADS, LOSSES, heads_for, readers_of
from sentence_order.config.keys import Range, flatten_config, key_infos
from sentence_order.config.schema import TINY_HEAD_WIDTH, DataConfig, FreezeConfig, LossConfig, Source, TrainConfig
from sentence_order.errors import UserError

# Keys that have no effect beside certain values of others (by their names): so they are refused if they were typed.
Values = dict[str, Any]
NO_EFFECT: tuple[tuple[str, Callable[[Values], bool], str], ...] = (
    (
        "encoder.tiny_layers encoder.tiny_width encoder.tiny_vocabulary",
        lambda values: values["encoder.name"] != "tiny",
        "the encoder is not encoder=tiny",
    ),
    ("encoder.joint", lambda values: values["encoder.joint_from"] == "all", "encoder.joint_from=all"),
    ("loss.margin_width", lambda values: not values["loss.margin"], "loss.margin is 0"),
    (
        "decoder.beam_width",
        lambda values: values["decoder.name"] in ("borda", "topological", "assignment"),
        "this decoder has no beam",
    ),
    (
        "optim.lr optim.layer_decay",
        lambda values: (
            values["freeze.depth"] == "all" or (values["freeze.embeddings"] and values["freeze.layers"] == "all")
        ),
        "the encoder is frozen and the rest has optim.head_lr",
    ),
    (
        "trainer.epochs",
        lambda values: values["trainer.max_steps"] is not None,
        "trainer.max_steps decides (unless trainer.max_steps=null)",
    ),
    ("cache.dtype", lambda values: values["cache.mode"] == "off", "cache=off"),
    ("max_nonfinite", lambda values: values["on_nonfinite"] != "skip", "on_nonfinite is not skip"),
    ("data.hub_id data.hub_config", lambda values: values["data.source"] not in ("hub", None), "data is not data=hub"),
    ("data.validation_share", lambda values: values["data.validation"] is not None, "data.validation is set"),
    ("data.test_share", lambda values: values["data.test"] is not None, "data.test is set"),
    (
        "data.validation data.test data.limit_validation data.limit_test data.validation_share data.test_share",
        lambda values: values.get("debug.overfit", False),
        "debug=overfit reads the training documents alone",
    ),
)


def check_effects(config: Any, typed: Iterable[str]) -> None:
    """Refuses a key among the typed overrides that certainly has no effect beside the other keys."""
    values, keys = flatten_config(config), {key_of(override) for override in typed}
    for names, has_no_effect, reason in NO_EFFECT:
        for key in sorted(keys & set(names.split()) & values.keys()):
            if has_no_effect(values):
                raise UserError(f"{key}: no effect here, since {reason}; leave it out")


def check_ranges(config: Any) -> None:
    """Checks each number of a config against the range that its key accepts, and the name of the device."""
    values = flatten_config(config)
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,2})?", values["device"]):
        raise UserError(f"device: {values['device']!r} is not a device; accepted are auto, cpu, cuda and cuda:N")
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
    if data.source is Source.hub and not data.hub_id:
        raise UserError("data.hub_id: data=hub needs the id of a data set, as in data.hub_id=owner/name")
