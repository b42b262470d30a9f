"""Random encoders of every family, in any size."""

from typing import Any

import torch
from torch import nn

VOCABULARY = 99
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
DEBERTA = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": -1}


def make_settings(
    width: int = 24, heads: int = 2, feed_forward: int = 48, layers: int = 4, window: int = 4
) -> dict[str, dict[str, Any]]:
    """The settings of an encoder by its `model_type` and, for a further one of a type, what distinguishes it.

    Those that have windows look `window` tokens ahead and behind.
    """
    bert = {
        **{"vocab_size": VOCABULARY, "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads},
        **{"intermediate_size": feed_forward, "max_position_embeddings": 300, **IDS},
    }
    seq2seq = {
        **{"vocab_size": VOCABULARY, "d_model": width, "encoder_layers": layers, "encoder_attention_heads": heads},
        **{"decoder_layers": 1, "decoder_attention_heads": heads, "encoder_ffn_dim": feed_forward, **IDS},
        **{"decoder_ffn_dim": feed_forward},
    }
    t5 = {"vocab_size": VOCABULARY, "d_model": width, "num_layers": layers, "num_heads": heads}
    t5 |= {"d_kv": width // heads, "d_ff": feed_forward}
    grouped = {"head_dim": width // heads, "num_key_value_heads": 1}
    return {
        **dict.fromkeys(("bert", "ernie", "roberta", "xlm-roberta", "camembert"), bert),
        **dict.fromkeys(("roberta-prelayernorm", "xlm-roberta-xl", "gte", "nomic_bert", "jina_embeddings_v3"), bert),
        "electra": {**bert, "embedding_size": width // 2},
        "distilbert": {
            **{"vocab_size": VOCABULARY, "dim": width, "n_layers": layers, "n_heads": heads},
            **{"hidden_dim": feed_forward},
        },
        "xmod": {**bert, "languages": ["en_XX", "de_DE"], "default_language": "de_DE"},
        "albert": {**bert, "embedding_size": width // 2},
        "albert,two groups": {**bert, "embedding_size": width // 2, "num_hidden_groups": 2},
        "bart": seq2seq,
        "eurobert": {**bert, "num_key_value_heads": 1},
        "modernbert": {**bert, "local_attention": 2 * window},
        "ultrabert": {**bert, "sliding_window": window},
        "mpnet": bert,
        "deberta-v2": {
            **{**bert, **DEBERTA, "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True},
            **{"position_biased_input": False, "type_vocab_size": 0},
        },
        "deberta-v2,convolution": {**bert, **DEBERTA, "conv_kernel_size": 3, "position_buckets": 8},
        "deberta-v2,no buckets": {**bert, **DEBERTA},
        "deberta-v2,near": {**bert, **DEBERTA, "max_relative_positions": 8},
        "deberta-v2,near buckets": {**bert, **DEBERTA, "max_relative_positions": 8, "position_buckets": 4},
        "deberta-v2,no scores": {**bert, **DEBERTA, "pos_att_type": []},
        "deberta-v2,absolute": bert,
        # As a whole.
        "deberta": {**bert, **DEBERTA},
        **dict.fromkeys(("t5", "mt5"), t5),
        "mbart": seq2seq,
        "qwen3": {**bert, **grouped},
        "gemma3_text": {**bert, **grouped, "sliding_window": window},
        "gpt2": {"vocab_size": VOCABULARY, "n_embd": width, "n_layer": layers, "n_head": heads},
        "xlnet": {
            **{"vocab_size": VOCABULARY, "d_model": width, "n_layer": layers, "n_head": heads},
            **{"d_inner": feed_forward},
        },
        "longformer": {**bert, "attention_window": window},
        "xlm": {"vocab_size": VOCABULARY, "emb_dim": width, "n_layers": layers, "n_heads": heads},
        "mra": bert,
    }


@torch.no_grad()
def draw_weights(encoder: nn.Module) -> None:
    """Draws weights so large that the position of a token makes a difference."""
    for parameter in encoder.parameters():
        if parameter.ndim > 1:
            parameter.normal_(0, 0.15)
