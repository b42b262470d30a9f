"""What a checkpoint's config.json says of the model."""

from dataclasses import field
from typing import Any

from transformers import PreTrainedConfig

from sentence_order.config import BEAM_WIDTH


class SentenceOrdererConfig(PreTrainedConfig):
    """Configuration of `SentenceOrderer`.

    Attributes:
        encoder: the encoder's own configuration, as a dictionary with its `model_type`.
        joint_from: tokens attend within their sentence in the encoder's layers below this one, and across sentences
            from it on.
        joint: across which: those of the whole "documents", or of "pairs", every two sentences read together.
        position_ids: they restart "per_sentence", or run on "per_document" and so tell the order of the input.
        pooling: "mean" over a sentence's tokens, or its "first" token.
        set_layers: further layers, over the sentence vectors of a document.
        heads: "pairs", "scores", "neighbours", "positions", "pointer" and "relational_pointer"; see `modeling.py`.
        head_width: hidden units of each head.
        dropout: in the heads, before the hidden layer; that of the layers is in `encoder`.
        max_sentence_tokens: longer sentences are cut, special tokens included.
        frozen_blocks: the encoder's blocks that were frozen throughout training: 0 the embeddings, k its k-th layer.
        decoder: the decoder that `order` uses unless told otherwise.
        beam_width: the partial orders that it keeps where it is a beam search.
        loss: the weights of the losses that it was trained by, as in the config group `loss`.
        calibration: slope and offset that turn the log-odds of an order into those of its being right; None where they
            were not fitted (see `calibration.py`).
    """

    model_type = "sentence-orderer"

    encoder: dict[str, Any] | None = None
    joint_from: int = 0
    joint: str = "documents"
    position_ids: str = "per_sentence"
    pooling: str = "mean"
    set_layers: int = 1
    heads: list[str] = field(default_factory=lambda: ["pairs", "neighbours"])
    head_width: int = 256
    dropout: float = 0.0
    max_sentence_tokens: int = 128
    frozen_blocks: list[int] = field(default_factory=list)
    decoder: str = "exact"
    beam_width: int = BEAM_WIDTH
    loss: dict[str, float] = field(default_factory=lambda: {"order": 3.0})
    calibration: list[float] | None = None
