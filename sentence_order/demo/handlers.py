"""What happens when the page is used: each handler returns the values of the components that it changes."""

from typing import Any

import gradio as gr

from sentence_order.demo.answers import (
    Answer,
    needs_lines,
    order_sentences,
    python_lines,
    rate_order,
    read_sentences,
    shell_command,
    shuffle_again,
)
from sentence_order.demo.examples import EXAMPLES
from sentence_order.demo.render import (
    render_confidence,
    render_map,
    render_message,
    render_model_order,
    render_orders,
    render_own_order,
)
from sentence_order.errors import TrainingError, UserError
from sentence_order.inference.orderer import SentenceOrderer

MISTAKES = (UserError, TrainingError)  # a text that is too long, or does not fit in memory


class Handlers:
    """The handlers of a page whose model orders; `checkpoint` is the name by which others find the model."""

    def __init__(self, orderer: SentenceOrderer, checkpoint: str) -> None:
        self.orderer, self.checkpoint = orderer, checkpoint

    def show(self, answer: Answer, same: bool | None = None) -> list[Any]:
        """The values of all components of an answer: see `build_page`."""
        prediction = answer.prediction
        return [
            render_confidence(answer, same),
            _list_value(answer),
            render_model_order(prediction.probability, prediction.approximate),
            render_orders(prediction),
            render_map(prediction),
            shell_command(self.checkpoint, answer.sentences),
            python_lines(self.checkpoint, answer.sentences),
            gr.update(visible=True),
        ]

    def order(self, text: str, one_per_line: bool) -> list[Any]:
        """Orders the text."""
        try:
            return self.show(order_sentences(self.orderer, read_sentences(text, one_per_line)))
        except MISTAKES as error:
            return _show_message(error)

    def shuffle(self, text: str, one_per_line: bool) -> list[Any]:
        """Shuffles the sentences of the text, orders them again, and says whether the order is the same."""
        try:
            answer, same = shuffle_again(self.orderer, read_sentences(text, one_per_line))
        except MISTAKES as error:
            return [text, one_per_line, *_show_message(error)]
        return [*_text_of(answer), *self.show(answer, same)]

    def choose(self, number: int) -> list[Any]:
        """Shows an example, shuffled, and its order."""
        answer = order_sentences(self.orderer, EXAMPLES[number].shuffled())
        return [*_text_of(answer), *self.show(answer)]

    def rate(self, value: Any) -> str:
        """Says how probable the order is that someone has made in the list."""
        try:
            rated = rate_order(self.orderer, value["sentences"], value["order"])
        except MISTAKES as error:
            return render_message(str(error))
        if value["order"] == value["predicted"]:
            return render_model_order(rated.probability, rated.approximate)
        return render_own_order(rated, value["sentences"], float(value["probability"]))


def _text_of(answer: Answer) -> tuple[str, bool]:
    """The sentences as a text, and whether the text must be read as one sentence per line."""
    return "\n".join(answer.sentences), needs_lines(answer.sentences)


def _list_value(answer: Answer) -> dict[str, Any]:
    """What the list of sentences in the browser works with; indices count from 0 there."""
    prediction = answer.prediction
    return {
        "sentences": answer.sentences,
        "order": prediction.order,
        "predicted": prediction.order,
        "probability": prediction.probability,
        "neighbours": prediction.neighbours,
    }


def _show_message(error: BaseException) -> list[Any]:
    """A message in place of the answer, the rest of which is hidden."""
    return [render_message(str(error)), *[gr.skip()] * 6, gr.update(visible=False)]
