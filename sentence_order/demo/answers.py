"""Answers what the page, or a program, asks: the order of a text, and how probable another order is."""

import json
import random
import time
from dataclasses import dataclass
from typing import Any

from sentence_order.config.commands import override, shell, unambiguous
from sentence_order.data.sentences import split_sentences
from sentence_order.errors import UserError
from sentence_order.inference.details import OrderProbability
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.inference.ordering import Prediction, count_truncated

MAX_CHARACTERS, MAX_SENTENCES = 20_000, 100
NUM_ORDERS = 3  # that are listed
DETAILS = (f"top_k={NUM_ORDERS}", "pairs=true", "neighbours=true")
# Confidence in words, by the lowest number that has them.
WORDS = {0.9: "Very sure", 0.7: "Sure", 0.4: "Unsure", 0.0: "Doubtful"}


@dataclass(frozen=True)
class Answer:
    """The sentences of a text, as they were given, and the model's prediction.

    Of `truncated` sentences the model has read the first `max_sentence_tokens` only.
    """

    sentences: list[str]
    prediction: Prediction
    seconds: float
    truncated: int = 0
    max_sentence_tokens: int = 0


def read_sentences(text: Any, one_per_line: bool) -> list[str]:
    """The sentences of a text. Raises UserError, which says the limit, if there is nothing to order, or too much."""
    if not isinstance(text, str):
        raise UserError(f"text: a text, not {text!r:.50}")
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"The text has {len(text):,} characters; at most {MAX_CHARACTERS:,} are ordered here.")
    _check_characters(text)
    lines = [*filter(None, (" ".join(line.split()) for line in text.splitlines()))]
    sentences = lines if one_per_line else split_sentences(text)
    if one_per_line and len(lines) == 1 and len(split_sentences(text)) > 1:
        raise UserError("The text has one line; to split it into sentences, say that it is not one sentence per line.")
    check_count(len(sentences))
    return sentences


def needs_lines(sentences: list[str]) -> bool:
    """True if the sentences, one per line, are others where the text is split."""
    return split_sentences("\n".join(sentences)) != sentences


def check_count(count: int) -> None:
    """Raises UserError, which says the limit, for too few or too many sentences."""
    if count < 2:
        found = "only one was found" if count else "the text is empty"
        raise UserError(f"An order needs at least two sentences; {found}.")
    if count > MAX_SENTENCES:
        raise UserError(f"The text has {count:,} sentences; at most {MAX_SENTENCES} are ordered here.")


def _check_characters(*texts: str) -> None:
    """Raises UserError for half a character, as a program sends that cuts a text in the middle of one."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            "The text holds half a character, such as a part of an emoji; remove it or complete it."
        ) from error


def order_sentences(orderer: SentenceOrderer, sentences: list[str]) -> Answer:
    """The model's order, and all that the page shows of it. Raises UserError for what the model cannot order."""
    started = time.perf_counter()
    prediction = orderer.predict([sentences], top_k=NUM_ORDERS, pairs=True, neighbours=True)[0]
    seconds = time.perf_counter() - started
    model = orderer.model
    return Answer(sentences, prediction, seconds, count_truncated(model, sentences), model.config.max_sentence_tokens)


def shuffle_again(orderer: SentenceOrderer, sentences: list[str]) -> tuple[Answer, bool]:
    """The answer for the sentences in another order, and whether it is the same as before."""
    before = orderer.predict([sentences])[0].sentences
    shuffled = random.sample(sentences, len(sentences))
    while shuffled == sentences and len({*sentences}) > 1:
        random.shuffle(shuffled)
    answer = order_sentences(orderer, shuffled)
    return answer, answer.prediction.sentences == before


def rate_order(orderer: SentenceOrderer, sentences: Any, order: Any) -> OrderProbability:
    """How probable an order is that someone proposes. Raises UserError for what is not an order of sentences."""
    if not isinstance(sentences, list) or not all(isinstance(text, str) and text.strip() for text in sentences):
        raise UserError("sentences: a list of texts that are not empty")
    check_count(len(sentences))
    if sum(map(len, sentences)) > MAX_CHARACTERS:
        raise UserError(f"The sentences have more than {MAX_CHARACTERS:,} characters, the most that are ordered here.")
    _check_characters(*sentences)
    is_list = isinstance(order, list) and all(type(index) is int for index in order)
    if not is_list or sorted(order) != list(range(len(sentences))):
        raise UserError(f"order: each number from 0 to {len(sentences) - 1} once")
    return orderer.probability(sentences, order)


def describe_confidence(probability: float) -> str:
    """A probability in words, by its percents as they are shown."""
    return next(words for lowest, words in WORDS.items() if round(probability, 2) >= lowest)


def format_probability(probability: float) -> str:
    """A probability as one says it: `34 %`, `1.2 %`, `1 in 12,000`; `100 %` is for what is certain."""
    if probability >= 0.0995:
        return f"{100 * (probability if probability == 1 else min(probability, 0.99)):.0f} %"
    if probability >= 0.001:
        return f"{100 * probability:.1f} %"
    return f"1 in {float(f'{1 / probability:.2g}'):,.0f}" if probability > 1e-9 else "less than 1 in a billion"


def shell_command(checkpoint: str, sentences: list[str]) -> str:
    """What one types in a shell for the same order."""
    end = "END"
    while end in sentences:  # the line that ends them
        end += "_"
    command = shell("predict", override("checkpoint", unambiguous(checkpoint)), "input=-", "format=text", *DETAILS)
    return "\n".join([f"{command} <<'{end}'", *sentences, end])


def python_lines(checkpoint: str, sentences: list[str]) -> str:
    """The lines of Python for the same order."""
    texts = [f"    {json.dumps(sentence, ensure_ascii=False)}," for sentence in sentences]
    return "\n".join(
        [
            "from sentence_order import SentenceOrderer\n",
            f"orderer = SentenceOrderer.from_pretrained({json.dumps(checkpoint, ensure_ascii=False)})",
            "sentences = [",
            *texts,
            "]",
            f"prediction = orderer.predict([sentences], top_k={NUM_ORDERS}, pairs=True, neighbours=True)[0]",
            "print(prediction)",
            "print(orderer.probability(sentences, prediction.order))  # or of an order of your own",
        ]
    )
