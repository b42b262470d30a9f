"""The ordering model: an encoder, set layers over its sentence vectors, and heads that score orders.

The encoder runs in stages: stage 0 embeds, stage k is its k-th layer (from 1), the last one pools every sentence into a
vector. While the lowest ones are frozen, their output for a text is always the same: it can be cached and passed in.
"""

from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import AutoConfig, AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from sentence_order.arrays import IntArray
from sentence_order.config.components import HEADS
from sentence_order.decoding.scores import Scores
from sentence_order.losses import OrderingLoss, count_pairs, weighted_loss
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.encoder import NO_CODE, empty_encoder, encoder_config
from sentence_order.model.families import find_family
from sentence_order.model.families.family import without_batch
from sentence_order.model.heads import HeadSize, mean_view
from sentence_order.model.segments import Layout, Reading, Segments
from sentence_order.model.set_layers import count_heads, former_set_layer_names, make_set_layer
from sentence_order.model.tokenizer import bare_tokenizer, check_vocabulary

# In a checkpoint: 8 bytes for each document that it was trained on (see `data.identity.text_fingerprint`).
DOCUMENTS_FILE = "training_documents.bin"
# Options of transformers' loaders that say where to look.
HUB_OPTIONS = ("revision", "token", "cache_dir", "subfolder", "local_files_only")


class SentenceOrdererModel(PreTrainedModel):
    """Scores the orders of a document's sentences: by default, for every two of them, which one comes first and whether
    one directly follows the other.

    In the layers below `config.joint_from` tokens attend within their sentence, from there on across the document, or
    (`config.joint`) within every pair of sentences. Position ids restart at every sentence, so the scores of a
    reshuffled document are the reshuffled scores, unless `config.position_ids` continue through the document.
    """

    config_class = SentenceOrdererConfig
    base_model_prefix = "orderer"
    main_input_name = "input_ids"
    tokenizer: PreTrainedTokenizerBase | None = None  # loaded and saved with the model
    gradient_checkpointing = False  # of the layers that are trained
    training_documents: IntArray | None = None  # their fingerprints, sorted; saved with the model, if they are known

    def __init__(self, config: SentenceOrdererConfig) -> None:
        super().__init__(config)
        assert config.encoder is not None, "the configuration of the encoder is required"
        self.encoder = empty_encoder(config.encoder)
        self.family = find_family(own := self.encoder.config)
        self.layers = tuple(self.family.find_layers(self.encoder))  # lowest first
        self.blocks = self.family.find_blocks(self.encoder)  # lowest first: the embeddings, and each layer
        self.num_layers = len(self.layers)
        dropout = config.dropout, config.attention_dropout
        self.set_layers = nn.ModuleList(make_set_layer(own, *dropout) for _ in range(config.set_layers))
        size = HeadSize(own.hidden_size, config.head_width, config.dropout, count_heads(own))
        self.heads = nn.ModuleDict({name: head.load()(size) for name, head in HEADS.items() if name in config.heads})
        self.frozen_blocks = self.permanently_frozen_blocks = frozenset[int]()  # numbers of `blocks`
        self.post_init()

    @property
    def ordering_loss(self) -> OrderingLoss:
        """The training loss: a sum, to be divided by `losses.count_pairs`."""
        return weighted_loss(self.config.loss)

    @property
    def parts(self) -> dict[str, list[nn.Module]]:
        """Every part of the model by name: the encoder's blocks, lowest first, then set layers and heads."""
        embeddings, *layers = self.blocks
        named = {f"layer_{k}": layer for k, layer in enumerate(layers)}
        return {"embeddings": embeddings, **named, "set_layers": [self.set_layers], "heads": [*self.heads.values()]}

    def freeze(self, blocks: Iterable[int], permanent: Iterable[int] | None = None) -> None:
        """Freezes these `blocks` and unfreezes the others: no gradient, no dropout even in training, no autograd below.

        The third part of freezing, absence from the optimizer, follows from `requires_grad`. Those that stay frozen
        throughout training are `permanent`, by default all; a checkpoint lists them.
        """
        self.frozen_blocks = frozenset(blocks)
        self.permanently_frozen_blocks = self.frozen_blocks if permanent is None else frozenset(permanent)
        assert self.permanently_frozen_blocks <= self.frozen_blocks
        self.config.frozen_blocks = sorted(self.permanently_frozen_blocks)
        for number, modules in enumerate(self.blocks):
            nn.ModuleList(modules).requires_grad_(number not in self.frozen_blocks)
        self.train(self.training)

    @property
    def prefix_stages(self) -> int:
        """The number of lowest stages that stay frozen: all, pooling included, if every block does."""
        blocks = len(self.blocks)
        frozen = next((n for n in range(blocks) if n not in self.permanently_frozen_blocks), blocks + 1)
        return frozen if self.family.by_layer or frozen > blocks else 0

    def train(self, mode: bool = True) -> "SentenceOrdererModel":
        """Sets training mode, in which frozen blocks stay in evaluation mode."""
        super().train(mode)
        for number in self.frozen_blocks:
            nn.ModuleList(self.blocks[number]).eval()
        if len(self.frozen_blocks) == len(self.blocks):
            self.encoder.eval()  # what it does itself, between its blocks
        return self

    def forward(
        self,
        input_ids: Tensor | None = None,
        lengths: Tensor | None = None,
        positions: Tensor | None = None,
        prefix: Tensor | None = None,
        **_: Any,
    ) -> Scores:
        """Scores a batch as `sentence_order.data.examples.make_batch` makes it.

        Args:
            input_ids: (B, L) token ids, a document's sentences one after the other in any order, padded at the end.
            lengths: (B, S) the number of tokens of each sentence; 0 at padding. They are read on the CPU: if they are
                on a GPU, it is waited for.
            positions: (B, S) gold position of each given sentence; with it the output has a loss.
            prefix: instead of `input_ids`, the output of `encode_prefix` for them.
        """
        assert lengths is not None, "a batch has lengths"
        given = input_ids if prefix is None else prefix
        assert given is not None, "a batch has token ids, or the output of the frozen prefix"
        layout = self._layout(lengths, given.device)
        mask_BS = layout.mask_BS
        # A cached prefix may be in half precision.
        prefix = self._run_frozen_stages(given, layout) if prefix is None else prefix.to(self.dtype)
        views_BSXH, vectors_BSH = self._sentence_vectors(prefix, layout)

        found: dict[str, Any] = {}
        for head in self.heads.values():
            found |= head(views_BSXH, vectors_BSH, mask_BS)
        if positions is not None:
            total = self.ordering_loss(Scores(**found), positions, mask_BS, layout.sizes)
            found["loss"] = total / count_pairs(mask_BS).clamp(min=1)
        return Scores(**found)

    def sentence_vectors(self, input_ids: Tensor, lengths: Tensor) -> Tensor:
        """The vectors (B, S, H) that heads read, of documents as `forward` takes them."""
        layout = self._layout(lengths, input_ids.device)
        return self._sentence_vectors(self._run_frozen_stages(input_ids, layout), layout)[1]

    def encode_prefix(self, input_ids: Tensor, lengths: Tensor) -> Tensor:
        """The output of the frozen prefix for a batch, packed: (P, H), a row per token.

        If the whole encoder is frozen, (N, H), a row per sentence; if nothing is, the token ids, (P).
        """
        return self._run_frozen_stages(input_ids, self._layout(lengths, input_ids.device))

    def _layout(self, lengths: Tensor, device: torch.device) -> Layout:
        return Layout(lengths, device, count_through=self.config.depends_on_input_order)

    def _sentence_vectors(self, prefix: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
        """Of every sentence a view for each other one, or a single one, (B, S, X, H), and their mean (B, S, H)."""
        vectors_NH = self._run_stages(prefix, layout, self.prefix_stages, self.num_layers + 2)
        pairs = self.config.joint == "pairs"
        if pairs:  # a vector for each side of a pair
            views_BSXH = layout.pairs.views.unpack(vectors_NH).unflatten(0, layout.mask_BS.shape)
            vectors_NH = layout.members.pack(mean_view(views_BSXH, layout.mask_BS))
        for layer in self.set_layers:
            vectors_NH = without_batch(self._run(layer, layer, vectors_NH[None], layout.members))
        vectors_BSH = layout.members.unpack(vectors_NH)
        return views_BSXH if pairs else vectors_BSH[:, :, None], vectors_BSH

    @torch.no_grad()
    def _run_frozen_stages(self, input_ids_BL: Tensor, layout: Layout) -> Tensor:
        input_ids_P = layout.documents.pack(input_ids_BL[:, : layout.documents.longest])
        return self._run_stages(input_ids_P, layout, 0, self.prefix_stages)

    def reads_sentences(self, stage: int) -> bool:
        """True if a stage reads every sentence alone."""
        joint = self.config.joint_from < stage <= self.num_layers
        return not joint or self.family.is_local(self.encoder.config, stage - 1)

    def _run_stages(self, x_PX: Tensor, layout: Layout, first: int, last: int) -> Tensor:
        """Runs the stages from `first` to before `last` on the output of the stage before."""
        family, encoder = self.family, self.encoder
        positions: dict[Reading, Any] = {}
        for stage in range(first, last):
            in_pairs = self.config.joint == "pairs" and stage > self.config.joint_from
            if in_pairs and stage == self.config.joint_from + 1:
                x_PX = x_PX.index_select(0, layout.pairs.token_K)
            place = layout.pairs if in_pairs else layout
            reading = place.alone if self.reads_sentences(stage) else place.together

            if stage == 0:
                x_PX = family.embed(encoder, x_PX, reading.spans.offset_P)
            elif stage <= self.num_layers:
                if reading not in positions:
                    positions[reading] = family.positions(encoder, reading, x_PX)
                layer = self.layers[stage - 1]
                arguments = encoder, layer, stage - 1, x_PX, reading, positions[reading]
                x_PX = self._run(layer if family.by_layer else encoder, family.run_layer, *arguments)
            else:
                x_PX = pool(x_PX, reading.segments, self.config.pooling)
        return x_PX

    def _run(self, layer: nn.Module, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function that runs a layer; what it stores for the backward pass may be computed again instead."""
        if self.gradient_checkpointing and layer.training:  # frozen layers are not, and store little
            return checkpoint(function, *arguments, use_reentrant=False)
        return function(*arguments)

    @classmethod
    def from_pretrained(cls, path: str | PathLike[str], *args: Any, **kwargs: Any) -> "SentenceOrdererModel":
        """Loads a checkpoint (folder or hub id) with its tokenizer, in float32 unless `dtype` is given."""
        where = {name: kwargs[name] for name in HUB_OPTIONS if name in kwargs}
        config = kwargs.pop("config", None) or cls.config_class.from_pretrained(path, **where)
        tokenizer = bare_tokenizer(path, **where)
        check_vocabulary(tokenizer, encoder_config(config.encoder))
        kwargs = {"dtype": torch.float32, **kwargs, **NO_CODE, "use_safetensors": True}
        kwargs["key_mapping"] = former_names(config)
        loaded = super().from_pretrained(path, *args, config=config, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded  # output_loading_info=True
        model.tokenizer = tokenizer
        return loaded

    def save_pretrained(self, path: str | PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Writes a checkpoint folder that loads with nothing else: weights, configuration, tokenizer, documents."""
        kwargs["save_original_format"] = False  # by today's names, also if an old checkpoint was loaded
        super().save_pretrained(path, *args, **kwargs)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(path)
        if self.training_documents is not None:
            self.training_documents.astype("<u8").tofile(Path(path) / DOCUMENTS_FILE)


def pool(x_PH: Tensor, sentences: Segments, pooling: str) -> Tensor:
    """A vector of each sentence, (N, H): the mean of its tokens' states, or that of its first or last token."""
    end_N1 = sentences.end_N1
    if pooling == "mean":  # a check of the ends, which are right, would wait for a GPU
        mean_NH = torch.segment_reduce(x_PH.float(), "mean", offsets=end_N1, axis=0, unsafe=True)
        return mean_NH.to(x_PH.dtype)
    return x_PH.index_select(0, end_N1[:-1] if pooling == "first" else end_N1[1:] - 1)


def former_names(config: SentenceOrdererConfig) -> dict[str, str]:
    """The names of weights in checkpoints of revision 5905ae2 (heads) or 59106b2 (set layers) and before, as patterns,
    with those of today.

    `heads.pairs` was `pair_head`, and `heads.relational_pointer` `pointer_head`.
    """
    assert config.encoder is not None
    former = {head: head.removeprefix("relational_").removesuffix("s") + "_head" for head in config.heads}
    heads = {rf"^{name}\.": f"heads.{head}." for head, name in former.items()}
    return heads | former_set_layer_names(config.encoder["model_type"])


# `AutoModel` then loads checkpoints, once this module has been imported.
AutoConfig.register(SentenceOrdererConfig.model_type, SentenceOrdererConfig)
AutoModel.register(SentenceOrdererConfig, SentenceOrdererModel)
