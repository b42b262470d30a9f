"""Tiny random encoders of every family."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

WIDTH = 24
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
SIZES = {
    **{"vocab_size": 99, "hidden_size": WIDTH, "num_hidden_layers": 4, "num_attention_heads": 2},
    **{"intermediate_size": 48, "max_position_embeddings": 300, **IDS},
}
SEQ2SEQ = {
    **{"vocab_size": 99, "d_model": WIDTH, "encoder_layers": 4, "decoder_layers": 2, "encoder_attention_heads": 2},
    **{"decoder_attention_heads": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, **IDS},
}
DEBERTA = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": -1}
T5 = {"vocab_size": 99, "d_model": WIDTH, "num_layers": 4, "num_heads": 2, "d_kv": 12, "d_ff": 48}
GPT = {"vocab_size": 99, "n_embd": WIDTH, "n_layer": 4, "n_head": 2}
# By `model_type`, and for a second one of a type what it has.
SETTINGS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("bert", "ernie", "roberta", "xlm-roberta", "camembert"), SIZES),
    **dict.fromkeys(("roberta-prelayernorm", "xlm-roberta-xl", "gte", "nomic_bert", "jina_embeddings_v3"), SIZES),
    "electra": {**SIZES, "embedding_size": 12},
    "distilbert": {"vocab_size": 99, "dim": WIDTH, "n_layers": 4, "n_heads": 2, "hidden_dim": 48},
    "xmod": {**SIZES, "languages": ["en_XX", "de_DE"], "default_language": "de_DE"},
    "albert": {**SIZES, "embedding_size": 12},
    "albert,two groups": {**SIZES, "embedding_size": 12, "num_hidden_groups": 2},
    "bart": SEQ2SEQ,
    "eurobert": {**SIZES, "num_key_value_heads": 1},
    "modernbert": {**SIZES, "local_attention": 8},
    "ultrabert": {**SIZES, "sliding_window": 4},
    "mpnet": SIZES,
    "deberta-v2": {
        **{**SIZES, **DEBERTA, "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True},
        **{"position_biased_input": False, "type_vocab_size": 0},
    },
    "deberta-v2,convolution": {**SIZES, **DEBERTA, "conv_kernel_size": 3, "position_buckets": 8},
    "deberta-v2,no buckets": {**SIZES, **DEBERTA},
    "deberta-v2,absolute": SIZES,
    # As a whole.
    "deberta": {**SIZES, **DEBERTA},
    **dict.fromkeys(("t5", "mt5"), T5),
    "mbart": SEQ2SEQ,
    "qwen3": {**SIZES, "head_dim": 12, "num_key_value_heads": 1},
    "gemma3_text": {**SIZES, "head_dim": 12, "num_key_value_heads": 1, "sliding_window": 4},
    "gpt2": GPT,
    "xlnet": {"vocab_size": 99, "d_model": WIDTH, "n_layer": 4, "n_head": 2, "d_inner": 48},
    "longformer": {**SIZES, "attention_window": 4},
}

# One of each recipe for running an encoder layer by layer: positions are absolute, rotary (with windows), relative.
RECIPES = ("bert", "modernbert", "deberta-v2")
OTHERS = RECIPES[1:]
# A test that makes its models by `make_model` runs with each of them.
every_recipe = pytest.mark.parametrize("make_model", RECIPES, indirect=True)


def tiny_encoder(name: str) -> dict[str, Any]:
    """The settings of an encoder, as a checkpoint keeps them."""
    return AutoConfig.for_model(name.split(",")[0], **SETTINGS[name]).to_dict()


def write_encoder(folder: Path, name: str, tokenizer: PreTrainedTokenizerBase, **settings: Any) -> Path:
    """Writes a random encoder of four layers with its tokenizer, as `encoder.name` takes it."""
    own = {"vocab_size": len(tokenizer), "max_position_embeddings": 512, **settings}
    if name == "modernbert":
        own |= {"layer_types": ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]}
    config = AutoConfig.for_model(name, **{**SETTINGS.get(name, SIZES), **own})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModel.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def byte_tokenizer() -> PreTrainedTokenizerBase:
    """A tokenizer as decoders have them: a token for each byte, and none that it adds to a text."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")


@torch.no_grad()
def draw_weights(encoder: nn.Module) -> None:
    """Draws weights so large that the position of a token makes a difference."""
    for parameter in encoder.parameters():
        if parameter.ndim > 1:
            parameter.normal_(0, 0.15)
