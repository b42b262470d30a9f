"""Commands that a run tells its user to type do what they say."""

import shlex
import tempfile
from pathlib import Path
from typing import Any

import pytest

from sentence_order.config.cli import compose
from sentence_order.config.commands import override, resume_command, shell, tensorboard_command
from sentence_order.config.keys import flatten_config
from sentence_order.training.run_config import read_overrides, write_config


@pytest.mark.parametrize(
    "typed",
    [
        [],
        ["data=jsonl", "data.train='a b,c=d.jsonl'", "freeze=bottom_half", "seed=3"],
        ["experiment=naon", "data.limit_train=7", "trainer.max_steps=5", "optim.ema=0.5"],
        ["freeze=gradual", "encoder=tiny", "data.sentence_columns=[a,b]", "data=csv", "data.text_column='null'"],
        ["data=rocstories", "cache=./kept", "debug=smoke", "precision=fp32"],
    ],
)
def test_a_run_is_repeated_by_the_command_of_its_overrides(typed: list[str], tmp_path: Path) -> None:
    config = compose("train", typed)
    write_config(tmp_path, config, [*typed, "output_dir=elsewhere", "resume=auto"])
    overrides = read_overrides(tmp_path)
    assert overrides == typed
    words = shlex.split(shell("train", *overrides))
    assert words[:3] == ["python", "-m", "sentence_order.train"]
    again, own = flatten_config(compose("train", words[3:])), flatten_config(config)
    assert {key for key in own if own[key] != again[key]} <= {"output_dir"}


def test_overrides_of_a_resumed_run_are_added_to_those_of_its_start(tmp_path: Path) -> None:
    config = compose("train", [])
    write_config(tmp_path, config, ["seed=3", "trainer.patience=2"])
    write_config(tmp_path, config, ["trainer.patience=4", "device=cpu", "resume=auto"])
    assert read_overrides(tmp_path) == ["seed=3", "trainer.patience=4", "device=cpu"]


def test_a_run_is_resumed_by_its_folder() -> None:
    command = resume_command(Path("outputs/my run, 2"))
    assert shlex.split(command)[-1] == 'resume="outputs/my run, 2"'
    assert compose("train", shlex.split(command)[-1:]).resume == "outputs/my run, 2"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0.5, "0.5"),
        ("", '""'),
        ("a,b", '"a,b"'),
        ("12", '"12"'),
        (["a", "0:all"], '[a,"0:all"]'),
    ],
)
def test_values_are_quoted_as_hydra_parses_them(value: Any, text: str) -> None:
    assert override("key", value) == f"key={text}"


def test_tensorboard_shows_a_run_under_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its parent folder, unless many other things are there."""
    monkeypatch.chdir(tmp_path)

    def words(folder: str, **kind: bool) -> list[str]:
        return shlex.split(tensorboard_command(Path(folder), **kind))[1:]

    assert words("outputs/my run") == ["--logdir", "outputs"]
    assert words("outputs/my sweep", is_sweep=True) == ["--logdir", "outputs/my sweep"]
    assert words("my run") == ["--logdir_spec", "my run:my run"]
    assert words(f"{tempfile.gettempdir()}/a") == ["--logdir_spec", f"a:{tempfile.gettempdir()}/a"]
    assert words("a,b") == ["--logdir", "."], "a comma has a meaning in --logdir_spec"
