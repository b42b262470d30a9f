"""Several processes train one model, and end with what one alone ends with."""

import json
import logging
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from sentence_order.errors import TrainingError, UserError
from sentence_order.runtime import distributed
from sentence_order.runtime.distributed import SINGLE_PROCESS, Processes
from sentence_order.runtime.environment import count_processes
from sentence_order.runtime.manifest import find_corruption
from sentence_order.training.state import read_state
from tests.conftest import Torchrun
from tests.forks import Server
from tests.records import lines_without_clock

SMOKE = ("debug=smoke", "data.limit_validation=41", "freeze=embeddings")


def run_alone(forks: Server, folder: Path, *overrides: str) -> str:
    """Trains in one process; returns what it prints to standard error."""
    done = forks.run("sentence_order.train", [*overrides], folder, None, {})
    assert done.returncode == 0, done.stderr
    return done.stderr


def assert_same(run: Path, single: Path) -> None:
    lines, expected = lines_without_clock(run), lines_without_clock(single)
    assert [line.keys() for line in lines] == [line.keys() for line in expected]
    for line, other in zip(lines, expected, strict=True):
        for tag, value in line.items():
            # Of orders that are nearly a tie, rounding may choose another: that of one document in 20 or 41.
            decided = tag.startswith("validation/") and "loss" not in tag
            close = 0.05 if decided else 1e-5 if "norm" in tag else 1e-6
            assert value == pytest.approx(other[tag], abs=close), (tag, line["step"])
    one, other = (read_state(folder / "checkpoints" / "last") for folder in (run, single))
    assert one is not None
    assert other is not None
    for weight, expected_weight in zip(one["stepper"]["weights"], other["stepper"]["weights"], strict=True):
        # The gradient of a key's bias is rounding alone, which AdamW scales up.
        torch.testing.assert_close(weight, expected_weight, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_processes_that_read_other_documents_are_refused(torchrun: Torchrun, tmp_path: Path) -> None:
    for rank in range(2):
        lines = "\n\n".join(f"Tale {n}.\nThe end of {n + rank}." for n in range(20))
        (tmp_path / f"{rank}.txt").write_text(lines)
    process = torchrun("debug=smoke", "data=text", "data.train=${oc.env:RANK}.txt", "output_dir=run")
    _, err = process.communicate(timeout=250)
    assert process.returncode != 0
    assert "error: data.train: process 1 reads something else than process 0 does" in err


@pytest.mark.slow
def test_processes_that_are_set_otherwise_are_refused(torchrun: Torchrun) -> None:
    process = torchrun(*SMOKE, "seed=${oc.env:RANK}")
    _, err = process.communicate(timeout=250)
    assert process.returncode != 0
    assert "error: seed: process 1 has 1, and process 0 has 0" in err


@pytest.mark.parametrize("encoder", ["bert", pytest.param("modernbert", marks=pytest.mark.slow)])
def test_two_processes_train_as_one(
    torchrun: Torchrun, forks: Server, encoder_folder: Callable[[str], str], tmp_path: Path, encoder: str
) -> None:
    line = SMOKE if encoder == "bert" else (*SMOKE, f"encoder.name={encoder_folder(encoder)}")
    run_alone(forks, tmp_path, *line, "output_dir=single")
    single = tmp_path / "single"
    process = torchrun(*line)  # output_dir is named by the time, which each would read for itself
    _, err = process.communicate(timeout=250)
    assert process.returncode == 0, err
    (run,) = (tmp_path / "outputs").iterdir()
    assert_same(run, single)
    assert err.count("processes: 2") == 1  # one of them reports for both
    assert "Warning" not in err
    assert err.count("step 10: ") == (run / "train.log").read_text().count("step 10: ") == 1
    results, expected = (json.loads((folder / "results.json").read_text()) for folder in (run, single))
    assert results["processes"] == 2
    assert results["train"]["documents_seen"] == expected["train"]["documents_seen"]
    for split in ("validation", "test"):
        assert results[split]["per_document"]["id"] == expected[split]["per_document"]["id"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "own"),
    [
        # Steps of a single document, of which one process has none.
        ("sentence_order.train", ["trainer.batch_tokens=10", "trainer.max_steps=20"]),
        # Micro-batches, weights that begin to train later, a moving average.
        (
            "sentence_order.train",
            ["trainer.accumulate=3", "freeze.embeddings=false", "freeze.schedule=[0:all,0.4:none]", "optim.ema=0.9"],
        ),
        # Numbers are read as on CUDA, and signals are agreed on at the same moments.
        ("tests.late_reading", ["trainer.log_every=4", "trainer.save_every=3"]),
    ],
    ids=["idle", "accumulation and unfreezing", "late reading"],
)
def test_two_processes_train_as_one_also(
    torchrun: Torchrun, forks: Server, tmp_path: Path, module: str, own: list[str]
) -> None:
    run_alone(forks, tmp_path, *SMOKE, *own, "output_dir=single")
    process = torchrun(*SMOKE, *own, "output_dir=run", module=module)
    _, err = process.communicate(timeout=250)
    assert process.returncode == 0, err
    assert_same(tmp_path / "run", tmp_path / "single")


def test_gradients_are_summed_in_the_backward_pass(torchrun: Torchrun) -> None:
    """As afterwards: with micro-batches, an idle process, weights that no loss reads, fp16, layers computed again."""
    process = torchrun(module="tests.summed_gradients")
    _, err = process.communicate(timeout=250)
    assert process.returncode == 0, err


@pytest.mark.slow
def test_where_one_is_killed_the_others_stop_and_one_alone_can_resume(
    torchrun: Torchrun, forks: Server, tmp_path: Path
) -> None:
    """With the prefix from a cache, which the main process fills for both."""
    cached = (*SMOKE[:2], "freeze=none", "freeze.depth=1", "cache.dir=cache", "trainer.max_steps=40", "output_dir=run")
    process = torchrun(*cached)
    last = tmp_path / "run" / "checkpoints" / "last"
    deadline = time.monotonic() + 120
    while not last.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(workers[-1]), signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert re.search(r"error: step \d+: another process .*; last checkpoint: run/checkpoints/last; ", err), err
    assert find_corruption(last) is None
    assert len(list((tmp_path / "cache").rglob("*.states"))) == 1
    assert "resuming from step" in run_alone(forks, tmp_path, "resume=run")
    reference = tmp_path / "reference"
    reference.mkdir()
    run_alone(forks, reference, *cached)
    assert_same(tmp_path / "run", reference / "run")


@pytest.mark.parametrize("count", [1, 2, 5, 11])
def test_shards_are_all_items_once(count: int) -> None:
    shards = [Processes(rank, count, rank).shard(range(7)) for rank in range(count)]
    assert sorted(item for shard in shards for item in shard) == list(range(7))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    assert [Processes(rank, count, rank).is_main for rank in range(count)] == [True] + [False] * (count - 1)


@pytest.mark.slow
def test_a_mistake_that_both_meet_is_printed_once(torchrun: Torchrun) -> None:
    """Also one that is found when the encoder has been loaded, or before they are connected."""
    for word, named in (("freeze.depth=99", "freeze.depth: 99 is not valid"), ("nosuch=1", "unknown key 'nosuch'")):
        process = torchrun(*SMOKE[:-1], "device=cpu", word, "output_dir=run")
        _, err = process.communicate(timeout=250)
        assert process.returncode != 0
        (error,) = re.findall("^error: .*", err, re.M)
        assert error.startswith(f"error: {named}"), err
        assert "exitcode: 2" in err
        assert "terminate called" not in err


def test_a_single_process_needs_no_others() -> None:
    tensor = torch.tensor([1.0, 2.0])
    SINGLE_PROCESS.all_reduce_([tensor])
    assert tensor.tolist() == [1.0, 2.0]
    assert SINGLE_PROCESS.gather("value") == ["value"]
    assert SINGLE_PROCESS.broadcast("value") == "value"
    assert SINGLE_PROCESS.any_of([True, False]) == [True, False]
    SINGLE_PROCESS.barrier()
    with SINGLE_PROCESS.main_process_first():
        pass


def test_processes_are_counted_by_what_torchrun_sets() -> None:
    started = {"RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    assert count_processes({}) == count_processes({**started, "WORLD_SIZE": "1"}) == 1
    assert count_processes({**started, "WORLD_SIZE": "3"}) == 3
    with pytest.raises(UserError, match="RANK: less than WORLD_SIZE=2"):
        count_processes({**started, "RANK": "2", "WORLD_SIZE": "2"})


LEFT_BEHIND = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "MASTER_ADDR: not set"),
        ({"MASTER_ADDR": "127.0.0.1"}, "MASTER_PORT: a number in the environment, not ''"),
        ({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "RANK": "x"}, "RANK: a number in the environment, not"),
        ({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "RANK": "2"}, "RANK: less than WORLD_SIZE=2, not 2"),
        ({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "WORLD_SIZE": "two"}, "WORLD_SIZE: a number"),
    ],
)
def test_variables_that_were_left_behind_are_one_line(
    forks: Server, tmp_path: Path, variables: dict[str, str], named: str
) -> None:
    done = forks.run("sentence_order.train", ["debug=smoke"], tmp_path, None, {**LEFT_BEHIND, **variables})
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {named}")
    assert "unset RANK" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_process_that_waits_for_others_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for name, value in {**LEFT_BEHIND, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "SILENT_SECONDS", 0.1)
    monkeypatch.setattr(distributed, "STEP_TIMEOUT", timedelta(seconds=2))
    with caplog.at_level(logging.INFO), pytest.raises(TrainingError):
        distributed.init_processes("cpu")
    assert f"waiting at 127.0.0.1:{port} " in caplog.text
