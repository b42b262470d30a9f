"""Makes the model that a training config describes."""

import logging

import torch
from transformers import PreTrainedTokenizerBase

from sentence_order.config import schema
from sentence_order.config.commands import as_typed
from sentence_order.config.keys import flatten_config
from sentence_order.errors import UserError, counted
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.encoder import load_encoder
from sentence_order.model.families import find_family
from sentence_order.model.families.family import count_layers
from sentence_order.model.freezing import first_joint_layer
from sentence_order.model.independence import check_independence
from sentence_order.model.locations import TINY
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.model.tiny import tiny_config
from sentence_order.model.tokenizer import check_vocabulary

log = logging.getLogger(__name__)

# The names that encoders give to the rates of dropout, and the key that sets each.
DROPOUT = dict.fromkeys(
    ("hidden_dropout_prob", "dropout", "embedding_dropout", "mlp_dropout", "activation_dropout", "dropout_rate"),
    "dropout",
)
DROPOUT |= dict.fromkeys(
    ("resid_pdrop", "embd_pdrop", "hidden_dropout", "ff_dropout", "resid_dropout", "embed_dropout"), "dropout"
)
DROPOUT |= dict.fromkeys(("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop"), "attention_dropout")


def build_model(
    encoder: schema.EncoderConfig,
    model: schema.ModelConfig,
    tokenizer: PreTrainedTokenizerBase,
    data: schema.DataConfig,
    loss: schema.LossConfig,
    decoder: schema.DecoderConfig,
    seed: int,
) -> SentenceOrdererModel:
    """Makes a model over a pretrained encoder, or the random tiny one; new weights are drawn from `seed`.

    Raises UserError naming the config key that does not fit the encoder.
    """
    torch.manual_seed(seed)
    if encoder.name == TINY:
        pretrained = None
        own = tiny_config(len(tokenizer), encoder.tiny_layers, encoder.tiny_width)
    else:
        pretrained = load_encoder(encoder.name)
        own = pretrained.config
        try:
            check_vocabulary(tokenizer, own)
        except ValueError as error:
            raise UserError(f"encoder.name: {encoder.name}: {error}") from error
    assert decoder.name is not None
    assert decoder.beam_width is not None

    family, layers = find_family(own), count_layers(own)
    longest = family.longest_sentence(own)
    if data.max_sentence_tokens > longest:
        raise UserError(
            f"data.max_sentence_tokens: {data.max_sentence_tokens} is more than the {longest} positions of "
            f"{encoder.name}"
        )
    joint_from = first_joint_layer(encoder, layers)
    if not family.by_layer:
        _check_whole(encoder, joint_from == layers, own.model_type)
        joint_from = layers
    is_joint = not all(family.is_local(own, layer) for layer in range(joint_from, layers))
    _check_joint(encoder, joint_from, is_joint, model)

    settings = own.to_dict()
    settings.pop("_name_or_path", None)  # a path of the machine that trained the model
    settings.update({key: getattr(model, name) for key, name in DROPOUT.items() if key in settings})
    config = SentenceOrdererConfig(
        **flatten_config(model),
        encoder=settings,
        joint_from=joint_from,
        joint=encoder.joint.value,
        position_ids=encoder.position_ids.value,
        max_sentence_tokens=data.max_sentence_tokens,
        strip_enumeration=data.strip_enumeration,
        decoder=decoder.name.value,
        beam_width=decoder.beam_width,
        loss={name: weight for name, weight in flatten_config(loss).items() if weight},
    )

    made = SentenceOrdererModel(config)
    if pretrained is not None:
        made.encoder.load_state_dict(pretrained.state_dict())
    made.tokenizer = tokenizer
    check_independence(made, f"encoder.name: {encoder.name}")
    return made


def _check_whole(encoder: schema.EncoderConfig, is_alone: bool, model_type: str) -> None:
    """Raises UserError for settings of an encoder that is run as a whole."""
    why = f"an encoder of type '{model_type}' is run as a whole, sentence by sentence"
    if not is_alone and encoder.joint_from != "half":  # which is the default
        raise UserError(f"encoder.joint_from: {why}; leave it out, or set it to all")
    for key, usual in (("joint", schema.Joint.documents), ("position_ids", schema.PositionIds.per_sentence)):
        if (value := getattr(encoder, key)) != usual:
            raise UserError(f"encoder.{key}={value}: {why}; leave it out")
    log.info("encoder: %s; no layer reads across sentences but the set layers", why)


def _check_joint(encoder: schema.EncoderConfig, joint_from: int, is_joint: bool, model: schema.ModelConfig) -> None:
    """Raises UserError for settings that do not fit the way the encoder reads across sentences."""
    per_sentence = encoder.position_ids is schema.PositionIds.per_sentence
    if joint_from == 0 and model.pooling is not schema.Pooling.mean and per_sentence:
        alike = "all sentences" if model.pooling is schema.Pooling.first else "sentences of one length"
        raise UserError(
            f"encoder.joint_from=0 cannot be combined with model.pooling={model.pooling}: {alike} would get one vector"
        )
    if encoder.joint is schema.Joint.documents:
        return
    if not is_joint:
        raise UserError("encoder.joint=pairs: no layer is joint; encoder.joint_from must be below the number of layers")
    if not per_sentence:
        raise UserError("encoder.joint=pairs cannot be combined with encoder.position_ids=per_document")
    if model.set_layers and {head.value for head in model.heads} <= {"pairs", "neighbours"}:
        raise UserError(
            "model.set_layers: with encoder.joint=pairs, the heads pairs and neighbours read every two sentences "
            "separately, and a set layer would have no effect; add model.set_layers=0"
        )


def copy_weights(model: SentenceOrdererModel, source: SentenceOrdererModel, where: str, encoders: list[str]) -> str:
    """Copies the weights of a trained model, whose checkpoint is `where`; returns what they are of.

    `encoders` are the names of the encoders of the two. Raises UserError naming the config key in which they differ.
    """

    def check_same(group: str, *keys: str) -> None:
        for key in keys:
            if (theirs := getattr(source.config, key)) != getattr(model.config, key):
                raise UserError(f"init_from: {where} was trained with {as_typed(f'{group}.{key}', theirs)}; add that")

    check_same("model", "set_layers", "heads", "head_width", "pooling")
    try:
        model.load_state_dict(source.state_dict())
    except RuntimeError as error:  # other names or shapes
        theirs, own = map(_describe_encoder, (source, model), encoders)
        raise UserError(
            f"init_from: {where} was trained with the encoder {theirs}, and encoder.name is {own}"
        ) from error
    check_same("encoder", "joint_from", "joint", "position_ids")
    set_layers = [counted(source.config.set_layers, "set layer")] if source.config.set_layers else []
    return ", ".join(["encoder", *set_layers, f"heads {' and '.join(source.config.heads)}"])


def _describe_encoder(model: SentenceOrdererModel, name: str) -> str:
    own = model.encoder.config
    return f"{name} ({own.model_type}, {counted(model.num_layers, 'layer')} of width {own.hidden_size})"
