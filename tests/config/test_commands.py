"""Commands that a run tells its user to type do what they say."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sentence_order.config.cli import compose
from sentence_order.config.commands import (
    as_typed,
    override,
    parse_override,
    resume_command,
    shell,
    tensorboard_command,
    unambiguous,
)
from sentence_order.config.keys import flatten_config
from sentence_order.experiments.tables import list_reports
from sentence_order.training.run_config import read_overrides, write_config
from tests.experiments.runs import make_run

# Of folders: characters with a meaning for a shell, for Hydra or for TensorBoard, and words that are values of keys.
ODD_NAMES = [
    *("run (1)", "lr=1e-4", "o'brien", "a,b", "Größe", "日本", "x²", "a[1]", "{b}", "#1", "a #1", "a&b", "a;b", "a|b"),
    *("$HOME", "~x", "-x", "--help", "50%", "@x", "end ", " start", "null", "true", "1e3", "auto", "off", "a:b", '"q"'),
    *("back\\slash", "end\\", "*", "a?", "<x>", "!x", "`x`", "é", "1_000", "x=y,z=[1]"),
]
# Prints the words that a shell makes of each line.
PRINT_WORDS = "import json, sys; print(json.dumps(sys.argv[1:]))"


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


def in_shell(commands: list[str], folder: Path) -> list[list[str]]:
    """The words of each command, as a shell splits them."""
    program = shlex.join([sys.executable, "-c", PRINT_WORDS])
    script = f'words() {{ {program} "$@"; }}\n' + "".join(f"words {command}\n" for command in commands)
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_typed_words_mean_the_folder_that_they_were_printed_for(tmp_path: Path) -> None:
    """Whatever its name is."""
    commands = [
        " ".join(
            [as_typed("init_from", unambiguous(name)), resume_command(Path(name)), tensorboard_command(Path(name))]
        )
        for name in ODD_NAMES
    ]
    for name, words in zip(ODD_NAMES, in_shell(commands, tmp_path), strict=True):
        start, *_, resume, _, option, value = words
        for word, key in ((start, "init_from"), (resume, "resume")):
            parsed = parse_override(word)
            assert parsed is not None
            assert (parsed.key_or_group, Path(str(parsed.value()))) == (key, Path(name))
        assert value == ("." if option == "--logdir" else f"{name}:{unambiguous(name)}")


@pytest.mark.parametrize(
    "names", [["o'brien, ü (1)"], pytest.param(ODD_NAMES, marks=pytest.mark.slow)], ids=["one", "all"]
)
def test_printed_commands_find_their_run(
    names: list[str], command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a run, of its errors, and of its report."""
    monkeypatch.chdir(tmp_path)
    for name in names:
        folder = make_run(tmp_path / name, [], [0, 1, 2])
        refused = command("train", "encoder=tiny", override("output_dir", unambiguous(name)), "seed=1", "resume=auto")
        assert " alone)" in refused.stderr, (name, refused.stderr)
        typed = refused.stderr.split("resume it unchanged (")[1].split(" alone)")[0]
        (repeat,) = re.findall("    python -m sentence_order.report (.*)", list_reports({}, [], [Path(name)]))
        printed = [resume_command(Path(name)).split("sentence_order.train ")[1], typed, repeat]

        *resumed, again = in_shell(printed, tmp_path)
        assert again == [unambiguous(name)]
        for words in resumed:
            assert f"{Path(name)} is finished" in command("train", *words).stderr, name
        shutil.rmtree(folder)
