"""How an encoder is run block by block on packed tokens, blind to the order of the sentences.

Block 0 embeds, and block k is the k-th layer (from 1). What follows the highest layer, such as a norm, is of its block.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from sentence_order.model.attention import ATTENTION
from sentence_order.model.segments import Reading


@dataclass(frozen=True)
class Family:
    """The encoders of one kind, by the names of their modules.

    The methods are those of absolute positions: a token's embedding has its place in the sentence, and the layers need
    nothing else to know it.
    """

    layers: str = "encoder.layer"
    embeddings: tuple[str, ...] = ("embeddings",)  # applied one after the other; an encoder may lack the later ones
    shared: tuple[str, ...] = ()  # what the layers share, such as a table of relative positions; of block 0
    top: str = ""  # what follows the highest layer, if anything does
    after_padding: bool = False  # positions start behind the padding index, as RoBERTa's do

    attention: str | None = ATTENTION  # the implementation that transformers is asked for
    by_layer: bool = True  # the layers can be run one by one; otherwise the encoder as a whole, sentence by sentence

    def prepare(self, encoder: PreTrainedModel) -> None:
        """Changes a new encoder so that its layers attend within segments, where `attention` alone does not."""

    def find_layers(self, encoder: PreTrainedModel) -> list[nn.Module]:
        """The layers in the order in which they run, lowest first; one that runs several times is there as often."""
        return list(encoder.get_submodule(self.layers))

    def find_blocks(self, encoder: PreTrainedModel) -> list[list[nn.Module]]:
        """The modules of each block, each module once: all that have parameters."""
        names = [name for name in (*self.embeddings, *self.shared) if _has(encoder, name)]
        blocks = [[encoder.get_submodule(name) for name in names]]
        for layer in self.find_layers(encoder):
            blocks.append([] if any(layer in block for block in blocks) else [layer])
        blocks[-1] += [encoder.get_submodule(self.top)] if self.top and _has(encoder, self.top) else []
        return blocks

    def longest_sentence(self, config: PreTrainedConfig) -> int:
        """The number of tokens that a sentence may have."""
        return int(config.max_position_embeddings) - self.first_position(config)

    def first_position(self, config: PreTrainedConfig) -> int:
        """The position id of the first token. Raises ValueError if the config does not say it."""
        if not self.after_padding:
            return 0
        if type(pad := config.pad_token_id) is not int or pad < 0:
            raise ValueError(
                f"its config.json has the pad_token_id {pad}, behind which its positions start; 1 is usual"
            )
        return pad + 1

    def is_local(self, config: PreTrainedConfig, layer: int) -> bool:
        """True if a layer (from 0) can only read each sentence alone."""
        return False

    def embed(self, encoder: PreTrainedModel, input_ids_P: Tensor, offset_P: Tensor) -> Tensor:
        """Embeds packed tokens, each at its place in its sentence (from 0): (P) -> (P, H)."""
        first, *others = (encoder.get_submodule(name) for name in self.embeddings if _has(encoder, name))
        position_ids_1P = offset_P[None] + self.first_position(encoder.config)
        states_1PH = first(input_ids=input_ids_P[None], position_ids=position_ids_1P)
        for module in others:
            states_1PH = module(states_1PH)
        return states_1PH[0]

    def positions(self, encoder: PreTrainedModel, reading: Reading, states_PH: Tensor) -> Any:
        """What the layers need to know of positions, computed once for all layers with the same reading."""
        return None

    def position_arguments(self, config: PreTrainedConfig, number: int, positions: Any) -> dict[str, Any]:
        """What a layer, by its number (from 0), is called with beside states and segments."""
        return {}

    def run_layer(
        self,
        encoder: PreTrainedModel,
        layer: nn.Module,
        number: int,
        states_PH: Tensor,
        reading: Reading,
        positions: Any,
    ) -> Tensor:
        """Runs a layer, by its number (from 0), and after the highest one what follows it: (P, H) -> (P, H)."""
        arguments = self.position_arguments(encoder.config, number, positions)
        states_PH = without_batch(layer(states_PH[None], attention_mask=reading.segments, **arguments))
        if self.top and number == count_layers(encoder.config) - 1 and _has(encoder, self.top):
            states_PH = encoder.get_submodule(self.top)(states_PH)
        return states_PH


def count_layers(config: PreTrainedConfig) -> int:
    """The number of layers of an encoder; 1 if its config names none."""
    return int(getattr(config, "num_hidden_layers", None) or 1)


def use_class(encoder: PreTrainedModel, library: type[nn.Module], own: type[nn.Module]) -> None:
    """Makes the modules of a class of the library those of a subclass of ours; their weights stay as they are."""
    for module in encoder.modules():
        if type(module) is library:
            module.__class__ = own


def without_batch(output: Any) -> Tensor:
    """The states (P, H) of a layer's output: (1, P, H), or a tuple of which that is the first."""
    states_1PH: Tensor = output[0] if isinstance(output, tuple) else output
    return states_1PH[0]


def _has(encoder: PreTrainedModel, name: str) -> bool:
    """True if the encoder has such a module."""
    module: Any = encoder
    for part in name.split("."):
        module = getattr(module, part, None)
    return isinstance(module, nn.Module)
