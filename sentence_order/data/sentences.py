"""Splits running text into sentences, by sentencex and a few rules for what it does not part."""

import re

# Texts are split in windows: some odd ones, such as one of opening quotes alone, cost sentencex quadratic time.
WINDOW = 10_000

# sentencex parts `. then` without a capital, but neither `? then` nor `? eBay` nor ` ? Then` nor `(He left.) Then`.
SPACED_MARK = re.compile(r"(?<=\S) (?=[.?!…]+(?:[\s\"'”’)\]]|$))")
QUESTION_BEFORE_LETTER = re.compile(r"[?!](?=\s+[^\W\d_])")
QUESTION_BEFORE_NAME_OR_LINE_END = re.compile(r"[?!](?=\s+[a-z]{1,2}[A-Z]| ?\n)")
BRACKETED_SENTENCE = re.compile(r"[(\[（]([^()\[\]（）]{1,1000}[.?!。！？])\s*[)\]）]")

# What ends a sentence in Khmer, Tibetan and Greek, as a mark that sentencex knows.
KHMER_OR_TIBETAN = str.maketrans(dict.fromkeys("។៕།༎", "۔"))
GREEK_QUESTION = re.compile(r"(?<=[\u0370-\u03ff\u1f00-\u1fff])[;\u037e](?=\s|$)")

# Abbreviations that sentencex lacks, ends of sentences that it takes for abbreviations, and what opens an item.
ABBREVIATION = re.compile(r"\b(?:approx|eqs?|vols?|resp|spp|subsp|e\s?\.\s?g|i\s?\.\s?e) ?\.(?=\s*\S)", re.IGNORECASE)
NO_ABBREVIATION = re.compile(r"\b(?:me|no|art|ill|ok|fed|id|arc|May)(?=\.(?:\s+\D|$))")
ENUMERATOR = re.compile(r"\s*[(\[]?(?:(?:[^\W\d_]+ )?\d{1,3}|[ivx]{1,4}|[a-zA-Z])[.)\]]+\s*")
LINE_WITH_BULLET = re.compile(r"\n(?= ?[-*+•·‣▪●◦] )")


def split_sentences(text: str) -> list[str]:
    """Splits running text of any script into sentences; within them, white space becomes single spaces.

    A line end parts sentences as a space does, and also before an item of a list and at a blank line.
    """
    places = [place for place, character in enumerate(text) if not character.isspace()]
    ends = [places[count] for count in _find_ends(_simplify(text)) if count < len(places)]
    sentences = [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]
    return [" ".join(sentence.split()) for sentence in sentences if sentence.strip()]


def _simplify(text: str) -> str:
    """The text as sentencex splits it well. Apart from white space, each character stands for one of `text`."""
    simplified = text.encode(errors="replace").decode()  # sentencex takes no half of a surrogate pair
    simplified = re.sub(r"[^\S\n]+", " ", simplified.translate(KHMER_OR_TIBETAN))
    simplified = SPACED_MARK.sub("", LINE_WITH_BULLET.sub("\n\n", simplified))
    simplified = ABBREVIATION.sub(lambda match: match[0].replace(".", ","), simplified)
    simplified = NO_ABBREVIATION.sub(lambda match: "w" * len(match[0]), simplified)
    simplified = GREEK_QUESTION.sub("?", BRACKETED_SENTENCE.sub(r"“\1”", simplified))
    simplified = QUESTION_BEFORE_NAME_OR_LINE_END.sub(".", simplified)
    if 100 * sum(map(str.isupper, text)) < sum(map(str.islower, text)):  # no capitals tell where sentences start
        simplified = QUESTION_BEFORE_LETTER.sub(".", simplified)
    return simplified


def _find_ends(text: str) -> list[int]:
    """How many characters other than white space stand before the end of each sentence."""
    from sentencex import segment

    ends = []
    start = count = 0
    while start < len(text):
        window = text[start : start + WINDOW]
        is_cut = start + len(window) < len(text)
        *pieces, last = segment("en", window)
        if not is_cut:
            pieces.append(last)
        is_open = not pieces  # a sentence longer than the window; otherwise the next window starts with the last one
        for piece in pieces or [last[: last.rfind(" ") + 1] or last]:
            start += len(piece)
            count += sum(not character.isspace() for character in piece)
            if not is_open and not ENUMERATOR.fullmatch(piece):
                ends.append(count)
    return ends
