"""Sweeps: what the command line asks for, how jobs are named, and what becomes of them, as users run them."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from sentence_order.sweep import Sweep, job_name

Command = Callable[..., CompletedProcess[str]]
QUALITY = ("arm", "seeds", "tau", "tau_low", "tau_high", "pmr", "accuracy", "tau_difference", "tau_difference_p")


def test_a_single_run_is_no_sweep() -> None:
    for arguments in (["freeze=none"], ["sweep=null"], [], ["sweep=loss", "--cfg", "job"]):
        assert Sweep.of(arguments) == (None, arguments)


def test_what_a_frozen_prefix_depends_on_changes_slowest() -> None:
    sweep, arguments = Sweep.of(["seed=0,1", "-m", "trainer.epochs=1,2", "freeze=none,encoder", "data=jsonl"])
    assert sweep is not None
    assert arguments[:5] == ["-m", "freeze=none,encoder", "data=jsonl", "seed=0,1", "trainer.epochs=1,2"]
    assert sweep.swept == {"seed": 2, "trainer.epochs": 2, "freeze": 2}
    assert arguments[-1] == f"output_dir={sweep.folder}"


def test_the_same_question_has_the_same_folder() -> None:
    def folder(*arguments: str) -> str:
        sweep, _ = Sweep.of(list(arguments))
        assert sweep is not None
        return str(sweep.folder)

    assert folder("sweep=loss") == "outputs/loss"
    assert folder("-m", "optim.lr=1e-4,2e-4", "seed=range(3)") == "outputs/lr_seed"
    shorter = folder("sweep=loss", "data=jsonl", "data.train=a.jsonl")
    assert shorter.startswith("outputs/loss-")
    assert shorter == folder("data.train=a.jsonl", "sweep=loss", "data=jsonl", "seed=0,1,2"), (
        "more seeds: the same sweep"
    )
    assert shorter != folder("sweep=loss", "data=jsonl", "data.train=b.jsonl")
    assert folder("sweep=loss", "output_dir=mine") == "mine"


@pytest.mark.parametrize(
    ("overrides", "keys", "name"),
    [
        (["freeze.depth=none", "data=jsonl", "seed=0"], ["freeze.depth", "seed"], "depth-none_seed-0"),
        (["optim.lr=1e-4", "+seed=1"], ["optim.lr", "seed"], "lr-1e-4_seed-1"),
        (["encoder.name=a/b", "freeze.layers=[0,2]"], ["encoder.name", "freeze.layers"], "name-a-b_layers-0-2"),
        (["encoder.name=x", "decoder.name=y"], ["encoder.name", "decoder.name"], "encoder.name-x_decoder.name-y"),
        (["data.test="], ["data.test"], "test-empty"),
        (["seed=0"], [], "run"),
    ],
)
def test_jobs_are_named_by_what_differs(overrides: list[str], keys: list[str], name: str) -> None:
    assert job_name(overrides, keys) == name


ARGUMENTS = (
    *("sweep=frozen_vs_unfrozen", "debug=smoke", "freeze.depth=none,2", "seed=0,1"),
    *("trainer.max_steps=40", "trainer.eval_every=20", "trainer.save_every=10", "output_dir=sweep"),
)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep over two depths and two seeds."""
    place = tmp_path_factory.mktemp("unbroken")
    done = subprocess.run(_line(), cwd=place, env=dict(os.environ), capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    (place / "stderr.txt").write_text(done.stderr)
    return place / "sweep"


def _line() -> list[str]:
    return [sys.executable, "-m", "sentence_order.train", *ARGUMENTS]


def _report(sweep: Path) -> list[dict[str, str]]:
    """All of a report's table that does not depend on how fast the machine was."""
    with (sweep / "report" / "report.csv").open() as stream:
        return [{key: row[key] for key in QUALITY} for row in csv.DictReader(stream)]


def test_a_sweep_ends_in_a_report(unbroken: Path) -> None:
    said = (unbroken.parent / "stderr.txt").read_text()
    assert "sweep: job 1 of 4, depth-none_seed-0\n" in said
    assert "sweep: job 3 of 4, depth-2_seed-0; about 1 min are left" in said
    assert "sweep: 4 jobs are finished in sweep" in said
    assert {folder.name for folder in unbroken.glob("depth-*")} == {
        f"depth-{d}_seed-{s}" for d in ("none", 2) for s in (0, 1)
    }
    assert "With **embeddings + 2 layers frozen**" in (unbroken / "report" / "report.md").read_text()
    assert [row["arm"] for row in _report(unbroken)] == ["none", "embeddings + 2 layers"]
    states = [json.loads((unbroken / f"depth-2_seed-{seed}" / "results.json").read_text()) for seed in (0, 1)]
    assert all(found["train"]["cached"] for found in states)
    assert "With embeddings + 2 layers frozen, " in said
    assert "sweep: report: sweep/report/report.md" in said


def test_what_is_done_is_skipped(command: Command, unbroken: Path) -> None:
    done = command("train", *ARGUMENTS[:-1], f"output_dir={unbroken}")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("finished before, and skipped") == 4
    assert "training ━" not in done.stderr


def test_stopped_and_resumed_gives_the_same_report(tmp_path: Path, unbroken: Path) -> None:
    """The sweep is killed in the middle of its second job; started again, it skips, resumes, goes on."""
    first = subprocess.Popen(_line(), cwd=tmp_path, env=dict(os.environ), stderr=subprocess.PIPE, text=True)
    job = tmp_path / "sweep" / "depth-none_seed-1"
    deadline = time.monotonic() + 120
    while not (job / "checkpoints" / "last" / "training_state.pt").exists():
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not (job / "results.json").exists()
    again = subprocess.run(_line(), cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=250)
    assert again.returncode == 0, again.stderr
    assert "job 1 of 4, depth-none_seed-0: finished before, and skipped" in again.stderr
    assert "job 2 of 4, depth-none_seed-1, which was begun before and is resumed" in again.stderr
    assert "resumed: from step" in again.stderr
    assert _report(tmp_path / "sweep") == _report(unbroken)


def test_a_job_that_fails_does_not_stop_the_others(command: Command, tmp_path: Path) -> None:
    done = command("train", "-m", "debug=smoke", "freeze.depth=9,all", "trainer.max_steps=4", "output_dir=sweep")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "sweep: 1 jobs are finished in sweep, 1 failed:\n  depth-9: freeze.depth: 9 is not understood" in done.stderr
    assert (tmp_path / "sweep" / "depth-all" / "results.json").exists()
    assert (tmp_path / "sweep" / "report" / "report.md").exists()
    other = command(
        "train", "-m", "debug=smoke", "freeze.depth=all,9", "seed=3", "output_dir=sweep", "trainer.max_steps=4"
    )
    assert other.returncode == 1
    assert "another config (seed: 0 there, 3 here); leave that as it was" in other.stderr


def test_tensorboard_has_a_row_a_run(unbroken: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    folders = {events.parent for events in unbroken.rglob("events.out.tfevents.*")}
    assert folders == set(unbroken.glob("depth-*")), "a run a job, under the job's name, and no further ones"
    for folder in folders:
        events = EventAccumulator(str(folder))
        events.Reload()
        content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        settings = HParamsPluginData.FromString(content).session_start_info.hparams
        assert settings["seed"].number_value == int(folder.name[-1])
        assert settings["frozen"].string_value == ("embeddings, layer_0, layer_1" if "-2" in folder.name else "none")
        assert settings["loss"].string_value == "order"
        told = HParamsPluginData.FromString(
            events.summary_metadata["_hparams_/experiment"].plugin_data.content
        ).experiment.metric_infos
        metrics = {info.name.tag for info in told}
        assert {"test/tau", "test/pmr", "test/accuracy", "total/seconds_in_steps"} <= metrics
        assert metrics <= set(events.Tags()["scalars"])
        found = json.loads((folder / "results.json").read_text())["test"]["tau"]["value"]
        assert [event.value for event in events.Scalars("test/tau")] == pytest.approx([found])
        layout = Layout.FromString(events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
        assert layout.category[0].title == "quality"
        assert layout.category[0].chart[0].multiline.tag == ["validation/tau$"]
