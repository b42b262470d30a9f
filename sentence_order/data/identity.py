"""What a document is: its text, wherever its file is and whatever its id; and the ranks by which ties are broken."""

import hashlib
import unicodedata
from collections.abc import Sequence

from sentence_order.data.enumeration import strip_enumeration


def document_key(sentences: Sequence[str]) -> int:
    """64 bits of a document's sentences in their order: its permutations are drawn by it, and results paired."""
    return int.from_bytes(_digest("\n".join(sentences), 8), "little")


def text_fingerprint(sentences: Sequence[str]) -> int:
    """64 bits that copies share: of the sentences in any order, without regard to enumerators, case, white space,
    punctuation, invisible characters and Unicode form.

    Documents with one fingerprint stay in one split, and are counted if they are in two. It is 0 if there are fewer
    than two sentences, which have no order. A copy that is cut into other sentences has another fingerprint.
    """
    real = strip_enumeration([sentence for sentence in sentences if sentence.strip()])
    folded = (unicodedata.normalize("NFKC", text).casefold().translate(_FOLDED) for text in real)
    return int.from_bytes(_digest("\n".join(sorted(folded)), 8), "little") if len(real) > 1 else 0


class _Folded(dict[int, int | None]):
    """For `str.translate`, removes punctuation, white space, and control and format characters; it fills as it is used,
    since a table of all of Unicode takes a quarter of a second."""

    def __missing__(self, code: int) -> int | None:
        category = unicodedata.category(chr(code))
        self[code] = None if category[0] in "PZ" or category in ("Cc", "Cf") else code
        return self[code]


_FOLDED = _Folded()


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
