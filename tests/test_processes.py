"""Several processes train one model, and end with what one alone ends with."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.survival import lines_of
from sentence_order.config import DecoderConfig, DecoderName
from sentence_order.files import damage
from sentence_order.processes import Processes
from sentence_order.runtime import Runtime
from sentence_order.training.evaluation import Evaluation, evaluate_corpus
from sentence_order.training.state import read_state
from tests.training.trainers import corpus_of

SMOKE = ("debug=smoke", "data.limit_validation=41", "freeze=embeddings")


def torchrun(folder: Path, *overrides: str) -> "subprocess.Popen[str]":
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    line = [sys.executable, *launcher, "-m", "sentence_order.train", *overrides]
    return subprocess.Popen(line, cwd=folder, env=dict(os.environ), stderr=subprocess.PIPE, text=True)


def alone(folder: Path, *overrides: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "sentence_order.train", *overrides]
    return subprocess.run(line, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=250)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder above that of a run in one process."""
    folder = tmp_path_factory.mktemp("single")
    done = alone(folder, *SMOKE, "output_dir=run")
    assert done.returncode == 0, done.stderr
    return folder


def assert_same(folder: Path, single: Path) -> None:
    lines, expected = lines_of(folder), lines_of(single)
    assert [line.keys() for line in lines] == [line.keys() for line in expected]
    for line, other in zip(lines, expected, strict=True):
        for tag, value in line.items():
            assert value == pytest.approx(other[tag], abs=1e-5 if "norm" in tag else 1e-6), (tag, line["step"])
    one, other = (read_state(place / "run" / "checkpoints" / "last") for place in (folder, single))
    assert one is not None
    assert other is not None
    for weight, expected_weight in zip(one["weights"], other["weights"], strict=True):
        torch.testing.assert_close(weight, expected_weight, atol=1e-5, rtol=1e-4)


def test_two_processes_are_one(tmp_path: Path, single: Path) -> None:
    process = torchrun(tmp_path, *SMOKE)  # output_dir is named by the time, which each would tell otherwise
    _, err = process.communicate(timeout=250)
    assert process.returncode == 0, err
    (folder,) = (tmp_path / "outputs").iterdir()
    folder.rename(tmp_path / "run")
    assert_same(tmp_path, single)
    assert err.count("processes: 2, each with its share") == 1
    assert (
        err.count("step 10: validation loss") == (tmp_path / "run" / "train.log").read_text().count("step 10: val") == 1
    )
    assert err.count("test: 40 documents") == 2  # the corpus, and the table
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["processes"] == 2
    expected = json.loads((single / "run" / "results.json").read_text())
    assert results["train"]["documents_seen"] == expected["train"]["documents_seen"]
    assert results["test"]["per_document"]["id"] == expected["test"]["per_document"]["id"]


def test_where_one_is_killed_the_others_stop_and_one_alone_goes_on(tmp_path: Path, single: Path) -> None:
    """With the prefix from a cache, which the first one fills for both."""
    cached = ("freeze=none", "freeze.depth=1", "cache.dir=cache", "trainer.max_steps=40")
    process = torchrun(tmp_path, *SMOKE[:2], *cached, "output_dir=run")
    last = tmp_path / "run" / "checkpoints" / "last"
    deadline = time.monotonic() + 120
    while not last.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    killed = time.monotonic()
    os.kill(int(workers[-1]), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - killed < 60
    assert process.returncode != 0
    told = re.search(r"error: step \d+: another process of this run has ended.*; last good checkpoint: (\S+),", err)
    assert told, err
    assert told[1] == "run/checkpoints/last"
    assert damage(last) is None
    assert err.count("are added now") == 1
    done = alone(tmp_path, "resume=run")
    assert done.returncode == 0, done.stderr
    assert "resumed: from step" in done.stderr
    reference = tmp_path / "reference"
    reference.mkdir()
    assert alone(reference, *SMOKE[:2], *cached, "output_dir=run").returncode == 0
    assert_same(tmp_path, reference)


@dataclass(frozen=True)
class Pretended(Processes):
    """One of several processes that run one after the other; the last one hears what the others have said."""

    said: list[Any] = field(default_factory=list)

    def gather(self, value: Any) -> list[Any]:
        self.said.append(value)
        if self.rank < self.count - 1:
            raise InterruptedError
        return list(self.said)


@pytest.mark.parametrize("count", [2, 3, 11])
def test_a_shared_evaluation_is_that_of_one(tiny_model, stories, count: int) -> None:
    """Uneven shares, and more processes than batches."""
    corpus = corpus_of(tiny_model, stories[:23])

    def evaluation(processes: Processes) -> Evaluation:
        runtime = Runtime(torch.device("cpu"), processes=processes)
        decoder = DecoderConfig(DecoderName.exact, 64)
        found = evaluate_corpus(tiny_model, corpus, decoder, runtime, seed=3, batch_tokens=700)
        assert found is not None
        return found

    said: list[Any] = []
    for rank in range(count - 1):
        with pytest.raises(InterruptedError):
            evaluation(Pretended(rank, count, rank, said))
    shared = evaluation(Pretended(count - 1, count, count - 1, said))
    single = evaluation(Processes())
    assert (shared.order, shared.given, shared.right, shared.loss) == (
        single.order,
        single.given,
        single.right,
        single.loss,
    )
    assert shared.summary() == single.summary()
    assert np.array_equal(shared.log_odds_D, single.log_odds_D)
    assert torch.equal(shared.confusion_NN, single.confusion_NN)
