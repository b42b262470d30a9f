"""The configuration of a model, as its checkpoint's config.json holds it."""

import math
from collections.abc import Iterable
from dataclasses import field
from typing import Any

from transformers import PreTrainedConfig

from sentence_order.config.components import HEADS, LOSSES
from sentence_order.config.schema import BEAM_WIDTH, DecoderName, Joint, Pooling, PositionIds
from sentence_order.errors import UserError
from sentence_order.model.encoder import encoder_config
from sentence_order.model.families import find_family
from sentence_order.model.families.family import count_layers
from sentence_order.runtime.files import MODEL_TYPE


class SentenceOrdererConfig(PreTrainedConfig):
    """Configuration of `SentenceOrdererModel`."""

    model_type = MODEL_TYPE

    encoder: dict[str, Any] | None = None  # its own configuration, with its `model_type`
    # Tokens attend within their sentence in the encoder's layers below this one, and across sentences from it on.
    joint_from: int = 0
    joint: str = "documents"  # across all sentences of a document, or "pairs": every two of them, read together
    # They restart "per_sentence", or continue "per_document" and reveal the input order.
    position_ids: str = "per_sentence"
    pooling: str = "mean"  # over a sentence's tokens, or that of its "first" or "last" token
    set_layers: int = 1  # further layers, over the sentence vectors of a document
    heads: list[str] = field(default_factory=lambda: ["pairs", "neighbours"])
    head_width: int = 256  # hidden units of each head
    dropout: float = 0.0  # in set layers and, before the hidden layer, in heads; the encoder's is in `encoder`
    attention_dropout: float = 0.0  # in set layers
    max_sentence_tokens: int = 128  # longer sentences are cut, special tokens included
    strip_enumeration: bool = False  # numbers and times at the heads of sentences are not read
    # The encoder's blocks that were frozen throughout training: 0 the embeddings, k its k-th layer.
    frozen_blocks: list[int] = field(default_factory=list)
    decoder: str = "exact"  # of `order`, by default
    beam_width: int = BEAM_WIDTH
    loss: dict[str, float] = field(default_factory=lambda: {"order": 3.0})  # weights, as in the config group `loss`
    # Slope and offset of the log-odds that an order is right, if they were fitted: see `inference/calibration.py`.
    calibration: list[float] | None = None
    pair_calibration: float | None = None  # the slope of those of pairs

    @property
    def depends_on_input_order(self) -> bool:
        """True if the scores depend on the order in which the sentences are given."""
        return self.position_ids == "per_document"

    @property
    def has_pointer(self) -> bool:
        """True if the model scores one sentence after the other, and no pairs."""
        return any("pointer" in HEADS[head].scores for head in self.heads)

    @property
    def longest_sentence(self) -> int:
        """The number of tokens that the encoder can read at once."""
        assert self.encoder is not None
        config = encoder_config(self.encoder)
        return find_family(config).longest_sentence(config)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Reads the attributes above from a file, and nothing else.

        Other keys that transformers would read name code, attention kernels, quantisers and files to load. Raises
        UserError if a value is not valid.
        """
        own = {name: config_dict[name] for name in cls.__annotations__ if name in config_dict}
        loaded = super().from_dict(own, **kwargs)
        config = loaded[0] if isinstance(loaded, tuple) else loaded  # return_unused_kwargs=True
        config._check()
        return loaded

    def _check(self) -> None:
        """Rejects what would fail later, or silently change the predicted orders."""
        kinds = {"joint": Joint, "position_ids": PositionIds, "pooling": Pooling, "decoder": DecoderName}
        for name, kind in kinds.items():
            if getattr(self, name) not in (choices := [choice.value for choice in kind]):
                raise UserError(f"{name}: one of {', '.join(choices)}, not {getattr(self, name)!r}")
        if not isinstance(self.encoder, dict):
            raise UserError(f"encoder: the configuration of an encoder, not {self.encoder!r}")
        try:
            encoder = encoder_config(self.encoder)
        except ValueError as error:
            raise UserError(f"encoder: {error}") from error
        layers, longest = count_layers(encoder), find_family(encoder).longest_sentence(encoder)

        ranges = {"set_layers": (0, 1000), "head_width": (1, 2**20), "beam_width": (1, 2**31)}
        ranges |= {"joint_from": (0, layers), "max_sentence_tokens": (3, longest)}
        if not 0 <= layers <= 1000:
            raise UserError(f"encoder.num_hidden_layers: from 0 to 1000, not {layers}")
        for name, (least, most) in ranges.items():
            if type(value := getattr(self, name)) is not int or not least <= value <= most:
                raise UserError(f"{name}: a number from {least} to {most}, not {value!r}")

        if not isinstance(self.heads, list) or not self.heads or not set(self.heads) <= set(HEADS):
            raise UserError(f"heads: some of {', '.join(HEADS)}, not {self.heads!r}")
        if not isinstance(self.frozen_blocks, list) or not set(self.frozen_blocks) <= set(range(layers + 1)):
            raise UserError(f"frozen_blocks: some of 0 to {layers}, not {self.frozen_blocks!r}")

        if not isinstance(self.strip_enumeration, bool):
            raise UserError(f"strip_enumeration: true or false, not {self.strip_enumeration!r}")

        loss, fitted = self.loss, self.calibration
        if not (isinstance(loss, dict) and set(loss) <= {*LOSSES, "margin_width"} and _numbers(loss.values())):
            raise UserError(f"loss: weights of {', '.join(LOSSES)}, not {loss!r}")
        if fitted is not None and not (isinstance(fitted, list) and len(fitted) == 2 and _numbers(fitted)):
            raise UserError(f"calibration: a slope and an offset, or null, not {fitted!r}")
        if self.pair_calibration is not None and not _numbers([self.pair_calibration]):
            raise UserError(f"pair_calibration: a slope, or null, not {self.pair_calibration!r}")


def _numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)
