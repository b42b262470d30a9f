"""Kills commands at every kind of point, repeats them, and compares their end with that of one that was let alone.

    python -m tests.survival [--kills 60] [--seed 0]

Each command is killed some times by SIGKILL, in the middle of a write or a computation (`faults.py`) that is drawn from
all that the unbroken one passes through, so that nothing depends on the speed of the machine; and the same command is
given again. After each death every checkpoint, and every file that a finished command leaves, must be complete or
absent, and the next start of a training must resume from its last checkpoint. At the end what is left must be equal to
what the unbroken command has left, to the last bit (`outcomes.py`).

Once each, the disk fills up under a command, and the cache is removed under it.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sentence_order.data.synthetic import generate
from tests import outcomes
from tests.experiments.runs import make_run
from tests.forks import Server
from tests.programs import CACHE_REMOVED, DOCUMENTS, PROGRAMS, RUNS, SMALL_DISKS, STEPS

ROOT = Path(__file__).resolve().parent.parent
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
Done = subprocess.CompletedProcess[str]


@dataclass
class Tally:
    """What has happened so far."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    starts: Counter[str] = field(default_factory=Counter)
    steps_lost: list[int] = field(default_factory=list)


class Survival:
    """Commands in the folders of one place, where their unbroken forms have been given first."""

    def __init__(self, place: Path, server: Server, seed: int = 0) -> None:
        self.place, self.server, self.dice, self.tally = place, server, random.Random(seed), Tally()
        self.passed: dict[str, dict[str, int]] = {}  # how often each unbroken command passes each point, by fault
        with (place / DOCUMENTS).open("w", encoding="utf-8") as stream:
            for name, sentences, _ in generate("test", 0, 120):
                stream.write(json.dumps({"id": name, "sentences": sentences[::-1]}) + "\n")
        for seed in (0, 1):
            make_run(place / RUNS / f"none{seed}", [f"seed={seed}"], [0, 1, 2, 1], started=seed)
            make_run(
                place / RUNS / f"all{seed}", ["freeze.depth=1", f"seed={seed}"], [1, 1, 3, 2], frozen=2, started=seed
            )

    def run_unbroken(self, name: str) -> None:
        """Lets a command alone, and counts the points that it passes."""
        done = self._start(name, self.place / name, "count")
        assert done.returncode == 0, done.stderr
        passed = {f"kill:{point}": number for point, number in json.loads(done.stdout.splitlines()[-1]).items()}
        for line in done.stderr.splitlines():
            if found := re.fullmatch(r'\[\S+\] (\{".*\})', line):  # of a sweep's job
                for point, number in json.loads(found[1]).items():
                    passed |= {f"{action}:job.{point}": number for action in ("kill", "orphan")}
        self.passed[name] = passed

    def torment(self, name: str, kills: int) -> None:
        """Kills a command up to so many times, lets it end, and compares."""
        folder = self.place / f"{name} {self.tally.starts[name]}"
        for _ in range(kills):
            saved = outcomes.saved_step(folder / "run")
            fault, passed = self.dice.choice(sorted(self.passed[name].items()))
            left = passed * (STEPS - (saved or 0)) // STEPS  # about so often will it be passed again
            done = self._start(name, folder, f"{fault}:{self.dice.randint(1, max(1, left))}")
            if done.returncode == 0:  # the point was not passed so often, and the command has ended
                break
            # A sweep whose job is killed ends by itself.
            assert done.returncode == (1 if fault.startswith("kill:job.") else -9), f"{fault}\n{done.stderr}"
            self.tally.kills[name, fault] += 1
            if not fault.startswith("orphan:"):  # whose job may still be writing
                self._check_remains(name, folder)
        else:
            done = self._start(name, folder, "none")
            assert done.returncode == 0, done.stderr
        self.compare(name, folder)

    def remove_cache(self, name: str, point: str, number: int) -> str | None:
        """Removes the cache under a command; returns its complaint, or None if it has ended as the unbroken one.

        Without a cache the frozen layers read other batches, so that losses are the same but for their rounding.
        """
        folder = self.place / f"{name} without a cache from {point} {number}"
        done = self._start(name, folder, f"remove:{point}:{number}")
        if done.returncode:
            return _complaint(done)
        outcomes.compare_losses(folder, self.place / name)
        return None

    def fill_disk(self, name: str, size: str) -> str:
        """Lets the disk fill up under a command, and gives it again with space; returns its complaint."""
        folder = self.place / f"{name} on a disk of {size}"
        (disk := self.place / "disk").mkdir(exist_ok=True)
        script = f"""
            mount -t tmpfs -o size={size} tmpfs "{disk}" && cd "{disk}"
            "$@"; echo "code $?" >&2
            mount -o remount,size=4g "{disk}"
            "$@" && cp -r . "{folder}"
        """
        line = [*NAMESPACE, script, "sh", sys.executable, "-m", "tests.faults", "none", *PROGRAMS[name].command]
        environment = {**os.environ, **_variables()}
        both = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=250, check=False)
        err, code, err_again = re.split(r"^code (\d+)\n", both.stderr, maxsplit=1, flags=re.MULTILINE)
        assert both.returncode == 0, err_again
        self.compare(name, folder)
        return _complaint(subprocess.CompletedProcess(line, int(code), "", err))

    def compare(self, name: str, folder: Path) -> None:
        """A command must end with what the unbroken one ends with."""
        program, reference = PROGRAMS[name], self.place / name
        outcomes.compare_files(folder, reference, program.files)
        if program.run:
            outcomes.compare_runs(folder / program.run, reference / program.run)
        if program.sweep:
            outcomes.compare_sweeps(folder / program.sweep, reference / program.sweep)
        if program.cache:
            outcomes.compare_caches(folder / program.cache, reference / program.cache)

    def _start(self, name: str, folder: Path, fault: str) -> Done:
        """Gives a command, and waits for its end. A training must resume from what was saved, and find no damage."""
        folder.mkdir(exist_ok=True)
        saved = outcomes.saved_step(folder / "run")
        done = self.server.run("tests.faults", [fault, *PROGRAMS[name].command], folder, None, _variables())
        self.tally.starts[name] += fault != "count"
        resumed = re.search(r"resuming from step (\d+)", done.stderr)
        if PROGRAMS[name].run and (
            resumed or re.search(r"steps?, validation every \d+;", done.stderr)
        ):  # it has come so far as to say so
            assert (int(resumed[1]) if resumed else None) == saved, f"saved was step {saved}\n{done.stderr}"
        assert "damaged" not in done.stderr, done.stderr
        return done

    def _check_remains(self, name: str, folder: Path) -> None:
        """What a killed command leaves under the names of finished files is complete."""
        program = PROGRAMS[name]
        outcomes.check_files(folder, self.place / name, program.files)
        for run in [folder / program.run] if program.run else folder.glob("sweep/seed-*"):
            outcomes.check_checkpoints(run)
        if program.run:
            self.tally.steps_lost.append(
                outcomes.logged_step(folder / "run") - (outcomes.saved_step(folder / "run") or 0)
            )


def can_mount() -> bool:
    """True if this system lets users mount a file system of their own."""
    mount = [*NAMESPACE, "mount -t tmpfs none /mnt"]
    return shutil.which("unshare") is not None and not subprocess.run(mount, check=False).returncode


def _complaint(done: Done) -> str:
    """The one line in which a command has failed."""
    assert done.returncode == 1, f"exit code {done.returncode}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def _variables() -> dict[str, str]:
    """A cache in each command's own folder; and this package, for the jobs of a sweep."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {"SENTENCE_ORDER_CACHE": "cache", "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def main() -> None:
    """Torments all programs by turns, and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60, help="how many in all, or a few more")
    parser.add_argument("--seed", type=int, default=0, help="of where to kill")
    parser.add_argument("--each", type=int, default=3, help="kills before a command is let end")
    arguments = parser.parse_args()
    server = Server()
    with tempfile.TemporaryDirectory() as place:
        survival = Survival(Path(place), server, arguments.seed)
        tally = survival.tally
        for name in PROGRAMS:
            survival.run_unbroken(name)
        ends = 0
        while tally.kills.total() < arguments.kills:
            for name in PROGRAMS:
                survival.torment(name, arguments.each)
                ends += 1
                print(f"{name}: ended as the unbroken one; {tally.kills.total()} kills so far", flush=True)
        if not can_mount():
            print("no disk was filled: this system does not let users mount a file system of their own")
        for name, size in SMALL_DISKS if can_mount() else []:
            print(f"{name}, a disk of {size}: {survival.fill_disk(name, size)}", flush=True)
        for name, point in CACHE_REMOVED:
            outcome = survival.remove_cache(name, point, 2) or "ended as the unbroken one"
            print(f"{name}, cache removed in its second {point}: {outcome}", flush=True)
    server.stop()
    print(f"\n{ends} ends, {tally.starts.total()} starts, {tally.kills.total()} kills:")
    for (name, fault), times in sorted(tally.kills.items()):
        print(f"  {name}, {fault}: {times}")
    print(f"steps logged but not saved at a kill: {max(tally.steps_lost)} at most (trainer.save_every=3)")


if __name__ == "__main__":
    main()
