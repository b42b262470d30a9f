"""Loads the tokenizer of an encoder or a checkpoint, without the code that it may name."""

import importlib.util
from os import PathLike
from typing import Any

import transformers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedConfig, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import cached_file

from sentence_order.data.encoding import check_tokenizer, encode
from sentence_order.model.encoder import encoder_location, errors_with_encoder

# A tokenizer that is such a file alone is read by sentencepiece.
SENTENCEPIECE_FILES = ("spm.model", "spiece.model", "sentencepiece.bpe.model")
# Without one of these, transformers makes a tokenizer of no word.
VOCABULARIES = ("tokenizer.json", *SENTENCEPIECE_FILES, "vocab.txt", "vocab.json", "tokenizer.model")


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Loads the tokenizer that belongs to a pretrained encoder."""
    location = encoder_location(name)
    with errors_with_encoder(name):
        return _load_tokenizer(location)


def _load_tokenizer(location: str) -> PreTrainedTokenizerBase:
    def is_there(file: str) -> bool:
        return cached_file(location, file, _raise_exceptions_for_missing_entries=False) is not None

    vocabulary = next(filter(is_there, VOCABULARIES), None)
    if vocabulary is None:
        raise ValueError("it has no tokenizer.json or another vocabulary, which save_pretrained of a tokenizer writes")
    if vocabulary in SENTENCEPIECE_FILES and importlib.util.find_spec("sentencepiece") is None:
        raise ValueError(
            "its tokenizer is a SentencePiece model, which needs a package that is not installed: "
            "pip install 'sentence-order[sentencepiece]'"
        )
    return bare_tokenizer(location)


def bare_tokenizer(location: str | PathLike[str], **where: Any) -> PreTrainedTokenizerBase:
    """A tokenizer without chat templates and code, which it would be saved with (templates as files of any name)."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(location, trust_remote_code=False, **where)
    tokenizer.chat_template = None
    for name in ("chat_template", "auto_map"):
        tokenizer.init_kwargs.pop(name, None)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ValueError(
            "its tokenizer has no tokenizer.json, by which checkpoints keep it, nor can that be made of it"
        )
    if (end := tokenizer.eos_token) is not None and not encode(tokenizer, [""])[0]:
        # A sentence of no token at all would have no vector.
        ids = [(end, tokenizer.convert_tokens_to_ids(end))]
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"$A {end}", special_tokens=ids)
    check_tokenizer(tokenizer)
    return tokenizer


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> None:
    """Raises ValueError if a tokenizer has tokens that the encoder has no embeddings for."""
    if (last := max(tokenizer.get_vocab().values())) >= config.vocab_size:
        raise ValueError(f"its tokenizer does not match its weights: token {last}, of {config.vocab_size} embeddings")
