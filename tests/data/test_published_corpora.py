"""The commands of "Bring your corpus" read files of the forms in which corpora are published."""

import csv
import json
import random
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from sentence_order.config.cli import compose
from sentence_order.config.validation import check_data
from sentence_order.data.files import check_data_files
from sentence_order.data.layout import Layout
from sentence_order.data.readers import read_documents
from sentence_order.data.sources import load_splits
from sentence_order.inference.files import input_format

PAGE = Path(__file__).resolve().parents[2] / "docs/bring_your_corpus.md"
COMMANDS = [line.strip() for line in PAGE.read_text().splitlines() if line.startswith("    python -m sentence_order.")]
STORIES = [
    [f"Story {number} starts.", "It goes on.", f"It rises, {number}.", "It turns.", "It ends."] for number in range(30)
]


def write_table(path: str, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    with Path(path).open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def write_rocstories(path: str) -> None:
    header = ["storyid", "storytitle", *(f"sentence{k}" for k in range(1, 6))]
    write_table(path, header, ([f"id{n}", "A title", *story] for n, story in enumerate(STORIES)))


def write_sind(path: str) -> None:
    records = [
        [{"story_id": str(n), "album_id": "7", "worker_arranged_photo_order": k, "original_text": text, "text": "x"}]
        for n, story in enumerate(STORIES)
        for k, text in enumerate(story)
    ]
    random.Random(0).shuffle(records)
    Path(path).write_text(json.dumps({"images": [{"id": "1", "title": "A b"}], "albums": [], "annotations": records}))


def shuffled(story: list[str]) -> tuple[list[str], list[int]]:
    """Sentences in another order, and which of them comes k-th."""
    order = random.Random(story[0]).sample(range(len(story)), len(story))
    return [story[k] for k in order], [order.index(k) for k in range(len(story))]


def write_rebart(path: str) -> None:
    pairs = map(shuffled, STORIES)
    lines = [json.dumps({"orig_sents": [str(k) for k in order], "shuf_sents": text}) for text, order in pairs]
    Path(path).write_text("\n".join(lines))


def write_btsort(split: str) -> None:
    folder, kind = Path(split).parents[1], Path(split).parents[1].name
    for number, story in enumerate(STORIES):
        name = f"a{number}.txt" if kind == "nips" else str(number)
        (folder / "txt_tokenized").mkdir(exist_ok=True)
        (folder / "txt_tokenized" / name).write_text("\n".join(story) + "\n")
    Path(split).write_text("".join(f"{number}\n" for number in range(len(STORIES))))


def write_berson(path: str) -> None:
    Path(path).write_text("".join(" <eos> ".join(story) + "\n" for story in STORIES))


def write_recipenlg(path: str) -> None:
    header = ["", "title", "ingredients", "directions", "link", "source", "NER"]
    rows = ([n, "Cake", '["1 egg"]', json.dumps(s), "www.x.y", "Gathered", '["egg"]'] for n, s in enumerate(STORIES))
    write_table(path, header, rows)


def write_wikihow(path: str) -> None:
    rows = (["About.", text, "Longer.", "Steps", f"How to {n}"] for n, story in enumerate(STORIES) for text in story)
    write_table(path, ["overview", "headline", "text", "sectionLabel", "title"], rows)


def write_cloze(path: str) -> None:
    header = ["InputStoryid", *(f"InputSentence{k}" for k in range(1, 5))]
    quiz = ["RandomFifthSentenceQuiz1", "RandomFifthSentenceQuiz2", "AnswerRightEnding"]
    rows = ([f"id{n}", *story[:4], story[4], "Other.", 1] for n, story in enumerate(STORIES))
    write_table(path, [*header, *quiz], rows)


def write_dacon(path: str) -> None:
    header = ["ID", *(f"sentence_{k}" for k in range(4)), *(f"answer_{k}" for k in range(4))]
    rows = ([f"T{n}", *text, *order] for n, (text, order) in enumerate(shuffled(story[:4]) for story in STORIES))
    write_table(path, header, rows)


def write_own(path: str) -> None:
    write_table(path, ["id", "s1", "s2", "s3"], ([n, *story[:3]] for n, story in enumerate(STORIES)))


# By a part of the command; the number of sentences that are read of each story.
CORPORA: dict[str, tuple[Callable[[str], None], int]] = {
    "rocstories_csv": (write_rocstories, 5),
    "sind": (write_sind, 5),
    "rebart": (write_rebart, 5),
    "btsort": (write_btsort, 5),
    "nips/train.tsv": (write_berson, 5),
    "recipenlg": (write_recipenlg, 5),
    "wikihow": (write_wikihow, 5),
    "cloze": (write_cloze, 4),
    "answer_0": (write_dacon, 4),
    "s1,s2,s3": (write_own, 3),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_read_corpora_as_they_are_published(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (write, size), *others = (found for part, found in CORPORA.items() if part in command)
    assert not others
    name, *overrides = shlex.split(command.removeprefix("python -m sentence_order."))
    config = compose(name, overrides)
    paths = [config.data.train, config.data.validation, config.data.test] if name == "train" else [config.input]
    for path in filter(None, paths):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write(path)
    if name == "predict":
        documents = [
            d.sentences for d in read_documents(config.input, input_format(config, config.input), Layout.of(config))
        ]
    else:
        check_data(config.data)
        check_data_files(config.data, ["train", "validation", "test"])
        splits = load_splits(config.data, ["train", "validation", "test"])
        assert all(splits.values())
        documents = list(splits["train"]["sentences"])
        if config.data.validation is None:
            documents += [*splits["validation"]["sentences"], *splits["test"]["sentences"]]
    assert sorted(documents) == sorted(story[:size] for story in STORIES)
