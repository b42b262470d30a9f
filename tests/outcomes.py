"""What commands have left in a folder: whether it is complete after a kill, and equal to what unbroken ones leave."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sentence_order.experiments.sweep import FAILURES
from sentence_order.prefix_cache.store import Store
from sentence_order.runtime.files import find_backup
from sentence_order.runtime.manifest import find_corruption
from sentence_order.training.run_dir import EVENT_FILES
from sentence_order.training.state import STATE_FILE, read_state
from tests.records import CLOCK_TAGS, lines_without_clock, rows_without_clock

CHECKPOINT_FILES = (
    *("best/model.safetensors", "best/config.json", "best/validation.json"),
    *("last/model.safetensors", "last/config.json"),
)


def saved_step(run: Path) -> int | None:
    """The step that a run has saved, also if it was killed between two renames; None if there is none."""
    last = run / "checkpoints" / "last"
    found = last if last.exists() else find_backup(last)
    state = read_state(found) if found else None
    return int(state["trainer"]["step"]) if state else None


def logged_step(run: Path) -> int:
    """The last step of which metrics.jsonl has a complete line."""
    metrics = run / "metrics.jsonl"
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    return max([0, *(json.loads(line)["step"] for line in lines if line.endswith("}"))])


def check_checkpoints(run: Path) -> None:
    """What is there under a checkpoint's name is complete by its manifest."""
    for checkpoint in run.glob("checkpoints/[!.]*"):
        problem = find_corruption(checkpoint)
        assert problem is None, f"{checkpoint.name}: {problem}"
        assert (checkpoint / "SHA256SUMS").exists()


def check_files(folder: Path, reference: Path, patterns: Iterable[str]) -> None:
    """Files that a finished command leaves are complete or absent."""
    for file in _matching(reference, patterns):
        if (folder / file).exists():
            assert (folder / file).read_bytes() == (reference / file).read_bytes(), f"{file} is incomplete"


def compare_files(folder: Path, reference: Path, patterns: Iterable[str]) -> None:
    """The same files, and nothing else that the patterns match, are in both folders."""
    assert _matching(folder, patterns) == _matching(reference, patterns)
    check_files(folder, reference, patterns)


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted(path.relative_to(folder) for pattern in patterns for path in folder.glob(pattern))


def compare_caches(folder: Path, reference: Path) -> None:
    """Two prefix caches hold the same states of the same texts, in whatever shards, and are not damaged."""
    found = []
    for cache in (folder, reference):
        store = Store(cache)
        shards = [(key, shard) for key in {entry.key for entry in store.entries()} for shard in store.open(key)]
        assert all(shard.intact(slice(None)) for _, shard in shards)  # type: ignore[arg-type]
        found.append(
            {
                (key, digest): checksum
                for key, shard in shards
                for digest, checksum in zip(shard.digests.tolist(), shard.checksums.tolist(), strict=True)
            }
        )
    assert found[0] == found[1]


def compare_runs(run: Path, reference: Path) -> None:
    """A run has ended with what the unbroken one ended with, to the last bit."""
    runs = (run, reference)
    states = [_state_of(each) for each in runs]
    assert states[0].keys() == states[1].keys()
    for key in states[0]:
        assert _equal(states[0][key], states[1][key]), f"{STATE_FILE} differs in {key}"
    for name in CHECKPOINT_FILES:
        files = [each / "checkpoints" / name for each in runs]
        assert files[0].read_bytes() == files[1].read_bytes(), f"{name} differs"
    assert lines_without_clock(run) == lines_without_clock(reference), "metrics.jsonl differs"
    assert _curves_of(run) == _curves_of(reference), "TensorBoard's curves differ"
    assert _names(run) == _names(reference), "a killed process has left files behind"
    results = [json.loads((each / "results.json").read_text(encoding="utf-8")) for each in runs]
    for split in ("validation", "test"):
        assert results[0][split] == results[1][split], f"results.json differs in {split}"


def compare_losses(folder: Path, reference: Path) -> None:
    """All losses and metrics of a run or an evaluation are the same but for rounding."""
    found = [
        [*_numbers(json.loads(file.read_text(encoding="utf-8"))["test"])]
        for place in (folder, reference)
        for file in (*place.glob("results.json"), *place.glob("run/results.json"))
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-4, abs=1e-5)


def _numbers(value: Any) -> Iterator[float]:
    """All numbers in a JSON value."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _numbers(part)
    elif isinstance(value, int | float):
        yield value


def compare_sweeps(sweep: Path, reference: Path) -> None:
    """The same jobs have ended as the unbroken ones, and so has the report on them, but for its times."""
    jobs = [path.name for path in reference.glob("seed-*")]
    assert sorted(path.name for path in sweep.glob("seed-*")) == sorted(jobs)
    for job in jobs:
        compare_runs(sweep / job, reference / job)
    assert rows_without_clock(sweep) == rows_without_clock(reference), "report.csv differs"
    assert _names(sweep) == _names(reference), "a killed process has left files behind"


def _names(folder: Path) -> set[str]:
    """The files and folders in a folder, but for what says when, or that, a process has stopped."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.match(EVENT_FILES)}
    return {name for name in names if not name.startswith(FAILURES)}


def _state_of(run: Path) -> dict[str, Any]:
    """What a run has saved at its end, but for what is measured by the clock: flat, by name."""
    state = read_state(run / "checkpoints" / "last")
    assert state is not None
    del state["logged_bytes"]  # of numbers that are measured by the clock
    metrics = state["trainer"]["metrics"]
    state["trainer"]["metrics"] = {tag: value for tag, value in metrics.items() if not CLOCK_TAGS.match(tag)}
    flat = {}
    for name, value in state.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        flat.update({f"{name}.{part}": each for part, each in parts if part not in ("seconds", "previous_seconds")})
    return flat


def _equal(one: Any, other: Any) -> bool:
    """Equality to the last bit, of tensors too."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


def _curves_of(run: Path) -> dict[str, dict[int, float]]:
    """The points that TensorBoard shows of each tag, by step: of several at a step, the last one."""
    events = EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not CLOCK_TAGS.match(tag)]
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in tags}
