"""A look at the orders of an evaluation: all in a file, a typical one, and those that suggest a mistake in the data."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sentence_order.arrays import IntArray
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import printable
from sentence_order.evaluation.evaluator import Evaluation
from sentence_order.evaluation.metrics import metrics_of
from sentence_order.inference.calibration import Calibration
from sentence_order.runtime.files import atomic_file

HEADERS = ("as given", "as predicted", "as it is")
# From this width of a terminal on, the three stand side by side; of a long document, so many sentences are shown.
MIN_WIDTH, MAX_SENTENCES = 120, 12
# With fewer documents, that all are in order may be luck.
MIN_PERFECT = 10
# With so few that random orders may reach this tau, that a model does not reach it says nothing.
MAX_BOUND = 0.2


def write_predictions(path: Path, evaluation: Evaluation, corpus: Corpus, calibration: Calibration) -> None:
    """Writes a JSON object per document, as the key `predictions` says, with the names that `predict` uses."""
    confidences = evaluation.confidence(calibration).round(6).tolist()
    documents = zip(corpus.documents, evaluation.given, evaluation.order, confidences, strict=True)
    with atomic_file(path) as stream:
        for document, positions, order, confidence in documents:
            gold = document["sentences"]
            given = [gold[position] for position in positions]
            record = {"id": document["id"], "given": given, "order": order, "predicted": [given[k] for k in order]}
            record |= {"gold": gold, "confidence": confidence}
            if document.get("group"):
                record["group"] = document["group"]
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def compare_orders(sentences: Sequence[str], given: Sequence[int], order: Sequence[int]) -> list[tuple[str, str, str]]:
    """Of each place, the sentence that is given, the predicted one with a mark if it is right, and the true one.

    `given` and `order` are those of an `Evaluation`.
    """
    predicted = [sentences[given[index]] for index in order]
    marked = [f"{'✓' if own == true else '✗'} {own}" for own, true in zip(predicted, sentences, strict=True)]
    return list(zip([sentences[index] for index in given], marked, sentences, strict=True))


def typical_document_table(corpus: Corpus, evaluation: Evaluation, width: int) -> Group:
    """A document of the most frequent length with a tau nearest the mean, in columns or, if narrow, in three parts."""
    tau_D = evaluation.ratios["tau"].numerator
    is_common_D = corpus.sizes == np.bincount(corpus.sizes).argmax()
    row = int(np.where(is_common_D, abs(tau_D - tau_D.mean()), np.inf).argmin())
    document, is_wide = corpus.documents[row], width >= MIN_WIDTH
    texts = compare_orders(document["sentences"], evaluation.given[row], evaluation.order[row])[:MAX_SENTENCES]

    title = f"a typical one of the {len(corpus):,} documents: {printable(document['id'])}, tau {tau_D[row]:.3f}"
    table = Table(show_header=False, show_lines=True)
    rows: list[list[RenderableType]] = [[Text(header, style="bold") for header in HEADERS]]
    rows += [[Text(printable(text), no_wrap=not is_wide, overflow="ellipsis") for text in own] for own in texts]
    for line in rows if is_wide else ([Group(*part)] for part in zip(*rows, strict=True)):
        table.add_row(*line)
    return Group(Text(title, style="italic"), table)  # a title of the table's own would be wrapped to its width


def find_problem(evaluation: Evaluation, corpus: Corpus, is_first: bool, is_late: bool) -> str | None:
    """What is suspicious about a validation: the first one is perfect, or a late one no better than chance."""
    if is_first and len(evaluation.order) >= MIN_PERFECT and evaluation.perfect.all():
        return (
            "the first validation is perfect; can the order be read from the sentences (numbers, times), or is the "
            "model trained on the same documents?"
        )
    if is_late and is_at_chance(evaluation.counts, float(corpus.share_of_equal_pairs.mean())):
        return "validation is no better than chance; are the sentences of each document in their true order?"
    return None


def is_at_chance(counts: Mapping[str, IntArray], chance: float = 0.0) -> bool:
    """True if tau is less than two standard deviations above that of random orders, `chance`, and these are less than
    .2.

    With few documents nothing can be said. The counts are those of `counts.document_counts`; the variance is that of
    Kendall (1938), "A new measure of rank correlation", which equal sentences only make smaller.
    """
    n_D = counts["sentences"].astype(np.float64)
    variance_D = 2 * (2 * n_D + 5) / (9 * n_D * (n_D - 1))
    tau, bound = metrics_of(counts)["tau"].numerator.mean(), 2 * np.sqrt(variance_D.sum()) / len(n_D)
    return bool(tau - chance < bound < MAX_BOUND)
