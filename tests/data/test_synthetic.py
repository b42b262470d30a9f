"""The synthetic corpus: reproducible, grammatical, split by plot, and not to be solved by counting words."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from random import Random

import pytest

from sentence_order.data.identity import text_fingerprint
from sentence_order.data.synthetic import HELD_OUT, PLOTS, generate
from sentence_order.data.synthetic.plot import MAX_SENTENCES, MIN_SENTENCES, Plot, article, plot, render, step

ALL_PLOTS = tuple(chain.from_iterable(PLOTS.values()))

# "an" before a vowel, "a" before anything else, unless the word is spoken otherwise than it is written.
WRONG_A = re.compile(r"\ba (?!one\b|once\b|uni|use|usu|eu)[aeiou]|\ba (hour|honest|hono|heir)", re.IGNORECASE)
WRONG_AN = re.compile(r"\ban (?!hour|honest|hono|heir)[^aeiou]|\ban (one\b|once\b|uni|use|usu|eu)", re.IGNORECASE)


def sentences_of(split: str, seed: int, count: int) -> list[list[str]]:
    return [sentences for _, sentences, _ in generate(split, seed, count)]


def renderings(plot: Plot) -> Iterator[str]:
    """Yield every wording of a plot with so many draws of the fields that every value of every slot comes up."""
    rng = Random(plot.name)
    draws = [plot.draw_fields(rng) for _ in range(60)]
    for slot, values in plot.slots.items():
        assert len({tuple(draw[field] for field in slot.split(", ")) for draw in draws}) == len(values), slot
    for wording in wordings(plot):
        for fields in draws:
            yield render(wording, fields)


def wordings(plot: Plot) -> list[str]:
    return [wording for step in plot.steps for wording in step.wordings]


def plot_fields(plot: Plot) -> list[str]:
    return [field for slot in plot.slots for field in slot.split(", ")]


class TestGenerate:
    def test_documents_are_named_by_split_seed_and_index(self) -> None:
        assert [document_id for document_id, _, _ in generate("test", 3, 2)] == [
            "synthetic-test-3-0",
            "synthetic-test-3-1",
        ]

    def test_the_same_call_yields_the_same_documents(self) -> None:
        assert list(generate("train", 0, 50)) == list(generate("train", 0, 50))

    def test_another_process_with_another_hash_seed_yields_the_same_documents(self) -> None:
        code = "from sentence_order.data.synthetic import generate; print(list(generate('train', 5, 20)))"
        outputs = [
            subprocess.run(
                [sys.executable, "-c", code],
                env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "utf-8"},
                capture_output=True,
                check=True,
                encoding="utf-8",
            ).stdout.strip()
            for hash_seed in ("1", "2")
        ]
        assert outputs[0] == outputs[1] == str(list(generate("train", 5, 20)))

    def test_a_smaller_count_is_a_prefix_of_a_larger_one(self) -> None:
        assert list(generate("train", 0, 10)) == list(generate("train", 0, 1000))[:10]

    @pytest.mark.parametrize("split", PLOTS)
    def test_seeds_and_splits_differ(self, split: str) -> None:
        assert sentences_of(split, 0, 20) != sentences_of(split, 1, 20)

    @pytest.mark.parametrize("split", PLOTS)
    def test_documents_have_four_to_eight_sentences_and_every_length_occurs(self, split: str) -> None:
        lengths = Counter(len(sentences) for sentences in sentences_of(split, 0, 1000))
        assert set(lengths) <= set(range(MIN_SENTENCES, MAX_SENTENCES + 1))
        assert len(lengths) >= 3

    @pytest.mark.parametrize("split", PLOTS)
    def test_every_plot_of_the_split_is_told(self, split: str) -> None:
        """Those of the training by the known plots."""
        told: dict[str, set[str]] = {"known plots": set(), "new plots": set()}
        for _, sentences, group in generate(split, 0, 1000):
            told[group].add(find_plot(sentences[0]))
        assert told["known plots"] == {plot.name for plot in PLOTS["train"]}
        assert told["new plots"] == {plot.name for plot in PLOTS[split] if split != "train"}

    @pytest.mark.parametrize("split", HELD_OUT)
    def test_stories_of_known_and_of_new_plots_alternate(self, split: str) -> None:
        assert [group for *_, group in generate(split, 4, 5)] == [*["known plots", "new plots"] * 2, "known plots"]

    def test_no_story_of_validation_or_test_is_one_of_the_training(self) -> None:
        train = {text_fingerprint(sentences) for sentences in sentences_of("train", 0, 5000)}
        for split, count in (("validation", 500), ("test", 1000)):
            assert train.isdisjoint(text_fingerprint(sentences) for sentences in sentences_of(split, 0, count))

    def test_stories_rarely_repeat(self) -> None:
        stories = Counter(tuple(sentences) for sentences in sentences_of("train", 0, 4000))
        assert 4000 - len(stories) < 0.02 * 4000

    def test_no_story_says_a_sentence_twice(self) -> None:
        assert all(len(set(sentences)) == len(sentences) for sentences in sentences_of("train", 0, 1000))

    def test_an_unknown_split_is_refused_at_the_call(self) -> None:
        with pytest.raises(ValueError, match=r"'dev'.*train, validation, test"):
            generate("dev", 0, 1)


def find_plot(first_sentence: str) -> str:
    """Return the name of the plot whose first step has a wording that `first_sentence` is a rendering of."""
    for candidate in ALL_PLOTS:
        for wording in candidate.steps[0].wordings:
            parts = re.split(r"\{[^}]*\}", wording)
            if re.fullmatch(".+?".join(map(re.escape, parts)), first_sentence, re.IGNORECASE):
                return candidate.name
    raise AssertionError(f"no plot begins like this: {first_sentence}")


class TestPlots:
    def test_there_are_many_and_their_names_differ(self) -> None:
        assert len(ALL_PLOTS) >= 40
        assert len({plot.name for plot in ALL_PLOTS}) == len(ALL_PLOTS)
        assert {plot.name for split in HELD_OUT for plot in PLOTS[split]} == set(chain(*HELD_OUT.values()))

    def test_splits_are_disjoint(self) -> None:
        names = Counter(plot.name for plots in PLOTS.values() for plot in plots)
        assert max(names.values()) == 1

    def test_no_template_occurs_twice(self) -> None:
        # Neither in two plots nor with other names for the same blanks.
        blank = Counter(re.sub(r"\{[^}]*\}", "_", wording) for plot in ALL_PLOTS for wording in wordings(plot))
        assert [template for template, count in blank.items() if count > 1] == []

    @pytest.mark.parametrize("plot", ALL_PLOTS, ids=lambda plot: plot.name)
    def test_a_plot_has_six_to_nine_steps_in_several_wordings(self, plot: Plot) -> None:
        assert 6 <= len(plot.steps) <= 9
        assert any(step.optional for step in plot.steps)
        assert all(len(set(step.wordings)) >= 2 for step in plot.steps)

    @pytest.mark.parametrize("plot", ALL_PLOTS, ids=lambda plot: plot.name)
    def test_slots_are_used_and_their_articles_left_to_the_renderer(self, plot: Plot) -> None:
        text = " ".join(wordings(plot))
        assert [field for field in plot_fields(plot) if f"{field}}}" not in text] == []
        assert not re.search(r"\ban? \{", text, re.IGNORECASE)

    @pytest.mark.parametrize("plot", ALL_PLOTS, ids=lambda plot: plot.name)
    def test_every_first_sentence_names_the_hero(self, plot: Plot) -> None:
        assert all("{hero}" in wording for wording in plot.steps[0].wordings)

    @pytest.mark.parametrize("plot", ALL_PLOTS, ids=lambda plot: plot.name)
    def test_the_friend_is_introduced_before_being_a_pronoun(self, plot: Plot) -> None:
        required = [step for step in plot.steps if not step.optional]
        named = next((i for i, step in enumerate(required) if all("{friend}" in w for w in step.wordings)), None)
        for i, each in enumerate(required):
            for wording in each.wordings:
                if "{friend." in wording and (named is None or i <= named):
                    assert "{friend}" in wording, f"{plot.name}: {wording}"

    @pytest.mark.parametrize("plot", ALL_PLOTS, ids=lambda plot: plot.name)
    def test_every_wording_is_a_proper_sentence(self, plot: Plot) -> None:
        for sentence in renderings(plot):
            assert not re.search(r"[{}_]", sentence), sentence
            assert re.match(r'"?[A-Z]', sentence), sentence
            assert re.search(r'[^.!?,;:][.!?]"?$', sentence), sentence
            assert not WRONG_A.search(sentence), sentence
            assert not WRONG_AN.search(sentence), sentence
            assert not re.search(r"\s{2}|^\s|\s$|\s[.,;:!?]", sentence), sentence
            assert not re.search(r"\b(\w+) \1\b", sentence.replace("that that", "")), sentence
            assert sentence.count('"') % 2 == 0, sentence


class TestRender:
    def test_the_first_letter_is_a_capital_whatever_field_it_comes_from(self) -> None:
        fields = {"they": "she", "tool": "axe"}
        assert render("{they} took {a tool}.", fields) == "She took an axe."
        assert render('"{a tool}?" {they} said.', fields) == '"An axe?" she said.'

    @pytest.mark.parametrize(
        "phrase", ["an oat loaf", "a rye loaf", "an hour", "a unicorn", "a one-way street", "an onion", "an O-ring"]
    )
    def test_article(self, phrase: str) -> None:
        expected, noun = phrase.split(" ", 1)
        assert article(noun) == expected

    def test_an_unknown_slot_is_refused_with_the_plot_named(self) -> None:
        with pytest.raises(ValueError, match=r"lost hat.*hta"):
            plot("lost hat", {"hat": ("bowler",)}, *[step("{hero} lost the {hta}.", "{hero} lost it.")] * 4)

    def test_a_plot_with_too_few_steps_is_refused(self) -> None:
        with pytest.raises(ValueError, match="lost hat"):
            plot("lost hat", {}, step("{hero} lost a hat.", "A hat was lost by {hero}."))
