"""Cleans and tokenises documents, by a tokenizer that may come from anyone: what it makes of a text is bounded, and its
failures are one line.
"""

import base64
import json
from collections import Counter
from math import prod
from typing import Any

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sentence_order.data.enumeration import strip_enumeration as strip
from sentence_order.data.identity import document_key, rank_texts
from sentence_order.errors import UserError, first_line

# How many times longer a normaliser may make a text; NFKD makes one character 18 at most.
MAX_GROWTH = 100
# How many special tokens a sentence may get.
MAX_SPECIAL_TOKENS = 100
ENCODED_AT_ONCE = 10_000


def tokenize_documents(
    documents: list[list[str]],
    tokenizer: PreTrainedTokenizerBase,
    max_sentences: int | None,
    max_sentence_tokens: int,
    strip_enumeration: bool = False,
) -> dict[str, list[Any]]:
    """Cleans and tokenises documents, given as lists of sentences, into the columns of a `Corpus` and its counts.

    White space is folded; empty sentences are left out (`kept` holds the indices of the others), and those beyond
    `max_sentences`; sentences longer than `max_sentence_tokens` are cut, their last special token kept. With
    `strip_enumeration`, tokens are those of the sentences without numbers at their heads. Of each
    document it counts sentences that are `empty`, `beyond` the limit or `cut`, that have the text of another one
    (`repeated`) or another text but the same tokens (`alike`), and tokens that are `unknown`.
    """
    real = [[i for i, sentence in enumerate(sentences) if sentence.strip()] for sentences in documents]
    kept = [indices[:max_sentences] for indices in real]
    clean = [[" ".join(sentences[i].split()) for i in k] for sentences, k in zip(documents, kept, strict=True)]

    # Many in one call: the tokenizer works in parallel over a flat list. Not all: what it makes of each text is large.
    flat = [text for sentences in clean for text in (strip(sentences) if strip_enumeration else sentences)]
    parts = (flat[start : start + ENCODED_AT_ONCE] for start in range(0, len(flat), ENCODED_AT_ONCE))
    encoded = (ids for part in parts for ids in encode(tokenizer, part))
    whole = [[next(encoded) for _ in texts] for texts in clean]

    last = max_sentence_tokens - 1
    short = [
        [ids if len(ids) <= max_sentence_tokens else ids[:last] + ids[-1:] for ids in document] for document in whole
    ]

    texts = [len(set(sentences)) for sentences in clean]
    unknown = tokenizer.unk_token_id
    return {
        "sentences": clean,
        "kept": kept,
        "key": [document_key(sentences) for sentences in clean],
        "count": [len(sentences) for sentences in clean],
        "input_ids": [[token for ids in document for token in ids] for document in short],
        "lengths": [[len(ids) for ids in document] for document in short],
        "text_rank": [rank_texts(sentences) for sentences in clean],
        "unknown": [sum(ids.count(unknown) for ids in document) for document in short],
        "empty": [len(sentences) - len(indices) for sentences, indices in zip(documents, real, strict=True)],
        "cut": [sum(len(ids) > max_sentence_tokens for ids in document) for document in whole],
        "beyond": [len(indices) - len(sentences) for indices, sentences in zip(real, clean, strict=True)],
        "repeated": [len(sentences) - count for sentences, count in zip(clean, texts, strict=True)],
        "alike": [_count_alike(sentences, document) for sentences, document in zip(clean, short, strict=True)],
    }


def _count_alike(sentences: list[str], tokens: list[list[int]]) -> int:
    """How many distinct texts have the same tokens as another one."""
    by_text = {text: tuple(ids) for text, ids in zip(sentences, tokens, strict=True)}
    return sum(count for count in Counter(by_text.values()).values() if count > 1)


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
    if backend is not None:
        return f"{tokenizer.unk_token_id} {backend.to_str()}"
    from datasets.fingerprint import Hasher  # takes a second to import

    return str(Hasher.hash(tokenizer))


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """The token ids of each text. Raises UserError if the tokenizer fails."""
    is_plain = getattr(type(tokenizer), "_encode_plus", None) is PreTrainedTokenizerFast._encode_plus
    try:
        if not is_plain:
            ids: list[list[int]] = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
            return ids
        # As `tokenizer(texts)` does, which also makes what is not used here, and takes more than twice the time.
        backend = tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = tokenizer.split_special_tokens
        return [encoding.ids for encoding in backend.encode_batch_fast(texts)]
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
