"""Every head, loss and decoder of the tables loads, can be chosen, and fits a component of the other kinds."""

from dataclasses import fields

import pytest
import torch
import yaml

from sentence_order.config.components import DECODERS, HEADS, LOSSES, Component, heads_for, readers_of
from sentence_order.config.parsing import CONFIG_DIR, options_of
from sentence_order.config.schema import DecoderName, EvaluateDecoderName, HeadName, LossConfig
from sentence_order.decoding.scores import Scores
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.model.tiny import tiny_config

TABLES = {"heads": HEADS, "losses": LOSSES, "decoders": DECODERS}
COMPONENTS = [(table, name) for table, components in TABLES.items() for name in components]


@pytest.mark.parametrize(("table", "name"), COMPONENTS)
def test_every_component_loads_and_names_scores_that_exist(table: str, name: str) -> None:
    component = TABLES[table][name]
    assert callable(component.load())
    assert component.scores
    assert set(component.scores) <= {field.name for field in fields(Scores)}


def test_the_schema_offers_every_component() -> None:
    assert [head.value for head in HeadName] == list(HEADS)
    assert {field.name for field in fields(LossConfig)} == {*LOSSES, "margin_width"}
    assert [decoder.value for decoder in DecoderName] == list(DECODERS)
    assert [decoder.value for decoder in EvaluateDecoderName] == [*DECODERS, "all"]


def test_every_decoder_is_an_option() -> None:
    assert set(options_of("decoder")) == {*DECODERS, "all"}
    for name in options_of("decoder"):
        assert yaml.safe_load((CONFIG_DIR / "decoder" / f"{name}.yaml").read_text())["name"] == name


def test_the_options_of_the_group_loss_give_weights_to_losses_of_the_table() -> None:
    options = [yaml.safe_load((CONFIG_DIR / "loss" / f"{name}.yaml").read_text()) for name in options_of("loss")]
    assert options
    assert all(set(weights) <= set(LOSSES) for weights in options)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_has_a_loss_and_a_decoder(head: str) -> None:
    assert readers_of({head}, LOSSES)
    assert readers_of({head}, DECODERS)


@pytest.mark.parametrize("component", [*LOSSES.values(), *DECODERS.values()], ids=[*LOSSES, *DECODERS])
def test_every_loss_and_decoder_has_a_head(component: Component) -> None:
    assert heads_for(component)


@pytest.mark.parametrize("head", HEADS)
def test_heads_provide_the_scores_of_the_table(head: str) -> None:
    encoder = tiny_config(99, 2, 24).to_dict()
    model = SentenceOrdererModel(SentenceOrdererConfig(encoder=encoder, heads=[head], joint_from=1)).eval()
    scores = model(torch.randint(5, 99, (2, 9)), torch.tensor([[4, 5, 0], [2, 3, 3]]))
    assert set(scores) == set(HEADS[head].scores)
