"""An encoder that is run as a whole: its settings, and its tokenizer, which may mark no sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, FunnelConfig, FunnelModel

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
from sentence_order.model.encoder import empty_encoder, load_encoder
from sentence_order.model.families import AFTER_PADDING, find_family
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.model.tiny import tiny_tokenizer
from sentence_order.model.tokenizer import load_tokenizer
from tests.families import SETTINGS, write_encoder


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


@torch.no_grad()
@pytest.mark.parametrize("name", AFTER_PADDING)
def test_positions_behind_the_padding_index_are_fewer(name: str) -> None:
    own = {**SETTINGS["bert"], "max_position_embeddings": 40, "pad_token_id": 1}
    own |= {"attention_window": 8, "position_embedding_type": "absolute"}  # of Longformer and ESM
    encoder = AutoModel.from_config(AutoConfig.for_model(name, **own))
    longest = find_family(encoder.config).longest_sentence(encoder.config)
    token_1L = torch.full((1, longest + 1), 7)
    assert encoder(token_1L[:, :longest]).last_hidden_state.shape == (1, longest, 24)
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        encoder(token_1L)


def test_a_type_of_which_transformers_has_two_encoders_is_answered_in_one_line(tmp_path: Path) -> None:
    """The states of Funnel's are fewer than its tokens."""
    config = FunnelConfig(vocab_size=99, d_model=8, n_head=2, d_head=4, d_inner=8, block_sizes=[1, 1])
    FunnelModel(config).save_pretrained(tmp_path)
    with pytest.raises(
        UserError, match=r"^encoder\.name: .* it is of type 'funnel', which does not read token ids and"
    ):
        load_encoder(str(tmp_path))


def test_no_layer_is_left_out_in_training() -> None:
    """As M2M100 does by default, whatever `model.dropout` is."""
    sizes = {"vocab_size": 99, "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 8}
    rates = {"encoder_layerdrop": 1.0, "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    encoder = empty_encoder({"model_type": "m2m_100", **sizes, **rates})
    token_1L = torch.tensor([[7, 8, 9]])
    expected = encoder.eval()(token_1L).last_hidden_state
    torch.testing.assert_close(encoder.train()(token_1L).last_hidden_state, expected)
