"""What determines the output of a frozen prefix: the prefix itself, and the texts that it reads each for itself."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from sentence_order.data.states import IntArray
from sentence_order.data.tokenization import Corpus
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.prefix.store import DIGEST_BYTES, Digests

# Part of every key: a change in what the model computes must change it.
CACHE_VERSION = "2"


@dataclass(frozen=True)
class PrefixKind:
    """What kind of prefix is frozen.

    Attributes:
        stages: how many of the encoder's lowest stages it comprises (see `model/modeling.py`).
        local: it reads every sentence for itself; where not, every document.
        pooled: it ends in sentence vectors; where not, in token states.
    """

    stages: int
    local: bool
    pooled: bool

    @classmethod
    def of(cls, model: SentenceOrderer) -> "PrefixKind":
        stages, layers = model.prefix_stages, len(model.blocks) - 1
        return cls(stages, min(stages - 1, layers) <= model.config.joint_from, stages > len(model.blocks))


def prefix_key(model: SentenceOrderer, dtype: torch.dtype, precision: torch.dtype) -> str:
    """A fingerprint of all that determines what the frozen prefix makes of given token ids.

    These are the weights and the settings of its blocks, where joint layers begin, how sentences are pooled, and the
    precision in which it computes and keeps its output. Text, tokenizer and the length that sentences are cut to
    determine the token ids, and are in the key of each text.
    """
    kind = PrefixKind.of(model)
    blocks = model.blocks[: kind.stages]
    encoder = {name: value for name, value in model.encoder.config.to_dict().items() if "dropout" not in name}
    settings = {
        "version": CACHE_VERSION,
        "encoder": encoder,
        "stages": kind.stages,
        "joint_from": min(model.config.joint_from, len(blocks) - 1),
        "pooling": model.config.pooling if kind.pooled else None,
        "dtype": str(dtype),
        "precision": str(precision),
    }
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True, default=str).encode(), digest_size=DIGEST_BYTES)
    for number, modules in enumerate(blocks):
        for module in modules:
            for name, weights in module.state_dict().items():
                digest.update(f"{number} {name} {weights.dtype} {tuple(weights.shape)}".encode())
                digest.update(weight_bytes(weights))
    return digest.hexdigest()


def weight_bytes(weights: Tensor) -> memoryview:
    """What weights are in memory, to be digested."""
    return weights.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


@dataclass(frozen=True)
class Texts:
    """The texts of a corpus that a prefix reads each for itself: its sentences or, with joint layers, its documents.

    The sentences of a document stand in an order that depends on their content alone, so that what is kept of it knows
    no order.

    Attributes:
        digests: of each text's token ids.
        members: the numbers of all texts' sentences in the corpus, text after text.
        first: where each text begins in `members` and, last, where the last one ends.
        sentence_rows: how many rows the prefix makes of each sentence.
        offset: which of its text's rows is the first of each sentence.
    """

    digests: Digests
    members: IntArray
    first: IntArray
    sentence_rows: IntArray
    offset: IntArray

    @property
    def rows(self) -> IntArray:
        """How many rows the prefix makes of each text."""
        return np.add.reduceat(self.sentence_rows[self.members], self.first[:-1])

    @classmethod
    def of(cls, corpus: Corpus, kind: PrefixKind) -> "Texts":
        tokens, first_token = corpus.input_ids, corpus.first_token.data
        sentences = _array((_digest(tokens[a:b].tobytes()) for a, b in pairwise(first_token)), len(corpus.lengths))
        rows = np.ones_like(corpus.lengths) if kind.pooled else corpus.lengths
        if kind.local:
            numbers = np.arange(len(sentences))
            return cls(sentences, numbers, np.arange(len(sentences) + 1), rows, np.zeros_like(numbers))
        first = corpus.first_sentence
        document = np.repeat(np.arange(len(corpus)), corpus.sizes)
        members = np.lexsort((sentences, document))
        ends = rows[members].cumsum()
        start = np.concatenate([[0], ends])[first]
        offset = np.empty_like(members)
        offset[members] = ends - rows[members] - start[document]
        ordered = sentences[members]
        digests = _array((_digest(ordered[a:b].tobytes()) for a, b in pairwise(first.data)), len(corpus))
        return cls(digests, members, first, rows, offset)

    def text_of_sentence(self) -> IntArray:
        """The number of the text that each sentence of the corpus belongs to."""
        numbers = np.empty_like(self.members)
        numbers[self.members] = np.repeat(np.arange(len(self.digests)), np.diff(self.first))
        return numbers


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def _array(digests: Iterable[bytes], count: int) -> Digests:
    return np.fromiter(digests, dtype=f"S{DIGEST_BYTES}", count=count)
