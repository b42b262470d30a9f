"""Encoders with rotary positions (Su et al. 2021, "RoFormer"), which every layer applies to queries and keys.

They are computed for positions that restart in every sentence, so two tokens of different sentences are as far apart as
their places in these are.
"""

from typing import Any

from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from sentence_order.model.families.family import Family
from sentence_order.model.segments import Reading


class Rotary(Family):
    """All layers attend to everything."""

    def embed(self, encoder: PreTrainedModel, input_ids_P: Tensor, offset_P: Tensor) -> Tensor:
        return encoder.get_submodule(self.embeddings[0])(input_ids_P[None])[0]

    def positions(self, encoder: PreTrainedModel, reading: Reading, states_PH: Tensor) -> Any:
        """Cosines and sines."""
        return encoder.rotary_emb(states_PH[None], reading.spans.offset_P[None])

    def position_arguments(self, config: PreTrainedConfig, number: int, positions: Any) -> dict[str, Any]:
        return {"position_embeddings": positions}


class WindowedRotary(Rotary):
    """Some layers attend within a window (Warner et al. 2025, "Smarter, better, faster, longer", ModernBERT).

    The window counts the tokens between two others, and so depends on the order in which sentences are given. These
    layers therefore read single sentences; the model's own alternation of them with layers that read everything becomes
    that of local and joint layers. Each of the two kinds has its own frequencies.
    """

    def is_local(self, config: PreTrainedConfig, layer: int) -> bool:
        return bool(config.layer_types[layer] == "sliding_attention")

    def positions(self, encoder: PreTrainedModel, reading: Reading, states_PH: Tensor) -> Any:
        """Cosines and sines, by the type of a layer."""
        offset_1P, types = reading.spans.offset_P[None], sorted(set(encoder.config.layer_types))
        return {layer_type: encoder.rotary_emb(states_PH[None], offset_1P, layer_type) for layer_type in types}

    def position_arguments(self, config: PreTrainedConfig, number: int, positions: Any) -> dict[str, Any]:
        return super().position_arguments(config, number, positions[config.layer_types[number]])
