"""`python -m sentence_order`, and what all commands have in common."""

import subprocess
import sys
from collections.abc import Callable

import pytest

import sentence_order
from sentence_order.__main__ import COMMANDS

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("option", ["", "--version"])
def test_the_package_answers_without_importing_what_it_needs(option: str) -> None:
    code = (
        "import sys; from sentence_order.__main__ import main; main();"
        "assert not {'torch', 'transformers', 'hydra', 'numpy'} & {*sys.modules}"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, *option.split()], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    expected = [sentence_order.version_text()] if option else [f"  {name} " for name in COMMANDS]
    assert all(text in answer for text in expected)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_help_and_version(command: Command, name: str) -> None:
    shown = command(name, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "%%" not in shown.stdout
    versions = command(name, "--version")
    assert (versions.returncode, versions.stderr) == (0, "")
    assert versions.stdout == f"{sentence_order.version_text()}\n"


def test_the_package_runs_a_command(command: Command) -> None:
    done = command("__main__", "train", "encoder=tinny")
    assert done.returncode == 2
    assert "unknown encoder 'tinny'" in done.stderr
    done = command("__main__", "trian", "encoder=tiny")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unknown command 'trian'. Available: train, evaluate, predict, demo, report, cache\n"
