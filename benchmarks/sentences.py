"""How well running text is split into sentences, on files whose sentences are known.

    python -m benchmarks.sentences FILE.jsonl ... [--documents 2500]

The sentences of each document (`{"sentences": [...]}`) are joined by a space and split again: by sentencex alone, and
by `split_sentences`, which adds a few rules to it. Each cell is the share of documents whose sentences are found, and
the F1 of the boundaries, in percent: as the text is, in lower case, and in lower case with a space before each mark as
in pre-tokenised corpora. The last line is sentences a second.
"""

import argparse
import re
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, islice

from sentencex import segment

from sentence_order.data.readers import Layout, read_documents
from sentence_order.data.sentences import split_sentences

SPLITTERS: dict[str, Callable[[str], Sequence[str]]] = {
    "sentencex": lambda text: segment("en", text),
    "split_sentences": split_sentences,
}


def pretokenize(sentence: str) -> str:
    """Spaces around marks; full stops within the sentence, of abbreviations and decimals, are left."""
    sentence = re.sub(r"([,;:?!()\[\]\"])(?=\s|$|\W)", r" \1 ", sentence)
    sentence = re.sub(r"(\.+)(\W*)$", r" \1\2", re.sub(r"(^|\s)([(\[\"])", r"\1\2 ", sentence))
    return " ".join(sentence.split())


VARIANTS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "lower case": str.lower,
    "lower case, pre-tokenised": lambda sentence: pretokenize(sentence.lower()),
}


def find_boundaries(sentences: Iterable[str]) -> set[int]:
    """How many characters other than white space stand before each boundary."""
    return set([*accumulate(len("".join(sentence.split())) for sentence in sentences)][:-1])


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--documents", type=int, default=2500)
    arguments = parser.parse_args()
    print(f"| file | text | documents | {' | '.join(SPLITTERS)} |\n|---|---|---|{'---|' * len(SPLITTERS)}")
    seconds, count = dict.fromkeys(SPLITTERS, 0.0), 0
    for file in arguments.files:
        documents = [document.sentences for document in read_documents(file, "jsonl", Layout())]
        for variant, change in VARIANTS.items():
            texts = [[change(s) for s in text if s.strip()] for text in islice(documents, arguments.documents)]
            count += sum(map(len, texts))
            cells = []
            for name, split in SPLITTERS.items():
                started = time.perf_counter()
                found = [find_boundaries(filter(str.strip, split(" ".join(text)))) for text in texts]
                seconds[name] += time.perf_counter() - started
                gold = [find_boundaries(text) for text in texts]
                exact = sum(a == b for a, b in zip(gold, found, strict=True)) / len(texts)
                both = sum(len(a & b) for a, b in zip(gold, found, strict=True))
                total = sum(len(a) + len(b) for a, b in zip(gold, found, strict=True))
                cells.append(f"{100 * exact:.1f} / {200 * both / max(1, total):.1f}")
            print(f"| {file} | {variant} | {len(texts):,} | {' | '.join(cells)} |")
    print(f"| | sentences a second | | {' | '.join(f'{count / seconds[name]:,.0f}' for name in SPLITTERS)} |")


if __name__ == "__main__":
    main()
