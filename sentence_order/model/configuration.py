"""What a checkpoint's config.json says of the model."""

from dataclasses import field
from typing import Any

from transformers import PreTrainedConfig


class SentenceOrdererConfig(PreTrainedConfig):
    """Configuration of `SentenceOrderer`.

    Attributes:
        encoder: the encoder's own configuration, as a dictionary with its `model_type`.
        joint_from: tokens attend within their sentence in the encoder's layers below this one, and across the whole
            document from it on.
        pooling: "mean" over a sentence's tokens, or its "first" token.
        set_layers: further layers, over the sentence vectors of a document.
        neighbours: there is a head that tells which sentence directly follows which.
        head_width: hidden units of each head.
        dropout: in the heads, before the hidden layer; that of the layers is in `encoder`.
        max_sentence_tokens: longer sentences are cut, special tokens included.
        frozen_blocks: the encoder's blocks that were frozen in training: 0 the embeddings, k its k-th layer.
        decoder: the decoder that `order` uses unless told otherwise.
    """

    model_type = "sentence-orderer"

    encoder: dict[str, Any] | None = None
    joint_from: int = 0
    pooling: str = "mean"
    set_layers: int = 1
    neighbours: bool = True
    head_width: int = 256
    dropout: float = 0.0
    max_sentence_tokens: int = 128
    frozen_blocks: list[int] = field(default_factory=list)
    decoder: str = "exact"
