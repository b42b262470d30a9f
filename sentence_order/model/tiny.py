"""A small random BERT with a WordPiece vocabulary of the corpus itself: nothing to download, for smoke tests."""

import itertools
from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sentence_order.config.schema import TINY_HEAD_WIDTH

SPECIAL_TOKENS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
# Enough to know the frequent words of any corpus.
MOST_SENTENCES = 100_000


def tiny_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerBase:
    """A lower-casing WordPiece tokenizer of about `vocabulary` pieces: every character, then the most frequent words.

    The trainers of `tokenizers` break ties by chance, and two runs of one seed would differ.
    """
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for text in itertools.islice(texts, MOST_SENTENCES):
        words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    characters = sorted({character for word in words for character in word})
    pieces = [*SPECIAL_TOKENS.values(), *characters, *(f"##{character}" for character in characters)]
    frequent = sorted((word for word in words if len(word) > 1), key=lambda word: (-words[word], word))
    pieces += frequent[: max(0, vocabulary - len(pieces))]
    vocab = {piece: number for number, piece in enumerate(pieces)}

    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=SPECIAL_TOKENS["unk_token"]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    ends = [(token, vocab[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **SPECIAL_TOKENS)


def tiny_config(vocabulary: int, layers: int, width: int) -> BertConfig:
    """The configuration of a BERT of `layers` layers and `width` hidden units."""
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // TINY_HEAD_WIDTH,
        intermediate_size=4 * width,
        max_position_embeddings=512,
        pad_token_id=0,
    )
