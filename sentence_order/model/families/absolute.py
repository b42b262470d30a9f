"""Encoders with absolute positions whose embeddings or layers want other arguments than BERT's."""

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.xmod.modeling_xmod import XmodOutput

from sentence_order.model.families.family import Family, use_class


class Albert(Family):
    """Lan et al. 2020, "ALBERT: a lite BERT": one layer, or one for each group, that runs again and again."""

    def find_layers(self, encoder: PreTrainedModel) -> list[nn.Module]:
        config, groups = encoder.config, super().find_layers(encoder)
        # As AlbertTransformer chooses the group.
        return [
            groups[int(k / (config.num_hidden_layers / config.num_hidden_groups))]
            for k in range(config.num_hidden_layers)
        ]


class Xmod(Family):
    """Pfeiffer et al. 2022, "Lifting the curse of multilinguality": each layer has an adapter for every language.

    The one used is `default_language` of the config.
    """

    def prepare(self, encoder: PreTrainedModel) -> None:
        use_class(encoder, XmodOutput, OneLanguageOutput)

    def first_position(self, config: PreTrainedConfig) -> int:
        if config.default_language not in config.languages:
            raise ValueError(
                f"its config.json has the default_language {config.default_language}; it must be one of "
                f"{', '.join(config.languages)}"
            )
        return super().first_position(config)

    def position_arguments(self, config: PreTrainedConfig, number: int, positions: Any) -> dict[str, Any]:
        return {"lang_ids": config.default_language}


class OneLanguageOutput(XmodOutput):
    """The end of a layer for sentences that are all of one language, in whatever precision.

    The library's own looks for the tokens of each language, and fails if its adapters compute in another precision.
    """

    def lang_adapter(self, lang_ids: str, hidden_states: Tensor) -> Tensor:
        residual = hidden_states
        if self.adapter_layer_norm is not None:
            hidden_states = self.adapter_layer_norm(hidden_states)
        elif self.adapter_reuse_layer_norm:
            hidden_states = self.LayerNorm(hidden_states)
        if self.ln_before_adapter:
            residual = hidden_states
        return self.dropout(self.adapter_modules[lang_ids](hidden_states)) + residual


class Bart(Family):
    """The encoder of Lewis et al. 2020, "BART"; its positions start at 2, within the table."""

    def embed(self, encoder: PreTrainedModel, input_ids_P: Tensor, offset_P: Tensor) -> Tensor:
        words, places, norm = (encoder.get_submodule(name) for name in self.embeddings)
        states_PH = norm(words(input_ids_P) + places(input_ids_P[None], position_ids=offset_P)[0])
        return nn.functional.dropout(states_PH, encoder.config.dropout, words.training)
