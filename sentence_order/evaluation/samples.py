"""Documents as they are given, as they are predicted and as they are, to look at."""

from collections.abc import Sequence

import numpy as np
from rich.table import Table
from rich.text import Text

from sentence_order.data.tokenization import Corpus
from sentence_order.errors import printable
from sentence_order.evaluation.evaluator import Evaluation

HEADERS = ("as given", "as predicted", "as it is")
# From this width of a terminal on, the three stand side by side; of a long document, so many sentences are shown.
MIN_WIDTH, MAX_SENTENCES = 120, 12


def compare_orders(sentences: Sequence[str], given: Sequence[int], order: Sequence[int]) -> list[tuple[str, str, str]]:
    """Of each place, the sentence that is given, the predicted one with a mark if it is right, and the true one.

    `given` and `order` are those of an `Evaluation`.
    """
    predicted = [sentences[given[index]] for index in order]
    marked = [f"{'✓' if own == true else '✗'} {own}" for own, true in zip(predicted, sentences, strict=True)]
    return list(zip([sentences[index] for index in given], marked, sentences, strict=True))


def typical_document_table(corpus: Corpus, evaluation: Evaluation, width: int) -> Table:
    """A document of the most frequent length with a tau nearest the mean, in columns or, if narrow, in three parts."""
    tau_D = evaluation.ratios["tau"].numerator
    is_common_D = corpus.sizes == np.bincount(corpus.sizes).argmax()
    row = int(np.where(is_common_D, abs(tau_D - tau_D.mean()), np.inf).argmin())
    document, is_wide = corpus.documents[row], width >= MIN_WIDTH
    texts = compare_orders(document["sentences"], evaluation.given[row], evaluation.order[row])[:MAX_SENTENCES]

    title = f"a typical one of the {len(corpus):,} documents: {printable(document['id'])}, tau {tau_D[row]:.3f}"
    table = Table(title=Text(title), title_justify="left", show_header=False, show_lines=is_wide)
    cells = [[Text(printable(text), no_wrap=not is_wide, overflow="ellipsis") for text in row] for row in texts]
    heads = [Text(header, style="bold") for header in HEADERS]
    if is_wide:
        for line in (heads, *cells):
            table.add_row(*line)
    else:
        for head, *part in zip(heads, *cells, strict=True):
            for text in (head, *part):
                table.add_row(text)
            table.add_section()
    return table
