"""Makes the model that a training config describes."""

from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from sentence_order.config import EncoderConfig, ModelConfig, Pooling
from sentence_order.errors import UserError
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.encoder import ARCHITECTURES, load_encoder, longest_sentence
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.model.tiny import tiny_config

TINY = "tiny"
# The names under which families of encoders keep their rates of dropout, on hidden states and on attention weights.
HIDDEN_DROPOUT = ("hidden_dropout_prob", "dropout")
ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")


def build_model(
    encoder: EncoderConfig,
    model: ModelConfig,
    tokenizer: PreTrainedTokenizerBase,
    max_sentence_tokens: int,
    decoder: str,
    seed: int,
) -> SentenceOrderer:
    """Makes an orderer over a pretrained encoder (or the random tiny one); what is new in it is drawn from `seed`.

    Raises:
        UserError: naming the config key that the encoder does not go with.
    """
    torch.manual_seed(seed)
    if encoder.name == TINY:
        pretrained = None
        own = tiny_config(len(tokenizer), encoder.tiny_layers, encoder.tiny_width)
    else:
        pretrained = load_encoder(encoder.name)
        own = pretrained.config
    assert own.model_type in ARCHITECTURES
    if max_sentence_tokens > longest_sentence(own):
        raise UserError(
            f"data.max_sentence_tokens: {max_sentence_tokens} is more than the {longest_sentence(own)} positions "
            f"of {encoder.name}"
        )
    joint = joint_from(encoder.joint_from, own.num_hidden_layers)
    if joint == 0 and model.pooling is Pooling.first:
        raise UserError(
            "encoder.joint_from=0 does not go with model.pooling=first: every sentence's first token would be the same"
        )
    settings = own.to_dict()
    settings.pop("_name_or_path", None)  # a path of the machine that trained the model
    settings.update({key: model.dropout for key in HIDDEN_DROPOUT if key in settings})
    settings.update({key: model.attention_dropout for key in ATTENTION_DROPOUT if key in settings})
    config = SentenceOrdererConfig(
        encoder=settings,
        joint_from=joint,
        pooling=model.pooling.value,
        set_layers=model.set_layers,
        neighbours=model.neighbours,
        head_width=model.head_width,
        dropout=model.dropout,
        max_sentence_tokens=max_sentence_tokens,
        decoder=decoder,
    )
    orderer = SentenceOrderer(config)
    if pretrained is not None:
        orderer.encoder.load_state_dict(pretrained.state_dict())
    orderer.tokenizer = tokenizer
    return orderer


def joint_from(setting: Any, layers: int) -> int:
    """Resolves `encoder.joint_from`: a number of layers, or "half". Raises UserError."""
    if setting == "half":
        return layers // 2
    if isinstance(setting, int) and not isinstance(setting, bool) and 0 <= setting <= layers:
        return setting
    raise UserError(f"encoder.joint_from: a number from 0 to {layers} (this encoder's layers) or half, not {setting!r}")
