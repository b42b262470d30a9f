"""A look at a corpus before it is used: what was read, and what would make every later number worthless."""

import logging
from collections import Counter

import numpy as np

from sentence_order.config.schema import DataConfig
from sentence_order.data.enumeration import reveals_order, strip_enumeration
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import printable

log = logging.getLogger(__name__)

MAX_UNKNOWN, MAX_ALIKE = 0.05, 0.05  # the shares of tokens and of sentences from which on there is a warning
NUM_SHOWN, NUM_SEARCHED = 2, 1000  # documents that the log shows, and that are searched for enumerators


def inspect_corpus(name: str, corpus: Corpus, data: DataConfig) -> None:
    """Logs the counts of a corpus, warnings of `find_problems`, and, in the log file alone, two of its documents."""
    log.info("%s: %s", name, corpus.describe())
    for problem in find_problems(corpus, data):
        log.warning("%s: %s", name, problem)
    for document in corpus.documents.select(range(min(NUM_SHOWN, len(corpus)))):
        lines = [f"\n    {k}. {printable(sentence)}" for k, sentence in enumerate(document["sentences"], 1)]
        log.debug("%s, as read: document %s%s", name, printable(document["id"]), "".join(lines))


def find_problems(corpus: Corpus, data: DataConfig) -> list[str]:
    """What a corpus should not be used with, each with a way out."""
    problems = []
    if (unknown := corpus.num_unknown_tokens / len(corpus.input_ids)) > MAX_UNKNOWN:
        problems.append(
            f"{unknown:.0%} of the tokens are unknown to the encoder, which cannot read this text; choose one with "
            "another vocabulary, such as encoder=xlm_roberta_base"
        )
    if (alike := corpus.counts["alike"] / len(corpus.lengths)) > MAX_ALIKE:
        problems.append(
            f"{alike:.0%} of the sentences have the same tokens as another one of their document, and are ordered by "
            "chance; raise data.max_sentence_tokens, or choose an encoder with another vocabulary"
        )
    if (short := corpus.counts["short"]) > len(corpus):
        problems.append(
            f"{short:,} of {short + len(corpus):,} documents have fewer than two sentences; look at how their text is "
            "split (data.text_column, data.text_layout, data.sentences_column)"
        )
    if not data.strip_enumeration and (found := _find_enumeration(corpus)):
        problems.append(found)
    return problems


def _find_enumeration(corpus: Corpus) -> str | None:
    """Enumerators that rise with the position in most documents; those of two sentences do so by chance."""
    rows = np.flatnonzero(corpus.sizes > 2) if (corpus.sizes > 2).any() else np.arange(len(corpus))
    rows = rows[np.linspace(0, len(rows) - 1, min(NUM_SEARCHED, len(rows))).astype(int)]
    found = [(kind, text) for text in corpus.documents.select(rows)["sentences"] if (kind := reveals_order(text))]
    if len(found) <= len(rows) / 2:
        return None
    kind, _ = Counter(kind for kind, _ in found).most_common(1)[0]
    example = next(text for own, text in found if own == kind)
    before, after = printable(example[0]), printable(strip_enumeration(example)[0])
    return (
        f"in {len(found) / len(rows):.0%} of the documents the sentences begin with {kind} that tell their order; "
        f'data.strip_enumeration=true hides them from the model ("{before[:40]}" becomes "{after[:40]}")'
    )
