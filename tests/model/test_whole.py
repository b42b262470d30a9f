"""An encoder that is run as a whole: its settings, and its tokenizer, which may mark no sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sentence_order.config.schema import (
    DataConfig,
    DecoderConfig,
    DecoderName,
    EncoderConfig,
    Joint,
    LossConfig,
    ModelConfig,
    Pooling,
    PositionIds,
)
from sentence_order.data.encoding import encode
from sentence_order.errors import UserError
from sentence_order.model.build import build_model
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.model.tiny import tiny_tokenizer
from sentence_order.model.tokenizer import load_tokenizer
from tests.families import write_encoder


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"joint_from": 1}, r"encoder\.joint_from: an encoder of type 'qwen3' is run as a whole"),
        ({"joint": Joint.pairs}, r"encoder\.joint=pairs: an encoder of type 'qwen3' is run as a whole"),
        ({"position_ids": PositionIds.per_document}, r"encoder\.position_ids=per_document: an encoder of type 'qwen3'"),
        (
            {"pooling": Pooling.first},
            r"encoder\.name: \S+ cannot be used with model\.pooling=first: all sentences get the same vector",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_a_decoder_cannot_have_are_refused(
    make_model: Callable[..., SentenceOrdererModel], settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UserError, match=rf"^{complaint}.*$"):
        make_model(encoder="qwen3", **settings)


@pytest.mark.parametrize("joint_from", ["half", "all"])
def test_no_layer_of_it_is_joint(make_model: Callable[..., SentenceOrdererModel], joint_from: str) -> None:
    assert make_model(encoder="qwen3", joint_from=joint_from).config.joint_from == 4


def test_a_sentence_ends_in_the_tokenizers_end_token(
    make_model: Callable[..., SentenceOrdererModel], tmp_path: Path
) -> None:
    """If it has no other special token; also after a checkpoint was saved and loaded."""
    model = make_model(encoder="qwen3")
    model.save_pretrained(tmp_path)
    for tokenizer in (model.tokenizer, SentenceOrdererModel.from_pretrained(tmp_path).tokenizer):
        assert tokenizer is not None
        end = tokenizer.eos_token_id
        assert [len(ids) for ids in encode(tokenizer, ["", "abc"])] == [1, 4]
        assert [ids[-1] for ids in encode(tokenizer, ["", "abc"])] == [end, end]


def test_an_encoder_that_reads_padding_is_refused(tmp_path: Path) -> None:
    """ConvBERT's convolutions do."""
    folder = str(write_encoder(tmp_path, "convbert", tiny_tokenizer(["a b c"], 50)))
    with pytest.raises(UserError, match=r"^encoder\.name: \S+ cannot be used: its output depends on padding, by .*$"):
        build_model(
            EncoderConfig(name=folder),
            ModelConfig(),
            load_tokenizer(folder),
            DataConfig(max_sentence_tokens=64),
            LossConfig(),
            DecoderConfig(DecoderName("exact"), 64),
            0,
        )
