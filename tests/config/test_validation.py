"""Numbers out of range and keys that contradict each other are refused, each by a line that names the key."""

import math
from dataclasses import replace
from typing import Any

import pytest
from omegaconf import OmegaConf

from sentence_order.config.cli import compose
from sentence_order.config.keys import MAX_NUMBER, Range, key_infos
from sentence_order.config.schema import SCHEMAS, DataConfig, FreezeConfig, LossConfig, Source, TrainerConfig
from sentence_order.config.validation import (
    check_data,
    check_decoder,
    check_freeze,
    check_heads,
    check_loss,
    check_ranges,
    check_train,
)
from sentence_order.errors import UserError

MANDATORY = {"train": [], "evaluate": ["checkpoint=x", "data=text"], "predict": ["checkpoint=x", "input=x"]}
RANGES = [
    (name, key, info.accepts)
    for name, schema in SCHEMAS.items()
    for key, info in key_infos(schema).items()
    if isinstance(info.accepts, Range)
]


def outside(accepts: Range) -> list[float]:
    """Numbers just out of a range, and one that is none."""
    below = accepts.low - 1 if accepts.low_allowed else accepts.low
    above = [accepts.high * 2 if accepts.high_allowed else accepts.high] if math.isfinite(accepts.high) else []
    return [below, math.nan, *above]


@pytest.fixture(scope="module")
def configs() -> dict[str, Any]:
    """A valid config of each command."""
    return {name: compose(name, overrides) for name, overrides in MANDATORY.items()}


@pytest.mark.parametrize(("name", "key", "accepts"), RANGES, ids=[f"{name} {key}" for name, key, _ in RANGES])
def test_every_number_is_checked_against_its_range(
    configs: dict[str, Any], name: str, key: str, accepts: Range
) -> None:
    check_ranges(configs[name])
    group, _, last = key.rpartition(".")
    owner = getattr(configs[name], group) if group else configs[name]
    before = getattr(owner, last)
    try:
        for value in outside(accepts):
            setattr(owner, last, value)
            with pytest.raises(UserError, match=rf"^{key}: "):
                check_ranges(configs[name])
        setattr(owner, last, accepts.low if accepts.low_allowed else accepts.low + 1e-9)
        check_ranges(configs[name])
    finally:
        setattr(owner, last, before)


@pytest.mark.parametrize(
    ("accepts", "value", "complaint"),
    [
        (Range(), 0, "greater than 0"),
        (Range(low_allowed=True), -1, "at least 0"),
        (Range(low=2, low_allowed=True, high=5), 7, "at least 2 and at most 5"),
        (Range(high=1, high_allowed=False), 1, "greater than 0 and less than 1"),
        (Range(), 2 * MAX_NUMBER, "at most 4.61169e"),
        (Range(), math.inf, "at most 4.61169e"),
        (Range(high=math.inf), math.nan, "greater than 0"),
    ],
)
def test_what_is_accepted_is_named(accepts: Range, value: float, complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        accepts.check("group.key", value)
    assert complaint in str(caught.value)


def test_keys_that_may_be_unset_accept_null() -> None:
    Range().check("trainer.max_steps", None)


@pytest.mark.parametrize("betas", [[0.9], [0.9, 1.0], [0.9, 0.9, 0.9], [-0.1, 0.5]])
def test_betas_are_two_shares(betas: list[float]) -> None:
    config = compose("train", [])
    config.optim.betas = betas
    with pytest.raises(UserError, match=r"^optim\.betas: "):
        check_train(config)


@pytest.mark.parametrize("tokens", [0, -1, "foo", "512", True, 512.0, None, [512], 2 * MAX_NUMBER])
def test_batches_have_a_number_of_tokens_or_find_it(configs: dict[str, Any], tokens: Any) -> None:
    for accepted in (1, MAX_NUMBER, "auto"):
        check_train(replace(configs["train"], trainer=TrainerConfig(batch_tokens=accepted)))
    with pytest.raises(UserError, match=r"^trainer\.batch_tokens: an integer of at least 1, or auto, not "):
        check_train(replace(configs["train"], trainer=TrainerConfig(batch_tokens=tokens)))


def test_held_out_shares_leave_training_documents() -> None:
    config = compose("train", ["data=text", "data.train=x", "data.validation_share=0.5", "data.test_share=0.5"])
    with pytest.raises(UserError, match=r"data\.validation_share"):
        check_train(config)


@pytest.mark.parametrize(
    ("freeze", "key"),
    [
        (FreezeConfig(depth=2, layers=1), "freeze.depth: .*freeze.layers"),
        (FreezeConfig(depth="all", embeddings=True), "freeze.depth: .*freeze.embeddings"),
        (FreezeConfig(schedule=["0:all"], depth=2), "freeze.schedule: .*freeze.depth"),
    ],
)
def test_ways_to_freeze_exclude_each_other(freeze: FreezeConfig, key: str) -> None:
    with pytest.raises(UserError, match=f"^{key}"):
        check_freeze(freeze)
    check_freeze(FreezeConfig(embeddings=True, layers=[0, 2]))


@pytest.mark.parametrize("heads", [set(), {"pairs", "scores"}, {"pairs", "positions"}, {"pairs", "pointer"}])
def test_heads_are_some_and_do_not_predict_the_same(heads: set[str]) -> None:
    with pytest.raises(UserError, match=r"^model\.heads: "):
        check_heads(heads)
    check_heads({"pairs", "neighbours"})


def test_every_loss_has_its_head_and_every_head_its_loss() -> None:
    check_loss(LossConfig(order=1.0), {"pairs", "neighbours"})
    with pytest.raises(UserError, match=r"^loss\.neighbours: .*neighbours"):
        check_loss(LossConfig(margin=1.0, neighbours=2.0), {"pairs"})
    with pytest.raises(UserError, match=r"^loss: .*neighbours"):
        check_loss(LossConfig(margin=1.0), {"pairs", "neighbours"})


def test_a_decoder_needs_scores_that_it_reads() -> None:
    check_decoder("beam", {"neighbours"})
    with pytest.raises(UserError, match=r"^decoder=borda: .*exact"):
        check_decoder("borda", {"neighbours"})


def test_sources_of_data_have_what_they_need() -> None:
    check_data(DataConfig(Source.text, train="x"))
    with pytest.raises(UserError, match=r"^data\.test: "):
        check_data(DataConfig(Source.synthetic, test="x"))
    with pytest.raises(UserError, match=r"^data\.hub_id: "):
        check_data(DataConfig(Source.hub))


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"document_column": "a"}, "data.document_column: data.text_column=NAME must name"),
        ({"position_column": "a"}, "data.position_column: data.document_column=NAME must name"),
        ({"delimiter": ";;"}, "data.delimiter: one character or tab, not ';;'"),
        ({"records": "a"}, "data.records: only for jsonl, not for csv"),
        ({"encoding": "base64"}, "data.encoding: 'base64' is none"),
        ({"folder": "a"}, "data.folder: "),
        ({"document_column": "a", "text_column": "b", "gold_order_column": "c"}, "data.document_column: "),
        ({"source": Source.text, "delimiter": ";"}, "data.delimiter: only for csv, not for text"),
        ({"source": Source.parquet, "encoding": "cp1252"}, "data.encoding: only for jsonl and csv and text"),
        ({"source": Source.hub, "hub_id": "a/b", "train": ["a", "b"]}, "data.train: the name of one split"),
    ],
)
def test_keys_of_how_files_are_read_fit_together(keys: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError) as caught:
        check_data(DataConfig(**{"source": Source.csv, **keys}))
    assert str(caught.value).startswith(named)
    check_data(DataConfig(Source.csv, delimiter="tab", encoding="cp1251", document_column="a", text_column="b"))


def test_the_defaults_of_every_command_are_valid(configs: dict[str, Any]) -> None:
    check_train(configs["train"])
    for name in ("evaluate", "predict"):
        check_ranges(configs[name])
    assert OmegaConf.structured(configs["train"]).decoder.beam_width == 64
