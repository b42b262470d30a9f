"""Runs a tokenizer that may come from anyone: what it makes of a text is bounded, and its failures are one line."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

from datasets.fingerprint import Hasher
from transformers import PreTrainedTokenizerBase

from sentence_order.errors import UserError, first_line

# How many times longer a normaliser may make a text; NFKD makes one character 18 at most.
MAX_GROWTH = 100
# How many special tokens a sentence may get.
MAX_SPECIAL_TOKENS = 100


def check_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises ValueError if a tokenizer would fill the memory, or marks no sentence by a special token."""
    normalizer = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)
    if normalizer is not None and (growth := _growth(json.loads(normalizer.__getstate__()))) > MAX_GROWTH:
        raise ValueError(f"its tokenizer's normaliser makes a text {growth:,.0f} times as long; at most {MAX_GROWTH}")
    count = len(encode(tokenizer, [""])[0])
    if not 0 < count <= MAX_SPECIAL_TOKENS:
        raise ValueError(f"its tokenizer adds {count or 'no'} special tokens; accepted are 1 to {MAX_SPECIAL_TOKENS}")


def describe_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """All that determines what a tokenizer makes of a text: not the path that it was loaded from, if possible."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return Hasher.hash(tokenizer) if backend is None else f"{tokenizer.unk_token_id} {backend.to_str()}"


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """The token ids of each text. Raises UserError if the tokenizer fails."""
    with _panics_as_user_errors(tokenizer):
        ids: list[list[int]] = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
    return ids


@contextmanager
def _panics_as_user_errors(tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of tokenizers' own language; no Exception, and not exported
            raise
        where = tokenizer.name_or_path or "the model"
        raise UserError(f"the tokenizer of {where} fails on this text: {first_line(error)}") from error


def _growth(normalizer: dict[str, Any]) -> float:
    """The most by which a normaliser multiplies the length of a text."""
    kind = normalizer["type"]
    if kind == "Sequence":
        return prod(map(_growth, normalizer["normalizers"]))
    if kind == "Replace":
        return max(1.0, len(normalizer["content"]) / len(normalizer["pattern"].get("String", "x")))
    if kind == "Prepend":
        return 1.0 + len(normalizer["prepend"])
    if kind == "Precompiled":  # the size of a trie, the trie, and texts that end in a null byte
        charsmap = base64.b64decode(normalizer["precompiled_charsmap"])
        texts = charsmap[4 + int.from_bytes(charsmap[:4], "little") :].split(b"\0")
        return max(1.0, *(len(text.decode(errors="replace")) for text in texts))
    return 1.0
