"""Tiny random encoders of every family."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from benchmarks.families import make_settings

SETTINGS = make_settings()

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
    config = AutoConfig.for_model(name, **{**SETTINGS.get(name, SETTINGS["bert"]), **own})
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
