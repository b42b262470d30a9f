"""The short form of `python -m tests.survival`; a disk that fills up, and a cache that is removed under a command."""

import re
from collections.abc import Callable

import pytest

from tests.forks import Server
from tests.programs import CACHE_REMOVED, PROGRAMS, SMALL_DISKS
from tests.survival import Survival, can_mount

# Which unbroken commands give the input of others.
NEEDED = {
    "fill the cache": "train from the cache",
    "evaluate": "fill the cache",
    "predict": "train",
    "predict in parts": "train",
}
# Every write and computation of the program that a kill can be drawn from.
EXPECTED = {
    "train": {"arrow", "weights", "state", "sync", "replace", "rename", "line", "event", "forward", "update"},
    "train from the cache": {"cache", "prefix", "state", "forward"},
    "sweep": {"start", "picture", "sync", "replace", "job.state", "job.line", "job.event", "job.forward", "job.rename"},
    "fill the cache": {"arrow", "cache", "prefix", "sync", "replace", "forward", "decoding"},
    "evaluate": {"sync", "replace", "forward", "decoding"},
    "predict": {"line", "sync", "replace", "forward", "ordering"},
    "predict in parts": {"line", "sync", "replace", "forward", "ordering"},
    "report": {"picture", "sync", "replace"},
}
SLOW = ("train from the cache", "sweep", "evaluate")


def parameters(*names: str) -> list[object]:
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in names]


@pytest.fixture(scope="module")
def survival_of(forks: Server, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Survival]:
    """Makes sure that the unbroken form of a command has been given, and that whose files it reads."""
    survival = Survival(tmp_path_factory.mktemp("survival"), forks)

    def run_unbroken(name: str) -> Survival:
        if name in NEEDED:
            run_unbroken(NEEDED[name])
        if name not in survival.passed:
            survival.run_unbroken(name)
        return survival

    return run_unbroken


@pytest.mark.parametrize("name", parameters(*PROGRAMS))
def test_killed_commands_end_as_the_unbroken_one(survival_of: Callable[[str], Survival], name: str) -> None:
    survival = survival_of(name)
    assert {fault.split(":")[1] for fault in survival.passed[name]} >= EXPECTED[name]
    before = survival.tally.kills.total()
    survival.torment(name, 2)
    assert survival.tally.kills.total() > before


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="this system does not let users mount a file system of their own")
@pytest.mark.parametrize(("name", "size"), SMALL_DISKS)
def test_a_full_disk_is_one_line_and_the_command_can_be_given_again(
    survival_of: Callable[[str], Survival], name: str, size: str
) -> None:
    complaint = survival_of(name).fill_disk(name, size)
    assert re.match(r"error: .*[/.]\S+( cannot be written)?: ", complaint), "it names the file"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "point"), CACHE_REMOVED)
def test_a_cache_that_is_removed_under_a_command_costs_at_most_a_line(
    survival_of: Callable[[str], Survival], name: str, point: str
) -> None:
    complaint = survival_of(name).remove_cache(name, point, 2)
    assert complaint is None or "/corpora" in complaint
