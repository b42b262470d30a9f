"""Waiting threads spin briefly unless the user says otherwise, and there are no more threads than CPUs for them."""

import ast
import logging
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sentence_order.__main__ import COMMANDS
from sentence_order.config.schema import Precision
from sentence_order.runtime import device, threads
from sentence_order.runtime.threads import (
    SPIN_ALONE,
    SPIN_IN_COMPANY,
    SPIN_VARIABLES,
    THREAD_VARIABLES,
    count_cpus,
    has_company,
    read_quota,
)

SPINS = [SPIN_ALONE, SPIN_IN_COMPANY]
ALONE_TEXT, COMPANY_TEXT = (" ".join(f"{name}={value}" for name, value in spin.items()) for spin in SPINS)
# Runs a command with --version and then imports torch, whose OpenMP says what it has read.
COMMAND = """
import os, runpy, sys
sys.argv = [sys.argv[1], "--version"]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as error:
    assert not error.code
assert "torch" not in sys.modules
print({name: value for name, value in os.environ.items() if name in %r})
import torch
"""


def run_command(module: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    code, inherited = COMMAND % (SPIN_VARIABLES,), {k: v for k, v in os.environ.items() if k not in SPIN_VARIABLES}
    environment = {**inherited, "OMP_DISPLAY_ENV": "VERBOSE", **variables}
    line = [sys.executable, "-c", code, module]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=True, timeout=120)


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of OpenMP is set."""
    for name in (*SPIN_VARIABLES, *THREAD_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def two_threads() -> Iterator[None]:
    """PyTorch has two threads; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def write_files(root: Path, **files: str) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_short_spin_before_torch_is_imported(name: str) -> None:
    done = run_command(f"sentence_order.{name}")
    spin = ast.literal_eval(done.stdout.splitlines()[-1])
    assert spin in SPINS
    if "GOMP_SPINCOUNT" in done.stderr:  # with another OpenMP, torch prints other names
        assert f"GOMP_SPINCOUNT = '{spin['GOMP_SPINCOUNT']}'" in done.stderr


def test_modules_of_benchmarks_have_it_as_well(unset: pytest.MonkeyPatch) -> None:
    code = "import benchmarks, os, sys; print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout in [f"{spin['GOMP_SPINCOUNT']} False\n" for spin in SPINS]


@pytest.mark.parametrize(
    ("running", "cpus", "machine", "expected"),
    [(1, 2, 2, False), (2, 2, 2, True), (4, 4, 8, False), (5, 4, 8, False), (6, 4, 8, True)],
)
def test_company_is_who_takes_cpus_of_this_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, running: int, cpus: int, machine: int, expected: bool
) -> None:
    monkeypatch.setattr(threads, "count_cpus", lambda: cpus)
    monkeypatch.setattr(os, "cpu_count", lambda: machine)
    write_files(tmp_path, loadavg=f"0.20 0.18 0.12 {running}/80 11206\n")
    assert has_company(tmp_path / "loadavg") is expected
    assert not has_company(tmp_path / "missing")


@pytest.mark.parametrize(("company", "expected"), [(False, SPIN_ALONE), (True, SPIN_IN_COMPANY)])
def test_in_company_the_spin_is_shorter(unset: pytest.MonkeyPatch, company: bool, expected: dict[str, str]) -> None:
    unset.delitem(sys.modules, "torch")
    unset.setattr(threads, "has_company", lambda: company)
    for name in SPIN_ALONE:  # also to be taken back
        unset.setenv(name, "")
        os.environ.pop(name)
    threads.spin_briefly()
    assert {name: os.environ[name] for name in SPIN_VARIABLES if name in os.environ} == expected


@pytest.mark.parametrize("name", SPIN_VARIABLES)
def test_what_the_user_has_set_stays(unset: pytest.MonkeyPatch, name: str) -> None:
    unset.delitem(sys.modules, "torch")
    unset.setenv(name, "")
    threads.spin_briefly()
    assert {key: os.environ[key] for key in SPIN_VARIABLES if key in os.environ} == {name: ""}


def test_nothing_is_set_once_torch_is_imported(unset: pytest.MonkeyPatch) -> None:
    threads.spin_briefly()
    assert not {*SPIN_VARIABLES} & {*os.environ}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "spin as long as is the default of OpenMP (PyTorch was imported before a shorter time could be set)"),
        (SPIN_ALONE, f"spin briefly (auto: {ALONE_TEXT}, nothing else ran when the program started)"),
        (SPIN_IN_COMPANY, f"hardly spin (auto: {COMPANY_TEXT}, other programs ran when the program started)"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "as set: OMP_WAIT_POLICY=PASSIVE"),
    ],
)
def test_the_log_says_how_threads_wait(
    unset: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variables: dict[str, str], expected: str
) -> None:
    for name, value in variables.items():
        unset.setenv(name, value)
    unset.setattr(logging.getLogger("sentence_order"), "propagate", True)
    with caplog.at_level(logging.DEBUG, "sentence_order"):
        device.choose_runtime("cpu", Precision.fp32)
    assert caplog.messages.count(f"waiting threads: {expected}") == 1


def test_the_docs_name_the_spin_of_the_commands() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    assert f"waiting threads: spin briefly (auto: {ALONE_TEXT}," in (docs / "devices.md").read_text()
    line = f'os.environ.setdefault("GOMP_SPINCOUNT", "{SPIN_IN_COMPANY["GOMP_SPINCOUNT"]}")'
    assert line in (docs / "training_from_python.md").read_text()


V1 = {"cpu.cfs_quota_us": "150000\n", "cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        pytest.param("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5, id="version 2"),
        pytest.param("0::/a/b\n", {"a/cpu.max": "400000 100000\n", "a/b/cpu.max": "max 100000\n"}, 4, id="of a parent"),
        pytest.param("0::/a/b\n", {"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "4 1\n"}, 0.5, id="the smallest"),
        pytest.param("0::/a\n", {"b/cpu.max": "50000 100000\n"}, math.inf, id="of another group"),
        pytest.param("0::/../../a\n", {"cpu.max": "50000 100000\n"}, 0.5, id="outside the container"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, math.inf, id="max"),
        pytest.param("0::/\n", {"cpu.max": "what is this\n"}, math.inf, id="of another form"),
        pytest.param("0::/\n", {}, math.inf, id="no file"),
        pytest.param("4:memory:/\n3:cpuacct,cpu:/a\n", {f"cpu/a/{k}": v for k, v in V1.items()}, 1.5, id="version 1"),
        pytest.param("1:cpu:/docker/1f\n", {f"cpu/{k}": v for k, v in V1.items()}, 1.5, id="version 1, path of host"),
        pytest.param(
            "1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf, id="-1"
        ),
        pytest.param("1:cpuset:/\n", {f"cpu/{k}": v for k, v in V1.items()}, math.inf, id="no cpu controller"),
    ],
)
def test_quotas_of_control_groups(tmp_path: Path, groups: str, files: dict[str, str], expected: float) -> None:
    write_files(tmp_path, **{"proc/self/cgroup": groups}, **{f"sys/fs/cgroup/{k}": v for k, v in files.items()})
    assert read_quota(tmp_path) == expected


def test_systems_without_control_groups_have_no_quota(tmp_path: Path) -> None:
    assert read_quota(tmp_path) == math.inf


@pytest.mark.parametrize(("quota", "expected"), [(0.2, 1), (1.5, 2), (2.0, 2), (9.5, 8), (math.inf, 8)])
def test_cpus_are_those_of_the_quota_rounded_up(unset: pytest.MonkeyPatch, quota: float, expected: int) -> None:
    unset.setattr(os, "sched_getaffinity", lambda _: {*range(8)}, raising=False)
    unset.setattr(threads, "read_quota", lambda: quota)
    assert count_cpus() == expected


@pytest.mark.parametrize(
    ("variable", "expected"), [(None, 1), *((name, 2) for name in THREAD_VARIABLES)], ids=["unset", *THREAD_VARIABLES]
)
def test_a_quota_limits_the_threads_unless_their_number_is_set(
    unset: pytest.MonkeyPatch, two_threads: None, variable: str | None, expected: int
) -> None:
    if variable:
        unset.setenv(variable, "2")
    unset.setattr(threads, "read_quota", lambda: 0.5)
    device.choose_runtime("cpu", Precision.fp32)
    assert torch.get_num_threads() == expected


def test_no_quota_changes_nothing(unset: pytest.MonkeyPatch, two_threads: None) -> None:
    unset.setattr(os, "sched_getaffinity", lambda _: {*range(8)}, raising=False)
    unset.setattr(threads, "read_quota", lambda: math.inf)
    device.choose_runtime("cpu", Precision.fp32)
    assert torch.get_num_threads() == 2
