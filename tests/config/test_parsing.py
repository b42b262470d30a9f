"""The schema is strict, the YAML files fit it, and the command line wins over them."""

from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from sentence_order.config.cli import compose
from sentence_order.config.parsing import (
    CONFIG_DIR,
    did_you_mean,
    options_of,
    override_with_typed,
    parse_config,
    unknown_option,
)
from sentence_order.config.schema import EvaluateConfig, TrainConfig
from sentence_order.config.validation import check_train
from sentence_order.errors import UserError

POINTER_MODEL = ["model.heads=[pointer]", "loss=pointer", "decoder=pointer"]
# What else an option needs.
NEEDS = {
    "data=hub": ["data.hub_id=owner/name"],
    "loss=regression": ["model.heads=[scores]"],
    "loss=assignment": ["model.heads=[positions]"],
    "loss=pointer": POINTER_MODEL,
    "decoder=pointer": POINTER_MODEL,
}
OPTIONS = sorted(CONFIG_DIR.glob("*/*.yaml"))


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_option_composes_and_opens_with_its_command(path: Path) -> None:
    group, option = path.parent.name, path.stem
    if (group, option) == ("decoder", "all"):
        assert compose("evaluate", ["checkpoint=run", "decoder=all"]).decoder.name.value == "all"
    else:
        check_train(compose("train", [f"{group}={option}", *NEEDS.get(f"{group}={option}", [])]))
    lines = [line for line in path.read_text().splitlines() if "@package" not in line]
    assert lines[0].startswith("# python -m sentence_order.")
    assert f"{group}={option}" in lines[0] or group in ("model", "optim", "trainer")
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_overlays_win_over_groups_and_the_command_line_wins_over_overlays() -> None:
    config = compose("train", ["debug=smoke"])
    assert config.encoder.name == "tiny"
    assert config.trainer.max_steps == 20
    assert compose("train", ["debug=smoke", "trainer.max_steps=7"]).trainer.max_steps == 7
    assert compose("train", ["debug=anomaly"]).debug.anomaly


def test_a_folder_given_as_cache_is_its_directory() -> None:
    for name, needed in (("train", []), ("evaluate", ["checkpoint=x"])):
        config = compose(name, [*needed, "cache=./kept"])
        assert (config.cache.dir, config.cache.mode.value) == ("./kept", "auto")


def test_options_are_the_files_of_a_group() -> None:
    assert options_of("cache") == ["auto", "off"]
    assert options_of("nothing") == []


def test_typed_keys_win_over_those_of_another_config() -> None:
    own = EvaluateConfig(checkpoint="own", seed=3)
    own.data.train, own.data.test, own.cache.max_gb = "own.jsonl", "own.jsonl", 7.0
    given = EvaluateConfig(checkpoint="given", seed=5)
    given.data.test, given.cache.dir, given.data.sentence_columns = "given.jsonl", "here", ["a", "b"]
    typed = ["data.test=given.jsonl", "+data.sentence_columns=[a,b]", "cache=off"]
    found = override_with_typed(own, given, typed)
    assert (found.checkpoint, found.seed) == ("own", 3)
    assert (found.data.train, found.data.test) == ("own.jsonl", "given.jsonl")
    assert found.data.sentence_columns == ["a", "b"]
    assert (found.cache.dir, found.cache.max_gb) == ("here", 20.0), "a group stands for all of its keys"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("trainer.epoch", "; did you mean 'trainer.epochs'?"),
        ("epochs", "; did you mean 'trainer.epochs'?"),
        ("nothing like it", ""),
    ],
)
def test_a_similar_key_is_suggested(word: str, hint: str) -> None:
    assert did_you_mean(word, ["trainer.epochs", "optim.lr"]) == hint


def test_a_plugin_of_hydra_is_named_with_its_package() -> None:
    assert unknown_option("hydra/sweeper", "ax", []).endswith("not installed: pip install hydra-ax-sweeper")
    assert "pip install hydra-submitit-launcher (or " in unknown_option("hydra/launcher", "submitit_slurm", [])


@pytest.mark.parametrize("key", ["typo", "\r", "\x1b[31m", "a\nb", "\u2028"])
def test_an_unknown_key_gives_one_printable_line(key: str) -> None:
    config = OmegaConf.create({key: 1})
    with pytest.raises(UserError, match="key") as caught:
        parse_config(config, TrainConfig)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_texts_that_no_file_can_hold_are_refused(text: str) -> None:
    config = OmegaConf.create(
        {"encoder": {"name": "tiny"}, "data": {"source": "jsonl", "train": text}, "output_dir": "x"}
    )
    with pytest.raises(UserError, match=r"^data\.train: ") as caught:
        parse_config(config, TrainConfig)
    assert str(caught.value).isprintable()
