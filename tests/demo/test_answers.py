"""What the page shows of a text, without the page."""

import random
import shlex
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from sentence_order.demo import answers
from sentence_order.demo.examples import EXAMPLES
from sentence_order.errors import UserError
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.model.modeling import SentenceOrdererModel

Command = Callable[..., CompletedProcess[str]]
STORY = ["Tom baked a cake.", "It smelled of lemon.", "He ate it."]


@pytest.fixture
def orderer(tiny_model: SentenceOrdererModel) -> SentenceOrderer:
    return SentenceOrderer(tiny_model)


def test_a_text_is_split_into_sentences_or_lines() -> None:
    text = "Tom baked a cake. It smelled of lemon.\n\n  He   ate it.  "
    assert answers.read_sentences(text, one_per_line=False) == STORY
    assert answers.read_sentences(text, one_per_line=True) == ["Tom baked a cake. It smelled of lemon.", "He ate it."]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least two sentences; the text is empty"),
        (" \n \t ", "at least two sentences; the text is empty"),
        ("Only one.", "at least two sentences; only one was found"),
        ("Yes.\n" * 101, "101 sentences; at most 100"),
        ("a" * 20_001, "20,001 characters; at most 20,000"),
        ("One.\nTwo \ud83d.", "^The text holds half a character"),
    ],
)
def test_a_text_that_cannot_be_ordered_is_answered_by_the_limit(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        answers.read_sentences(text, one_per_line=True)


def test_an_answer_has_the_likeliest_orders_pairs_and_neighbours(orderer: SentenceOrderer) -> None:
    prediction = answers.order_sentences(orderer, STORY).prediction
    assert prediction.top_k is not None
    assert prediction.pairs is not None
    assert prediction.neighbours is not None
    assert len(prediction.top_k) == 3
    assert prediction.top_k[0].order == prediction.order


def test_sentences_that_are_not_read_to_the_end_are_counted(orderer: SentenceOrderer) -> None:
    long = [sentence + " And so on and on" * 50 for sentence in STORY[:2]]
    assert orderer.model.config.max_sentence_tokens == 64
    answer = answers.order_sentences(orderer, [*long, STORY[2]])
    assert (answer.truncated, answer.max_sentence_tokens) == (2, 64)
    assert answers.order_sentences(orderer, STORY).truncated == 0


def test_shuffled_again_the_answer_is_the_same(orderer: SentenceOrderer) -> None:
    random.seed(0)
    answer, same = answers.shuffle_again(orderer, STORY)
    assert same
    assert answer.sentences != STORY
    assert answer.prediction.sentences == answers.order_sentences(orderer, STORY).prediction.sentences


def test_shuffled_again_sentences_stand_in_another_order(orderer: SentenceOrderer) -> None:
    for seed in range(6):  # of two sentences, every other shuffle changes nothing
        random.seed(seed)
        assert answers.shuffle_again(orderer, STORY[:2])[0].sentences == STORY[1::-1]
    answer, same = answers.shuffle_again(orderer, ["The same."] * 2)
    assert (answer.sentences, same) == (["The same."] * 2, True)


def test_the_models_own_order_has_the_probability_of_the_prediction(orderer: SentenceOrderer) -> None:
    prediction = answers.order_sentences(orderer, STORY).prediction
    rated = answers.rate_order(orderer, STORY, prediction.order)
    assert rated.probability == pytest.approx(prediction.probability)
    assert answers.rate_order(orderer, STORY, prediction.order[::-1]).probability < rated.probability


@pytest.mark.parametrize(
    ("sentences", "order", "said"),
    [
        (STORY, [0, 1], "each number from 0 to 2 once"),
        (STORY, [0, 1, 1], "each number from 0 to 2 once"),
        (STORY, [0, 1, True], "each number from 0 to 2 once"),
        (STORY, "012", "each number from 0 to 2 once"),
        ([*STORY, ""], [0, 1, 2, 3], "texts that are not empty"),
        ([*STORY, 7], [0, 1, 2, 3], "texts that are not empty"),
        ("abc", [0, 1, 2], "a list of texts"),
        (["a"], [0], "at least two sentences"),
        (["a" * 10_001] * 2, [0, 1], "more than 20,000 characters"),
        (["One.", "Two \ud83d."], [0, 1], "^The text holds half a character"),
    ],
)
def test_what_is_no_order_of_sentences_is_refused(
    orderer: SentenceOrderer, sentences: object, order: object, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        answers.rate_order(orderer, sentences, order)


@pytest.mark.parametrize(
    ("probability", "words", "number"),
    [
        (1.0, "Very sure", "100 %"),
        (0.9999, "Very sure", "99 %"),
        (0.9, "Very sure", "90 %"),
        (0.896, "Very sure", "90 %"),
        (0.894, "Sure", "89 %"),
        (0.4, "Unsure", "40 %"),
        (0.0996, "Doubtful", "10 %"),
        (0.012, "Doubtful", "1.2 %"),
        (1 / 12_345, "Doubtful", "1 in 12,000"),
        (0.0, "Doubtful", "less than 1 in a billion"),
    ],
)
def test_a_probability_in_words_and_number(probability: float, words: str, number: str) -> None:
    assert answers.describe_confidence(probability) == words
    assert answers.format_probability(probability) == number


def test_the_shell_command_and_the_lines_of_python_give_the_same_order(
    orderer: SentenceOrderer, command: Command, tmp_path: Path
) -> None:
    orderer.save_pretrained(tmp_path / "my model")
    name, sentences = str(tmp_path / "my model"), [*STORY, "END", "It's $HOME \"`\\", "<script>"]
    expected = answers.order_sentences(orderer, sentences).prediction

    first, *rest = answers.shell_command(name, sentences).split("\n")
    typed = shlex.split(first.partition(" <<")[0])
    assert typed[:3] == ["python", "-m", "sentence_order.predict"]
    assert first.endswith(f" <<'{rest[-1]}'")
    assert rest[:-1] == sentences
    assert rest[-1] not in sentences
    done = command("predict", *typed[3:], stdin="\n".join(sentences) + "\n")
    assert done.returncode == 0, done.stderr
    assert f'"order": {expected.order}' in done.stdout

    found: dict[str, object] = {}
    exec(answers.python_lines(name, sentences), found)
    assert found["prediction"].order == expected.order  # type: ignore[attr-defined]


def test_examples_are_short_texts_that_are_shown_in_another_order() -> None:
    assert len({example.title for example in EXAMPLES}) == 5
    for example in EXAMPLES:
        assert 5 <= len(example.sentences) <= 10
        assert example.shuffled() != list(example.sentences)
        assert sorted(example.shuffled()) == sorted(example.sentences)
        assert answers.read_sentences(" ".join(example.sentences), one_per_line=False) == list(example.sentences)
