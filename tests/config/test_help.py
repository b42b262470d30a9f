"""`--help` explains every group, option and key, in lines that fit the terminal."""

from pathlib import Path

import pytest

from sentence_order.config.help import describe_groups, help_text, read_header, read_options
from sentence_order.config.keys import key_infos
from sentence_order.config.parsing import CONFIG_DIR, options_of
from sentence_order.config.schema import SCHEMAS
from sentence_order.errors import UserError


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_group_and_key_has_a_text_that_ends_with_a_period(name: str) -> None:
    texts = {key: info.help for key, info in key_infos(SCHEMAS[name]).items()} | describe_groups(name)
    assert [key for key, text in texts.items() if not text.endswith(".")] == []


@pytest.mark.parametrize("group", describe_groups("train"))
def test_every_option_says_what_it_is(group: str) -> None:
    options = read_options(group)
    assert list(options) == options_of(group)
    assert [option for option, (_, text) in options.items() if not text] == []


def test_what_a_key_accepts_is_told_by_its_type_and_range() -> None:
    infos = key_infos(SCHEMAS["train"])
    assert {key: infos[key].accepted for key in ("trainer.patience", "optim.ema", "model.pooling")} == {
        "trainer.patience": "integer greater than 0, or null",
        "optim.ema": "number at least 0 and less than 1",
        "model.pooling": "mean, first, last",
    }
    assert infos["model.heads"].accepted.startswith("list of pairs, scores, ")
    assert infos["data.sentence_columns"].accepted == "list of text"


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("columns", [80, 100])
def test_the_whole_help_lists_all_and_fits_the_terminal(
    name: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    header = read_header(CONFIG_DIR / f"{name}.yaml")
    lines = help_text(name, ["--help"]).splitlines()
    assert lines[: len(header)] == header
    words = [line.strip().split("=")[0] for line in lines[len(header) :]]
    assert {*describe_groups(name), *key_infos(SCHEMAS[name])} <= set(words)
    assert max(len(line) for line in lines[len(header) :]) <= columns


def test_groups_and_keys_are_explained_under_the_overrides_in_any_order_of_words() -> None:
    for words in (
        ["--help", "trainer", "optim.warmup", "debug=smoke"],
        ["debug=smoke", "trainer", "optim.warmup", "-h"],
    ):
        text = help_text("train", words)
        assert text.startswith("trainer: ")
        assert "trainer.max_steps=20 " in text
        assert "python -m sentence_order.train trainer.epochs=3" in text
        assert "optim.warmup=0.1 " in text
        assert "optim.lr" not in text
    assert "sweep=loss" in help_text("train", ["--help", "sweep"])
    assert "optim.lr=8e-05" in help_text("train", ["--help", "optim.lr", "-m", "optim.lr=1e-4,2e-4"])


def test_a_folder_of_own_options_is_no_topic(tmp_path: Path) -> None:
    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "data" / "recipes.yaml").write_text("defaults: [jsonl]\ntrain: recipes.jsonl\n")
    for flag in ("-cd", "--config-dir"):
        text = help_text("train", ["--help", flag, str(tmp_path / "mine"), "data=recipes", "data.train"])
        assert "data.train=recipes.jsonl " in text
    for words in (["-cd", str(tmp_path / "mine")], [f"hydra.searchpath=[{tmp_path / 'mine'}]"]):
        assert "Options: arxiv_abstracts, " in help_text("train", words)
        assert "recipes," in help_text("train", words).split()
        assert "data=recipes" in help_text("train", [*words, "data"])
    assert help_text("train", ["-h", "-cn", "mine", "-c", "job", "seed"]).startswith("  seed=0 ")


def test_only_evaluation_offers_all_decoders() -> None:
    for name in ("train", "evaluate", "predict"):
        assert ("Options: all, " in help_text(name, [])) == (name == "evaluate")
        assert ("\n  all " in help_text(name, ["decoder"])) == (name == "evaluate")


def test_an_unknown_group_or_key_is_refused() -> None:
    with pytest.raises(UserError, match=r"--help optim.warmp: no such group or key; did you mean 'optim.warmup'\?"):
        help_text("train", ["--help", "optim.warmp"])
    with pytest.raises(UserError, match=r"--help lr: no such group or key; use optim\.lr=N; that of set layers"):
        help_text("train", ["--help", "lr"])
