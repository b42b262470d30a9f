"""The families of encoders, and how each becomes blind to the order in which sentences are given."""

from transformers import PreTrainedConfig

from sentence_order.model.families.absolute import Albert, Bart, Xmod
from sentence_order.model.families.family import Family
from sentence_order.model.families.relative import DebertaV2, MPNet
from sentence_order.model.families.rotary import Rotary, WindowedRotary
from sentence_order.model.families.whole import Whole

_ROBERTA = Family(after_padding=True)
_ROTARY_BERT = Rotary(layers="layers")
# By `model_type`. Any other encoder is run as a whole.
FAMILIES: dict[str, Family] = {
    # Absolute positions, which restart in every sentence.
    "bert": Family(),
    "ernie": Family(),
    "distilbert": Family(layers="transformer.layer"),
    "electra": Family(embeddings=("embeddings", "embeddings_project")),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "roberta-prelayernorm": Family(after_padding=True, top="LayerNorm"),
    "xlm-roberta-xl": Family(after_padding=True, top="encoder.LayerNorm"),
    "xmod": Xmod(after_padding=True, top="encoder.LayerNorm"),
    "albert": Albert("encoder.albert_layer_groups", ("embeddings", "encoder.embedding_hidden_mapping_in")),
    "bart": Bart("layers", ("embed_tokens", "embed_positions", "layernorm_embedding")),
    # Rotary positions, which restart likewise.
    "eurobert": Rotary("layers", ("embed_tokens",), top="norm"),
    "gte": _ROTARY_BERT,
    "nomic_bert": _ROTARY_BERT,
    "jina_embeddings_v3": _ROTARY_BERT,
    "modernbert": WindowedRotary(layers="layers", top="final_norm"),
    "ultrabert": WindowedRotary("layers", ("embed_tokens",), top="norm"),
    # Distances within sentences.
    "mpnet": MPNet(shared=("encoder.relative_attention_bias",), attention=None),
    "deberta-v2": DebertaV2(shared=("encoder.rel_embeddings", "encoder.LayerNorm"), attention=None),
}
WHOLE = Whole(attention=None, by_layer=False)
WHOLE_AFTER_PADDING = Whole(attention=None, by_layer=False, after_padding=True)
# Types of others whose positions start behind the padding index.
AFTER_PADDING = ("data2vec-text", "esm", "lilt", "longformer", "luke", "markuplm")


def find_family(config: PreTrainedConfig) -> Family:
    """The family of an encoder, by its configuration."""
    if config.model_type in FAMILIES and not getattr(config, "is_decoder", False):
        return FAMILIES[config.model_type]
    return WHOLE_AFTER_PADDING if config.model_type in AFTER_PADDING else WHOLE
