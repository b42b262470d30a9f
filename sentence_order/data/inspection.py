"""A look at a corpus before it is used: what was read, and what would make every later number worthless."""

import logging
from collections import Counter
from collections.abc import Mapping

import numpy as np

from sentence_order.config.schema import DataConfig
from sentence_order.data.enumeration import reveals_order, strip_enumeration
from sentence_order.data.groups import MAX_GROUPS
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import printable

log = logging.getLogger(__name__)

MAX_UNKNOWN = MAX_ALIKE = MAX_CUT = 0.05  # the shares of tokens and of sentences from which on there is a warning
MAX_CHANCE = 0.05  # the tau of random orders, likewise
MIN_UNKNOWN = 10  # with fewer such tokens, their share says nothing
MOST, MOST_OF_PAIRS = 0.5, 0.75  # the share of documents with enumerators from which on there is a warning
NUM_SHOWN, NUM_SEARCHED = 2, 1000  # documents that the log shows, and that are searched for enumerators


def inspect_corpora(corpora: Mapping[str, Corpus], data: DataConfig) -> None:
    """Logs the counts of each split and, in the log file alone, two of its documents; warns of each problem once."""
    warned: set[str] = set()
    width = max(len(f"{len(corpus.input_ids):,}") for corpus in corpora.values())
    for name, corpus in corpora.items():
        log.info("%-11s %s", f"{name}:", corpus.describe(width))
        for document in corpus.documents.select(range(min(NUM_SHOWN, len(corpus)))):
            sentences = document["sentences"]
            for k, sentence in enumerate(strip_enumeration(sentences) if data.strip_enumeration else sentences, 1):
                log.debug("%s, as read: document %s, sentence %d: %s", name, document["id"], k, sentence)
        for problem, message in find_problems(corpus, data).items():
            if problem not in warned:
                log.warning("%s: %s", name, message)
                warned.add(problem)


def find_problems(corpus: Corpus, data: DataConfig) -> dict[str, str]:
    """What makes a corpus of little use, with a way out, by the kind of the problem."""
    problems = {}
    unknown = corpus.num_unknown_tokens / len(corpus.input_ids)
    if unknown > MAX_UNKNOWN and corpus.num_unknown_tokens >= MIN_UNKNOWN:
        problems["unknown tokens"] = (
            f"{unknown:.0%} of the tokens are unknown to the encoder, which cannot tell them apart; train one with "
            "another vocabulary, such as encoder=xlm_roberta_base"
        )

    if (cut := corpus.counts["cut"] / len(corpus.lengths)) > MAX_CUT:
        problems["cut sentences"] = (
            f"{cut:.0%} of the sentences are cut at {data.max_sentence_tokens} tokens; a larger "
            "data.max_sentence_tokens keeps more of them"
        )
    if (alike := corpus.counts["alike"] / len(corpus.lengths)) > MAX_ALIKE:
        problems["equal tokens"] = (
            f"{alike:.0%} of the sentences have the same tokens as another one of their document, and are ordered by "
            "chance; train with a larger data.max_sentence_tokens, or an encoder with another vocabulary"
        )

    if (chance := float(corpus.share_of_equal_pairs.mean())) > MAX_CHANCE:
        problems["repeated sentences"] = (
            f"{chance:.0%} of the pairs of sentences are equal, and always in order: random orders have a tau of "
            f"{chance:.2f}, not 0; look at whether the text is split and cleaned as it should be"
        )
    if (short := corpus.counts["short"]) > len(corpus):
        problems["single sentences"] = (
            f"{short:,} of {short + len(corpus):,} documents have fewer than two sentences; look at how their text is "
            "split (data.text_column, data.text_layout, data.sentences_column)"
        )

    if (groups := len(set(corpus.groups))) > MAX_GROUPS:
        problems["groups"] = f"data.group_column: {groups:,} groups; results are given for the {MAX_GROUPS} largest"
    if found := _find_enumeration(corpus, data.strip_enumeration):
        problems["enumeration"] = found
    return problems


def _find_enumeration(corpus: Corpus, is_stripped: bool) -> str | None:
    """Enumerators that rise with the position, or fall, in most documents, or do so although they are stripped.

    Of two sentences those of half the documents rise by chance, so that most are three quarters then.
    """
    has_longer = bool((corpus.sizes > 2).any())
    rows = np.flatnonzero(corpus.sizes > 2) if has_longer else np.arange(len(corpus))
    rows = rows[np.linspace(0, len(rows) - 1, min(NUM_SEARCHED, len(rows))).astype(int)]
    texts = corpus.documents.select(rows)["sentences"][:]
    texts = [strip_enumeration(text) for text in texts] if is_stripped else texts
    found = [(text, *how) for text in texts if (how := reveals_order(text))]
    if not found:
        return None
    direction, count = Counter(direction for *_, direction in found).most_common(1)[0]
    if count <= (MOST if has_longer else MOST_OF_PAIRS) * len(rows):
        return None
    kind, _ = Counter(kind for _, kind, _ in found).most_common(1)[0]
    example = next(text for text, own, _ in found if own == kind)
    pairs = zip(example, strip_enumeration(example), strict=True)
    before, after = next(pair for pair in pairs if pair[0] != pair[1])
    message = (
        f"in {count / len(rows):.0%} of the documents the sentences begin with {kind} that {direction} in their order"
    )
    if is_stripped:
        return f'{message} ("{printable(before)[:40]}"), behind what data.strip_enumeration=true has stripped'
    return (
        f"{message}; training with data.strip_enumeration=true hides them from the model "
        f'("{printable(before)[:40]}" becomes "{printable(after)[:40]}")'
    )
