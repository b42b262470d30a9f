"""Any other encoder or decoder: it reads sentence by sentence, as a whole, by its library's own code."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from sentence_order.errors import UserError, first_line
from sentence_order.model.families.family import Family, count_layers
from sentence_order.model.segments import Reading
from sentence_order.runtime.device import out_of_memory

# For encoders without a table of positions.
UNLIMITED = 2**31 - 1


class Whole(Family):
    """The blocks are for freezing; the lower ones pass token ids on, and the highest one runs the encoder."""

    def find_layers(self, encoder: PreTrainedModel) -> list[nn.Module]:
        """The only list of as many modules as the encoder has layers, or a stand-in for each layer.

        Some encoders, such as XLM, have several lists: of attention, of norms and so on.
        """
        count = count_layers(encoder.config)
        lists = [module for module in encoder.modules() if isinstance(module, nn.ModuleList) and len(module) == count]
        within = {module for one in lists for layer in one for module in layer.modules()}
        outer = [one for one in lists if one not in within]
        return list(outer[0]) if len(outer) == 1 else [nn.Identity() for _ in range(count)]

    def find_blocks(self, encoder: PreTrainedModel) -> list[list[nn.Module]]:
        """What is registered before the layers is block 0, and what follows them belongs to the highest one.

        If the layers cannot be told from the rest, the highest block is the whole encoder.
        """
        layers = self.find_layers(encoder)
        inner = {module for layer in layers for module in layer.modules()}
        around: tuple[list[nn.Module], list[nn.Module]] = [], []
        is_behind = False
        for module in encoder.modules():
            is_behind = is_behind or module in inner
            is_leaf = not any(True for _ in module.children())
            if module not in inner and (is_leaf or any(True for _ in module.parameters(recurse=False))):
                around[is_behind].append(module)
        if not is_behind or any(inner & set(module.modules()) for module in around[0]):
            return [*([] for _ in layers), [encoder]]
        *lower, highest = [[layer] for layer in layers]
        return [around[0], *lower, [*highest, *around[1]]]

    def longest_sentence(self, config: PreTrainedConfig) -> int:
        longest = getattr(config, "max_position_embeddings", None)
        return longest - self.first_position(config) if type(longest) is int and longest > 0 else UNLIMITED

    def is_local(self, config: PreTrainedConfig, layer: int) -> bool:
        return True

    def embed(self, encoder: PreTrainedModel, input_ids_P: Tensor, offset_P: Tensor) -> Tensor:
        return input_ids_P

    def run_layer(
        self,
        encoder: PreTrainedModel,
        layer: nn.Module,
        number: int,
        states_PH: Tensor,
        reading: Reading,
        positions: Any,
    ) -> Tensor:
        if number < count_layers(encoder.config) - 1:
            return states_PH
        sentences, device = reading.segments, states_PH.device.type
        try:
            output = encoder(input_ids=sentences.unpack(states_PH), attention_mask=sentences.mask_NL.long())
        except RuntimeError as error:
            if not torch.is_autocast_enabled(device) or out_of_memory(error):
                raise
            kind, dtype = encoder.config.model_type, torch.get_autocast_dtype(device)
            raise UserError(
                f"precision: an encoder of type '{kind}' fails in {dtype} ({first_line(error)}); add precision=fp32"
            ) from error
        return sentences.pack(output.last_hidden_state)
