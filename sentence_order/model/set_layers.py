"""Layers over the sentence vectors of a document: BERT's, whatever the encoder is."""

from transformers import BertConfig, PreTrainedConfig
from transformers.models.bert.modeling_bert import BertLayer

from sentence_order.model.attention import ATTENTION

# Encoders whose set layers were once layers of their own class: these keep its settings and, under BERT's, their names.
FORMER = ("bert", "distilbert", "electra", "roberta", "xlm-roberta", "camembert")
_DISTILBERT = {
    "attention.q_lin": "attention.self.query",
    "attention.k_lin": "attention.self.key",
    "attention.v_lin": "attention.self.value",
    "attention.out_lin": "attention.output.dense",
    "sa_layer_norm": "attention.output.LayerNorm",
    "ffn.lin1": "intermediate.dense",
    "ffn.lin2": "output.dense",
    "output_layer_norm": "output.LayerNorm",
}
HEAD_WIDTH = 64  # if the encoder's number of heads does not divide its width


def make_set_layer(encoder: PreTrainedConfig, dropout: float, attention_dropout: float) -> BertLayer:
    """A new layer for vectors of the encoder's width.

    Its feed-forward part is as wide as the vectors: wider ones order no better, and would dominate the cost if the
    encoder is frozen.
    """
    width = encoder.hidden_size
    names = {"hidden_act": "hidden_act", "activation": "hidden_act", "layer_norm_eps": "layer_norm_eps"}
    settings = {name: getattr(encoder, own) for own, name in names.items() if hasattr(encoder, own)}
    config = BertConfig(
        hidden_size=width,
        intermediate_size=width,
        num_attention_heads=count_heads(encoder),
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=attention_dropout,
        **(settings if encoder.model_type in FORMER else {}),
    )
    config._attn_implementation = ATTENTION
    return BertLayer(config)


def count_heads(encoder: PreTrainedConfig) -> int:
    """The number of attention heads of a layer over sentence vectors: the encoder's, if these can share its width."""
    heads, width = getattr(encoder, "num_attention_heads", None), encoder.hidden_size
    return heads if type(heads) is int and heads > 0 and width % heads == 0 else max(1, width // HEAD_WIDTH)


def former_set_layer_names(model_type: str) -> dict[str, str]:
    """The names of the weights of set layers in older checkpoints, as patterns, with those of today."""
    if model_type != "distilbert":
        return {}
    return {rf"^(set_layers\.\d+)\.{former}\.": rf"\1.{name}." for former, name in _DISTILBERT.items()}
