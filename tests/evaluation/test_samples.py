"""A typical document is shown as given, as predicted and as it is."""

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from sentence_order.config.schema import DataConfig
from sentence_order.data.tokenization import tokenize_corpus
from sentence_order.evaluation.inspection import HEADERS, compare_orders, typical_document_table
from sentence_order.evaluation.metrics import RatioArray
from sentence_order.model.tiny import tiny_tokenizer
from tests.corpora import raw_split


def test_the_three_orders_by_hand() -> None:
    assert compare_orders(["a", "b", "c"], given=[2, 0, 1], order=[1, 0, 2]) == [
        ("c", "✓ a", "a"),
        ("a", "✗ c", "b"),
        ("b", "✗ b", "c"),
    ]


@pytest.mark.parametrize("width", [60, 130])
def test_the_document_is_the_one_nearest_the_mean_of_those_of_the_usual_length(width: int) -> None:
    """Text that rich would take for markup, or a terminal for a command, is shown as it is."""
    long = [f"{k} [bold]of\x1b[2J it" for k in range(20)]
    documents = [["a", "b"], ["x"] * 20, long, [f"{k}" for k in range(20)]]
    tau_D = np.array([0.5, 1.0, 0.6, 0.1])
    evaluation: Any = SimpleNamespace(
        given=[list(range(len(document))) for document in documents],
        order=[list(range(len(document))) for document in documents],
        ratios={"tau": RatioArray(tau_D, np.ones(4))},
    )

    corpus = tokenize_corpus(raw_split(documents), tiny_tokenizer(documents[0], 90), DataConfig(), "test")
    stream = io.StringIO()
    Console(file=stream, width=width).print(typical_document_table(corpus, evaluation, width))
    output = stream.getvalue()
    assert output.startswith("a typical one of the 4 documents: d2, tau 0.600\n")
    assert all(header in output for header in HEADERS)
    assert r"✓ 11 [bold]of\x1b[2J it" in output
    assert "12 [bold]" not in output
    assert (output.count("\n") > 36) == (width < 100)
