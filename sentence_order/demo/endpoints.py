"""What programs can call of the page: by gradio_client, or by HTTP."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import gradio as gr

from sentence_order.demo.answers import order_sentences, rate_order, read_sentences
from sentence_order.errors import TrainingError, UserError
from sentence_order.inference.orderer import SentenceOrderer


def make_endpoints(orderer: SentenceOrderer) -> list[Callable[..., dict[str, Any]]]:
    """The functions, whose names are those of the endpoints."""

    def order(text: str, one_per_line: bool = False) -> dict[str, Any]:
        """Orders a text. `order[k]` is the index in `given`, from 0, of the k-th sentence.

        `truncated` is the number of sentences of which the model has read the first tokens only.
        """
        with _errors_as_answers():
            answer = order_sentences(orderer, read_sentences(text, one_per_line))
            return {"given": answer.sentences, "truncated": answer.truncated, **asdict(answer.prediction)}

    def probability(sentences: list[str], order: list[int]) -> dict[str, Any]:
        """The probability of an order, and the pairs of it that the model doubts."""
        with _errors_as_answers():
            return asdict(rate_order(orderer, sentences, order))

    return [order, probability]


@contextmanager
def _errors_as_answers() -> Iterator[None]:
    """Within the block, what a user can mend is answered to the program."""
    try:
        yield
    except (UserError, TrainingError) as error:
        raise gr.Error(str(error), print_exception=False) from error
