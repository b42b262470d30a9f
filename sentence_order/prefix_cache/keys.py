"""What determines the output of a frozen prefix: the prefix itself, and the texts that it reads separately; and the
place of each text's output in the store.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from sentence_order.arrays import FloatArray, IntArray
from sentence_order.data.examples import Batch, CachedHiddenStates, TokenizedDocuments, make_batch
from sentence_order.data.tokenization import Corpus
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.prefix_cache.store import DIGEST_BYTES, Digests, Shard

# Part of every key: a change in what the model computes must change it.
CACHE_VERSION = "2"


@dataclass(frozen=True)
class PrefixKind:
    """The extent of a frozen prefix."""

    stages: int  # the number of the encoder's lowest stages that it consists of (see `model/modeling.py`)
    local: bool  # it reads every sentence separately; otherwise every document
    pooled: bool  # it ends in sentence vectors; otherwise in token states

    @classmethod
    def of(cls, model: SentenceOrdererModel) -> "PrefixKind":
        stages, config = model.prefix_stages, model.config
        in_pairs = config.joint == "pairs" and stages > config.joint_from + 1
        return cls(stages, all(map(model.reads_sentences, range(stages))) and not in_pairs, stages > len(model.blocks))


def prefix_key(
    model: SentenceOrdererModel, dtype: torch.dtype, precision: torch.dtype, *, in_linear_layers: bool = False
) -> str:
    """A fingerprint of everything that determines the output of the frozen prefix for given token ids.

    These are the weights and the settings of its blocks, where joint layers begin, how sentences are pooled, and the
    precision in which its output, or its linear layers alone, are computed, and the one in which it is stored. Text,
    tokenizer and maximal length determine the token ids, and are covered by the key of each text.
    """
    kind = PrefixKind.of(model)
    blocks = model.blocks[: kind.stages]
    settings = {
        "version": CACHE_VERSION,
        "encoder": {name: value for name, value in model.encoder.config.to_dict().items() if "dropout" not in name},
        "stages": kind.stages,
        "joint_from": min(model.config.joint_from, len(blocks) - 1),
        "pooling": model.config.pooling if kind.pooled else None,
        "dtype": str(dtype),
        "precision": f"{precision} in linear layers" if in_linear_layers else str(precision),
    }
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True, default=str).encode(), digest_size=DIGEST_BYTES)
    for number, modules in enumerate(blocks):
        for module in modules:
            for name, weights in module.state_dict().items():
                digest.update(f"{number} {name} {weights.dtype} {tuple(weights.shape)}".encode())
                digest.update(weight_bytes(weights))
    return digest.hexdigest()


def weight_bytes(weights: Tensor) -> memoryview:
    """The bytes of a weight, for digests."""
    return weights.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


@dataclass(frozen=True)
class Texts:
    """The texts of a corpus that a prefix reads separately: its sentences or, with joint layers, its documents.

    The sentences of a document are sorted by their content, so that the cached states do not depend on any order.
    """

    corpus: Corpus
    digests: Digests  # of each text's token ids
    members: IntArray  # the numbers of all texts' sentences in the corpus, text after text
    first: IntArray  # where each text begins in `members` and, at the end, where the last one ends
    text_of_sentence: IntArray  # the number of the text that each sentence of the corpus belongs to
    sentence_rows: IntArray  # the number of rows of the prefix's output for each sentence
    offset: IntArray  # the first row of each sentence within its text

    @property
    def rows(self) -> IntArray:
        """The number of rows of the prefix's output for each text."""
        return np.add.reduceat(self.sentence_rows[self.members], self.first[:-1])

    @property
    def tokens(self) -> IntArray:
        """The number of tokens of each text."""
        return np.add.reduceat(self.corpus.lengths[self.members], self.first[:-1])

    @classmethod
    def of(cls, corpus: Corpus, kind: PrefixKind) -> "Texts":
        sentences = _digests(corpus.input_ids, corpus.first_token)
        rows = np.ones_like(corpus.lengths) if kind.pooled else corpus.lengths
        first: IntArray = np.arange(len(sentences) + 1) if kind.local else corpus.first_sentence
        text = np.repeat(np.arange(len(first) - 1), np.diff(first))
        members = np.lexsort((sentences, text))
        start = rows[members].cumsum() - rows[members]
        offset = np.empty_like(members)
        offset[members] = start - start[first[text]]
        digests = sentences if kind.local else _digests(sentences[members], first)
        return cls(corpus, digests, members, first, text, rows, offset)

    def columns(self, text: int) -> tuple[IntArray, IntArray, IntArray]:
        """The token ids of a text, and of each of its sentences the length and the rank."""
        corpus, members = self.corpus, self.members[self.first[text] : self.first[text + 1]]
        pieces = [corpus.input_ids[corpus.first_token[m] : corpus.first_token[m + 1]] for m in members]
        return np.concatenate(pieces), corpus.lengths[members], corpus.text_rank[members]


class TextIndex:
    """An index of distinct texts, numbered by the rank of their digest."""

    def __init__(self, corpora: Mapping[str, Corpus], kind: PrefixKind) -> None:
        self.texts = {name: Texts.of(corpus, kind) for name, corpus in corpora.items()}
        every = list(self.texts.values())
        self.digests, first = np.unique(np.concatenate([texts.digests for texts in every]), return_index=True)
        self.rows = np.concatenate([texts.rows for texts in every])[first]
        self.tokens = np.concatenate([texts.tokens for texts in every])[first]
        # Where a text occurs: the number of a corpus, and that of the text there.
        self._corpus = np.repeat(np.arange(len(every), dtype=np.int8), [len(texts.digests) for texts in every])[first]
        self._numbers = np.concatenate([np.arange(len(texts.digests)) for texts in every])[first]
        self._shards: list[FloatArray] = []
        self._shard = np.full(len(self.digests), -1, dtype=np.int32)
        self._start = np.zeros(len(self.digests), dtype=np.int64)

    def missing(self) -> IntArray:
        """The texts without states."""
        return np.flatnonzero(self._shard < 0)

    def lookup(self, shard: Shard) -> tuple[IntArray, IntArray]:
        """The entries of a shard that hold missing texts, and these texts."""
        text = np.searchsorted(self.digests, shard.digests).clip(max=len(self.digests) - 1)
        entries = np.flatnonzero((self.digests[text] == shard.digests) & (self._shard[text] < 0))
        return entries, text[entries]

    def add_shard(self, shard: Shard, entries: IntArray, texts: IntArray) -> None:
        """Registers entries of a shard as the states of these texts."""
        self._shard[texts] = len(self._shards)
        self._start[texts] = shard.start[entries]
        self._shards.append(shard.states)

    def batch(self, texts: IntArray) -> Batch:
        """Texts as an input of the model."""
        every = list(self.texts.values())
        columns = [every[self._corpus[text]].columns(int(self._numbers[text])) for text in texts]
        return make_batch(TokenizedDocuments.of(texts, *zip(*columns, strict=True)), range(len(texts)))

    def states(self, name: str) -> CachedHiddenStates:
        """The cached states of each sentence of a corpus; none may be missing."""
        texts = self.texts[name]
        text = np.searchsorted(self.digests, texts.digests)[texts.text_of_sentence]
        assert (self._shard[text] >= 0).all(), "a text without states"
        start = self._start[text] + texts.offset
        return CachedHiddenStates(self._shards, self._shard[text], start, texts.sentence_rows)


def _digests(values: IntArray | Digests, first: IntArray) -> Digests:
    """The digest of the values from each place in `first` to before the next."""
    contents = (values[a:b].tobytes() for a, b in pairwise(first.data))
    digests = (hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest() for content in contents)
    return np.fromiter(digests, dtype=f"S{DIGEST_BYTES}", count=len(first) - 1)
