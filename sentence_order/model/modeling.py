"""The ordering model.

Shape suffixes: B documents, S sentences of a document (padded), T = 1 + S those and, first, the document's boundary,
L tokens of a document (padded), N tokens of the whole batch (packed, no padding), R sentences of the whole batch
(packed), Q sides of all pairs of sentences, D width of the encoder, X = 1 where a sentence has one vector, or S where
it has one beside each other sentence.

The encoder runs in stages: 0 embeds, stage k is its k-th layer (from 1), the last makes one vector of every sentence. A
frozen prefix is some of the lowest stages; what it makes of a text is always the same, and can be kept and passed in.
"""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from sentence_order.losses import OrderingLoss, mean_loss, weighted_loss
from sentence_order.model.attention import Layout, Segments
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.encoder import (
    NO_CODE,
    bare_tokenizer,
    check_vocabulary,
    embed,
    embedding_modules,
    empty_encoder,
    encoder_layers,
    set_layer,
)
from sentence_order.model.head import NeighbourHead, PairHead, PositionHead, ScoreHead, mean_view, pairs_of_positions
from sentence_order.model.linear import use_onednn
from sentence_order.model.pointer import PointerHead
from sentence_order.scores import Scores

if TYPE_CHECKING:
    from sentence_order.inference import Prediction


class SentenceOrderer(PreTrainedModel):
    """Reads a document and says in which order its sentences stand: by default, of every two of them, which comes first
    and whether one directly follows the other.

    A sentence's position ids restart at its first token; below `config.joint_from` tokens attend within their sentence,
    from there on across the document, or (`config.joint`) within every pair of sentences. Nothing in the computation
    knows in which order the sentences were given, so the scores of a reshuffled document are the reshuffled scores,
    unless `config.position_ids` run on through the document.
    """

    config_class = SentenceOrdererConfig
    base_model_prefix = "orderer"
    main_input_name = "input_ids"
    tokenizer: PreTrainedTokenizerBase | None = None

    def __init__(self, config: SentenceOrdererConfig) -> None:
        super().__init__(config)
        assert config.encoder is not None, "a SentenceOrderer needs the configuration of its encoder"
        self.encoder = empty_encoder(config.encoder)
        self.set_layers = nn.ModuleList(set_layer(self.encoder) for _ in range(config.set_layers))
        has = set(config.heads)
        width = self.encoder.config.hidden_size
        sizes = (width, config.head_width, config.dropout)
        self.pair_head = PairHead(*sizes) if "pairs" in has else None
        self.score_head = ScoreHead(*sizes) if "scores" in has else None
        self.neighbour_head = NeighbourHead(*sizes) if "neighbours" in has else None
        attention_heads = self.encoder.config.num_attention_heads
        self.position_head = PositionHead(*sizes, attention_heads) if "positions" in has else None
        relational = "relational_pointer" in has
        self.pointer_head = PointerHead(*sizes, relational) if relational or "pointer" in has else None
        self.frozen_blocks: frozenset[int] = frozenset()
        self.kept_blocks: frozenset[int] = frozenset()
        use_onednn(self)
        self.post_init()

    @property
    def ordering_loss(self) -> OrderingLoss:
        """The loss that the model is trained by."""
        return weighted_loss(self.config.loss)

    @property
    def knows_the_shuffle(self) -> bool:
        """Whether what it says depends on the order in which the sentences are given."""
        return bool(self.config.position_ids == "per_document")

    @property
    def blocks(self) -> list[list[nn.Module]]:
        """The encoder's blocks, lowest first: block 0 is the embeddings, block k its k-th layer (from 1)."""
        return [embedding_modules(self.encoder), *([layer] for layer in encoder_layers(self.encoder))]

    @property
    def parts(self) -> dict[str, list[nn.Module]]:
        """Every part of the model by name: the encoder's blocks, lowest first, then what stands on them."""
        names = ["embeddings", *(f"layer_{k}" for k in range(len(self.blocks) - 1))]
        heads = [module for name, module in self.named_children() if name.endswith("_head")]
        return {**dict(zip(names, self.blocks, strict=True)), "set_layers": [self.set_layers], "heads": heads}

    def freeze(self, blocks: Iterable[int], to_the_end: Iterable[int] | None = None) -> None:
        """Freezes some of `blocks`, and only those: no gradient, no dropout even in training, no autograd below.

        The third part of freezing, absence from the optimizer, follows from `requires_grad`.

        Args:
            to_the_end: those of them that stay frozen as long as the model is trained, by default all. The lowest of
                these make the frozen prefix, and a checkpoint names them.
        """
        self.frozen_blocks = frozenset(blocks)
        self.kept_blocks = self.frozen_blocks if to_the_end is None else frozenset(to_the_end)
        assert self.kept_blocks <= self.frozen_blocks
        self.config.frozen_blocks = sorted(self.kept_blocks)
        for number, modules in enumerate(self.blocks):
            for module in modules:
                module.requires_grad_(number not in self.frozen_blocks)
        self.train(self.training)

    @property
    def prefix_stages(self) -> int:
        """How many of the lowest stages stay frozen: all, with the pooling, where every block does."""
        blocks = len(self.blocks)
        lowest = next((number for number in range(blocks) if number not in self.kept_blocks), blocks)
        return lowest if lowest < blocks else blocks + 1

    def train(self, mode: bool = True) -> "SentenceOrderer":
        """Sets training mode, in which frozen blocks stay as they are in evaluation."""
        super().train(mode)
        for number in self.frozen_blocks:
            for module in self.blocks[number]:
                module.eval()
        return self

    def forward(
        self,
        input_ids: Tensor | None = None,
        lengths: Tensor | None = None,
        positions: Tensor | None = None,
        prefix: Tensor | None = None,
        **_: Any,
    ) -> Scores:
        """Scores a batch as `sentence_order.data.examples.collate` makes it.

        Args:
            input_ids: (B, L) token ids, a document's sentences one after the other in any order, padded at the end.
            lengths: (B, S) the number of tokens of each sentence; 0 at padding.
            positions: (B, S) gold position of each given sentence; with it the output has a loss.
            prefix: in place of `input_ids`, what `encode_prefix` has made of them.
        """
        assert lengths is not None, "a batch has lengths"
        layout, mask = Layout(lengths), lengths > 0
        if prefix is None:
            assert input_ids is not None, "a batch has token ids, or what the frozen prefix made of them"
            prefix = self._frozen_stages(input_ids, layout)
        else:
            prefix = prefix.to(self.dtype)  # kept in half precision, perhaps
        vectors_QD = self._run_stages(prefix, layout, self.prefix_stages, len(self.blocks) + 1)
        if self.config.joint == "pairs":
            views_BSXD = layout.pairs.grid(vectors_QD, mask)
            vectors_RD = layout.members.pack(mean_view(views_BSXD, mask))
        else:
            vectors_RD = vectors_QD
        for layer in self.set_layers:
            vectors_RD = _output(layer(vectors_RD[None], layout.members))[0]
        vectors_BSD = layout.members.unpack(vectors_RD)
        if self.config.joint != "pairs":
            views_BSXD = vectors_BSD[:, :, None]
        scores = self._score(views_BSXD, vectors_BSD, mask)
        if positions is None:
            return scores
        return Scores(loss=mean_loss(*self.ordering_loss(scores, positions, mask)), **scores)

    def _score(self, views_BSXD: Tensor, vectors_BSD: Tensor, mask_BS: Tensor) -> Scores:
        """What the heads make of every sentence, for itself and as it reads beside the others."""
        logits_BSS = position_BSS = None
        if self.pair_head is not None:
            logits_BSS = self.pair_head(views_BSXD)
        if self.score_head is not None:
            logits_BSS = self.score_head(vectors_BSD)
        if self.position_head is not None:
            position_BSS = self.position_head(vectors_BSD, mask_BS)
            logits_BSS = pairs_of_positions(position_BSS, mask_BS)
        return Scores(
            logits=logits_BSS,
            next_log_probs=None if self.neighbour_head is None else self.neighbour_head(views_BSXD, mask_BS),
            position_logits=position_BSS,
            pointer=None if self.pointer_head is None else self.pointer_head(views_BSXD, vectors_BSD, mask_BS),
        )

    def encode_prefix(self, input_ids: Tensor, lengths: Tensor) -> Tensor:
        """What the frozen prefix makes of a batch, packed: (N, D), a row a token.

        Where the whole encoder is frozen, (R, D), a row a sentence; where nothing is, the token ids, (N).
        """
        return self._frozen_stages(input_ids, Layout(lengths))

    @torch.no_grad()
    def _frozen_stages(self, input_ids_BL: Tensor, layout: Layout) -> Tensor:
        real_BL = layout.documents.mask_RT
        return self._run_stages(input_ids_BL[:, : real_BL.shape[1]][real_BL], layout, 0, self.prefix_stages)

    def _run_stages(self, x_NX: Tensor, layout: Layout, first: int, last: int) -> Tensor:
        """Runs the stages from `first` to before `last` on what the stages before have made."""
        layers = encoder_layers(self.encoder)
        pairs = self.config.joint == "pairs"
        for stage in range(first, last):
            if stage == 0:
                whole = layout.sentences if self.config.position_ids == "per_sentence" else layout.documents
                x_NX = embed(self.encoder, x_NX, whole.slot_N % whole.mask_RT.shape[1])[0]
            elif stage <= len(layers):
                if pairs and stage == self.config.joint_from + 1:
                    x_NX = x_NX.index_select(0, layout.pairs.token_K)
                together = layout.pairs.segments if pairs else layout.documents
                segments = layout.sentences if stage <= self.config.joint_from else together
                x_NX = _output(layers[stage - 1](x_NX[None], segments))[0]
            else:
                x_NX = self._pool(x_NX, layout.pairs.sides if pairs else layout.sentences)
        return x_NX

    def _pool(self, states_ND: Tensor, sentences: Segments) -> Tensor:
        """One vector a sentence, or a side of a pair: (N, D) -> (R, D)."""
        states_RTD = sentences.unpack(states_ND)
        if self.config.pooling == "first":
            return states_RTD[:, 0]
        return states_RTD.sum(1) / sentences.mask_RT.sum(1, keepdim=True)

    def order(self, sentences: list[str]) -> list[int]:
        """The predicted order of a document: `order[k]` is the index of the sentence that stands k-th.

        Empty sentences are left out.

        Example:
            >>> model = SentenceOrderer.from_pretrained("outputs/run/checkpoints/best")
            >>> model.order(["He ate it.", "Tom baked a cake."])
            [1, 0]
        """
        return self.predict([sentences])[0].order

    def predict(self, documents: list[list[str]], **options: Any) -> "list[Prediction]":
        """Predicts the order of many documents, in batches; the options are those of `inference.predict`."""
        from sentence_order.inference import predict

        return predict(self, documents, **options)

    @classmethod
    def from_pretrained(cls, path: str | PathLike[str], *args: Any, **kwargs: Any) -> "SentenceOrderer":
        """Loads a checkpoint (folder or hub id) with its tokenizer, in float32 unless `dtype` is given."""
        kwargs.setdefault("dtype", torch.float32)
        where = ("revision", "token", "cache_dir", "subfolder", "local_files_only")
        tokenizer = bare_tokenizer(path, **{name: kwargs[name] for name in where if name in kwargs})
        loaded = super().from_pretrained(path, *args, **{**kwargs, **NO_CODE, "use_safetensors": True})
        model = loaded[0] if isinstance(loaded, tuple) else loaded  # output_loading_info=True
        check_vocabulary(tokenizer, model.encoder.config)
        model.tokenizer = tokenizer
        return loaded

    def save_pretrained(self, path: str | PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Writes a checkpoint folder that loads with nothing else: weights, configuration, tokenizer."""
        super().save_pretrained(path, *args, **kwargs)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(Path(path))


# `AutoModel` then loads checkpoints, once this module has been imported.
AutoConfig.register(SentenceOrdererConfig.model_type, SentenceOrdererConfig)
AutoModel.register(SentenceOrdererConfig, SentenceOrderer)


def _output(states: Any) -> Tensor:
    """A layer's hidden states; some families of encoders return them in a tuple."""
    tensor = states[0] if isinstance(states, tuple) else states
    assert isinstance(tensor, Tensor)
    return tensor
