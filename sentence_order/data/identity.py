"""What a document is: its text, wherever its file is and whatever its id; and the ranks by which ties are broken."""

import hashlib
import unicodedata
from collections.abc import Sequence


def document_key(sentences: Sequence[str]) -> int:
    """64 bits of a document's sentences in their order: its permutations are drawn by it, and results paired."""
    return int.from_bytes(_digest("\n".join(sentences), 8), "little")


def text_fingerprint(sentences: Sequence[str]) -> int:
    """64 bits that copies share: of the sentences in any order, without regard to case, white space and Unicode form.

    Documents with one fingerprint stay in one split, and are counted if they are in two.
    """
    folded = ("".join(unicodedata.normalize("NFKC", sentence).casefold().split()) for sentence in sentences)
    return int.from_bytes(_digest("\n".join(sorted(filter(None, folded))), 8), "little")


def rank_texts(texts: Sequence[str]) -> list[int]:
    """The rank of each text among the distinct texts of its document, by which ties are broken; equal for equal texts.

    It is by a hash that is salted with the document's own texts, in any order. So it depends on the content alone, and
    has nothing to do with the gold order: not even if sentences are numbered, which in the alphabet would come right.
    """
    salt = _digest("\n".join(sorted(texts)), 16)
    ranked = sorted(set(texts), key=lambda text: _digest(text, 16, salt))
    rank = {text: number for number, text in enumerate(ranked)}
    return [rank[text] for text in texts]


def _digest(text: str, size: int, key: bytes = b"") -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=size, key=key).digest()
