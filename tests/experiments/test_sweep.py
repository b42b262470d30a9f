"""Sweeps: what a command line asks for, how jobs are named, and that each is trained, skipped, resumed or reported."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from sentence_order.experiments.job import INTERRUPTED, RUNS_VARIABLE, num_runs_sharing_cache, show_output
from sentence_order.experiments.names import job_name
from sentence_order.experiments.sweep import FAILURES, Sweep
from sentence_order.training.state import STATE_FILE
from tests.experiments.runs import make_run

Command = Callable[..., CompletedProcess[str]]
QUALITY = ("arm", "seeds", "tau", "tau_low", "tau_high", "pmr", "accuracy", "tau_difference", "tau_difference_p")


def test_a_single_run_is_no_sweep() -> None:
    for arguments in (["freeze=none"], ["sweep=null"], [], ["sweep=loss", "--cfg", "job"]):
        assert Sweep.parse(arguments) == (None, arguments)


def test_keys_that_determine_the_frozen_prefix_change_slowest() -> None:
    sweep, arguments = Sweep.parse(["seed=0,1", "-m", "trainer.epochs=1,2", "freeze=none,encoder", "data=jsonl"])
    assert sweep is not None
    assert arguments[:5] == ["-m", "freeze=none,encoder", "data=jsonl", "seed=0,1", "trainer.epochs=1,2"]
    assert sweep.swept == {"seed": ["0", "1"], "trainer.epochs": ["1", "2"], "freeze": ["none", "encoder"]}
    assert arguments[-1] == f"output_dir={sweep.folder}"


def test_the_same_sweep_has_the_same_folder() -> None:
    def folder(*arguments: str) -> str:
        sweep, _ = Sweep.parse(list(arguments))
        assert sweep is not None
        return str(sweep.folder)

    assert folder("sweep=loss") == "outputs/loss"
    assert folder("-m", "optim.lr=1e-4,2e-4", "seed=range(3)") == "outputs/optim.lr_seed"
    assert folder("-m", "encoder.name=a,b") != folder("-m", "decoder.name=beam,borda")
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
        (["freeze.layers=-2"], ["freeze.layers"], "layers--2"),
        (["data.test="], ["data.test"], "test-empty"),
        (["seed=0"], [], "run"),
    ],
)
def test_jobs_are_named_by_what_differs(overrides: list[str], keys: list[str], name: str) -> None:
    assert job_name(overrides, dict.fromkeys(keys)) == name


@pytest.mark.parametrize(
    "values",
    [
        ["[0,2]", '"0-2"', "'0-2'"],
        ["in/d1/x/train.jsonl", "in/d1/x-train.jsonl"],
        ["''", '"-"'],
        ["a" * 300, "a" * 300 + "/"],
        [f"'{'日' * 100}'", f"'{'日' * 100}/'"],
        ["a/Train.jsonl", "a/train.jsonl"],
        ["1_seed-0", "1"],
    ],
)
def test_jobs_whose_values_look_alike_have_different_names(values: list[str]) -> None:
    sweep, _ = Sweep.parse(["-m", f"freeze.layers={','.join(values)}", "seed=0,1"])
    assert sweep is not None
    layers = sweep.swept["freeze.layers"] or []
    jobs = [[f"freeze.layers={value}", f"seed={seed}"] for value in layers for seed in (0, 1)]
    assert len(jobs) == 2 * len(values)
    names = {job_name(job, sweep.swept).lower() for job in jobs}
    assert len(names) == len(jobs)
    assert all(len(name.encode()) < 200 for name in names)


def test_a_job_is_told_how_many_runs_share_its_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUNS_VARIABLE, raising=False)
    assert num_runs_sharing_cache() == 1
    monkeypatch.setenv(RUNS_VARIABLE, "6")
    assert num_runs_sharing_cache() == 6
    assert Sweep.parse(["sweep=loss", "seed=0,1"]) == (None, ["sweep=loss", "seed=0,1"]), "a job is no sweep itself"


def test_lines_of_a_job_bear_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    """But for the error that ends it, which the sweep reports."""
    code = "print('12:00:00 warning: a\\n\\n  b'); print('error: c')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert [*show_output("seed-1", process)] == ["12:00:00 warning: a", "  b", "error: c"]
    assert capsys.readouterr().err == "[seed-1] 12:00:00 warning: a\n[seed-1]   b\n"


def test_a_job_stops_when_its_sweep_is_killed() -> None:
    """Its standard input then ends."""
    code = "import time; from sentence_order.experiments.job import *; stop_with_parent(); print(1); time.sleep(60)"
    line = [sys.executable, "-u", "-c", code]
    environment = {**os.environ, RUNS_VARIABLE: "1"}
    with subprocess.Popen(line, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as job:
        assert job.stdin is not None
        assert job.stdout is not None
        assert job.stdout.readline() == b"1\n"
        assert job.poll() is None
        job.stdin.close()
        assert job.wait(30) == -signal.SIGTERM


def test_a_sweep_that_is_interrupted_while_it_reports_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, as between two jobs."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    make_run(tmp_path / "run", [], [0, 1, 2])
    monkeypatch.setattr("sentence_order.config.cli.run_jobs", lambda name, job: None)
    monkeypatch.setattr("sentence_order.experiments.report.draw", interrupt)
    monkeypatch.setattr(sys, "argv", ["train"])
    sweep, _ = Sweep.parse(["-m", "seed=0,1", f"output_dir={tmp_path}"])
    assert sweep is not None
    with pytest.raises(SystemExit) as stopped:
        sweep.run()
    assert stopped.value.code == 130
    assert capsys.readouterr().err.endswith(f"error: {INTERRUPTED}\n")


MADE_UP = ["encoder=tiny", "data.limit_train=9", "output_dir=sweep"]


def test_finished_jobs_are_skipped_and_reported(command: Command, tmp_path: Path) -> None:
    """And a job that was refused earlier, of which there is no run, is forgotten."""
    refused = tmp_path / "sweep" / FAILURES / "lr-9_seed-0.txt"
    refused.parent.mkdir(parents=True)
    refused.write_text("too large\n")
    os.utime(refused, (0, 0))
    for seed in (0, 1):
        make_run(tmp_path / "sweep" / f"lr-0.0001_seed-{seed}", ["optim.lr=1e-4", f"seed={seed}"], [0, 1, 2])
        make_run(tmp_path / "sweep" / f"lr-0.0002_seed-{seed}", ["optim.lr=2e-4", f"seed={seed}"], [0, 1, 1], started=1)
    done = command("train", "-m", "optim.lr=1e-4,2e-4", "seed=0,1", *MADE_UP)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("skipped") == 4
    assert "job 4 of 4: lr-0.0002_seed-1" in done.stderr
    assert [row["arm"] for row in _report(tmp_path / "sweep")] == ["lr: 0.0001", "lr: 0.0002"]
    assert "Left out" not in (tmp_path / "sweep" / "report" / "report.md").read_text()
    assert not refused.exists()


def test_a_sweep_is_not_resumed_by_the_folder_of_a_run(command: Command, tmp_path: Path) -> None:
    make_run(tmp_path / "run", [], [0, 1])
    done = command("train", "-m", "seed=0,1", *MADE_UP, "resume=run")
    assert done.returncode == 1
    assert done.stderr.count("resume: ") >= 2


def test_the_folder_of_a_run_is_not_that_of_a_sweep(command: Command, tmp_path: Path) -> None:
    run = make_run(tmp_path / "sweep", [], [0, 1])
    before = {path.name for path in run.iterdir()}
    done = command("train", "-m", "seed=0,1", *MADE_UP)
    assert done.stderr == "error: output_dir: sweep holds a run; name another folder for those of the sweep\n"
    assert {path.name for path in run.iterdir()} == before


SMALL = [
    *("debug=smoke", "data.limit_train=20", "data.limit_validation=8", "data.limit_test=8"),
    *("trainer.max_steps=2", "trainer.eval_every=2"),
]


def test_a_job_that_fails_does_not_stop_the_others(command: Command, tmp_path: Path) -> None:
    """The folder of the first one holds another run."""
    run = make_run(tmp_path / "sweep" / "depth-none", [], [0, 1, 2])
    before = {path.name for path in run.iterdir()}
    done = command("train", "-m", *SMALL, "freeze.depth=none,all", "output_dir=sweep")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "1 failed" in done.stderr
    assert "  depth-none: output_dir: " in done.stderr
    assert {path.name for path in (tmp_path / "sweep" / "depth-none").iterdir()} == before
    results = json.loads((tmp_path / "sweep" / "depth-all" / "results.json").read_text())
    assert results["train"]["frozen"][0] == "embeddings"
    events = EventAccumulator(str(tmp_path / "sweep" / "depth-all"))
    events.Reload()
    content = events.summary_metadata["_hparams_/experiment"].plugin_data.content
    columns = {info.name for info in HParamsPluginData.FromString(content).experiment.hparam_infos}
    assert columns == {"frozen", "seed", "trainer.max_steps", "data.limit_train", "freeze.depth"}
    (failure,) = (tmp_path / "sweep" / FAILURES).iterdir()
    assert failure.name == "depth-none.txt"
    assert "trainer.max_steps" in failure.read_text()


@pytest.mark.parametrize("name", ["multirun.yaml", "failures/depth-none.txt", "optimization_results.yaml"])
def test_files_of_others_are_not_replaced(command: Command, tmp_path: Path, name: str) -> None:
    """Neither if the folder of a job is there, nor in whatever folder Hydra would write into."""
    file = tmp_path / "sweep" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine: 1\n")
    if name == "multirun.yaml":
        make_run(tmp_path / "sweep" / "depth-none", [], [0, 1, 2])
    for arguments in (["output_dir=sweep"], ["output_dir=new", "hydra.sweep.dir=sweep"]):
        done = command("train", "-m", *SMALL, "freeze.depth=none,all", *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert re.match(r"error: (output_dir|hydra\.sweep\.dir): ", done.stderr)
    assert file.read_text() == "mine: 1\n"


def test_a_failed_sweep_is_repeated_in_its_folder(command: Command, tmp_path: Path) -> None:
    for _ in range(2):
        done = command("train", "-m", *MADE_UP, "seed=0,1", "trainer.epochs=0")
        assert done.returncode == 1
        assert done.stderr.endswith("seed-1: trainer.epochs: must be greater than 0, not 0\n")
    (tmp_path / "sweep" / "multirun.yaml").write_text("")  # Hydra was killed while it wrote
    assert command("train", "-m", *MADE_UP, "seed=0,1", "trainer.epochs=0").returncode == 1


DAMAGED = ["", "{}", '{"validation": null}', "[1]", '{"validation": {"tau": {"value": NaN}}, "wall_time_s": "x"}']


def test_damaged_results_of_some_jobs_do_not_stop_the_others(command: Command, tmp_path: Path) -> None:
    """Nor does the folder of another program in that of the sweep."""
    sweep, damaged = tmp_path / "sweep", len(DAMAGED)
    data = ["data=jsonl", *(f"data.{split}=missing.jsonl" for split in ("train", "validation", "test"))]
    for number, content in enumerate([*DAMAGED, None]):
        run = make_run(sweep / f"seed-{number}", [*data, f"seed={number}"], [0, 1, 2])
        if content is not None:
            (run / "results.json").write_text(content)
    (sweep / "other").mkdir()
    (sweep / "other" / "config.yaml").write_text("a: 1\n")
    (sweep / "other" / "results.json").write_text("{}")
    done = command("train", "-m", *MADE_UP, *data, f"seed=range({damaged + 2})")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for number in range(damaged):
        assert f"seed-{number} failed: sweep/seed-{number}/results.json is damaged: " in done.stderr
    assert f"seed-{damaged}: already finished" in done.stderr
    assert f"job {damaged + 2} of {damaged + 2}: seed-{damaged + 1}\n" in done.stderr, "it is started"
    assert f"sweep: {damaged + 1} finished jobs in sweep, {damaged + 1} failed:" in done.stderr


def test_a_sweep_with_layers_that_do_not_exist_is_not_started(command: Command, tmp_path: Path) -> None:
    done = command("train", "-m", *SMALL, "freeze.depth=none,9", "output_dir=sweep")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: freeze.depth: 9 is not valid; ")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.slow
def test_a_job_that_fails_in_its_own_process_does_not_stop_the_others(command: Command, tmp_path: Path) -> None:
    done = command("train", "-m", *SMALL, "model.dropout=2,0.1", "output_dir=sweep")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "model.dropout" in (tmp_path / "sweep" / FAILURES / "dropout-2.txt").read_text()
    assert (tmp_path / "sweep" / "dropout-0.1" / "results.json").exists()
    assert (tmp_path / "sweep" / "report" / "report.md").exists()


ARGUMENTS = (
    *("sweep=frozen_vs_unfrozen", "debug=smoke", "freeze.depth=none,2", "seed=0,1"),
    *("trainer.max_steps=40", "trainer.eval_every=20", "trainer.save_every=10", "output_dir=sweep"),
)
LINE = [sys.executable, "-m", "sentence_order.train", *ARGUMENTS]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep over two depths and two seeds."""
    place = tmp_path_factory.mktemp("uninterrupted")
    done = subprocess.run(LINE, cwd=place, env=dict(os.environ), capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    (place / "stderr.txt").write_text(done.stderr)
    return place / "sweep"


def _report(sweep: Path) -> list[dict[str, str]]:
    """All of a report's table that does not depend on how fast the machine was."""
    with (sweep / "report" / "report.csv").open() as stream:
        return [{key: row[key] for key in QUALITY} for row in csv.DictReader(stream)]


@pytest.mark.slow
def test_a_sweep_ends_in_a_report(uninterrupted: Path) -> None:
    output = (uninterrupted.parent / "stderr.txt").read_text()
    names = {f"depth-{depth}_seed-{seed}" for depth in ("none", 2) for seed in (0, 1)}
    assert {folder.name for folder in uninterrupted.glob("depth-*")} == names
    assert all(name in output for name in names)
    assert len(output.splitlines()) < 20
    results = re.findall(r" sweep: job \d of 4: \S+: tau \S+ on validation, \S+ on test; 0:\d\d:\d\d\n", output)
    assert len(results) == 4
    assert re.search(r" sweep: job 4 of 4, about \d+ min left: depth-2_seed-1\n", output)
    assert "With **embeddings + 2 layers frozen**" in (uninterrupted / "report" / "report.md").read_text()
    assert "With embeddings + 2 layers frozen, " in output
    assert [row["arm"] for row in _report(uninterrupted)] == ["none", "embeddings + 2 layers"]
    records = [json.loads((uninterrupted / f"depth-2_seed-{seed}" / "results.json").read_text()) for seed in (0, 1)]
    assert all(found["train"]["cached"] for found in records)


@pytest.mark.slow
def test_encoders_are_compared_by_their_size(command: Command, tmp_path: Path) -> None:
    small = ("debug=smoke", "encoder=tiny", "encoder.tiny_width=48,96", "seed=0", "trainer.max_steps=4")
    done = command("train", "sweep=encoders", *small, "output_dir=sweep")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "sweep" / "report" / "report.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    frozen, widths = ("none", "whole encoder"), (48, 96)
    assert {row["arm"] for row in rows} == {f"frozen: {a}, tiny_width: {b}" for a in frozen for b in widths}
    assert len({row["parameters"] for row in rows}) == 2
    assert (tmp_path / "sweep" / "report" / "tau_against_parameters.png").exists()


@pytest.mark.slow
def test_tensorboard_has_one_run_per_job_under_its_name(uninterrupted: Path) -> None:
    folders = {events.parent for events in uninterrupted.rglob("events.out.tfevents.*")}
    assert folders == set(uninterrupted.glob("depth-*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to stop"])
def test_a_stopped_sweep_resumes_to_the_same_report(tmp_path: Path, uninterrupted: Path, number: int) -> None:
    """It is stopped in the middle of its second job; repeated, it skips the first job and resumes the second."""
    first = subprocess.Popen(LINE, cwd=tmp_path, env=dict(os.environ), stderr=subprocess.PIPE, text=True)
    job = tmp_path / "sweep" / "depth-none_seed-1"
    deadline = time.monotonic() + 120
    while not (job / "checkpoints" / "last" / STATE_FILE).exists():
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.send_signal(number)
    _, output = first.communicate(timeout=60)
    if number == signal.SIGTERM:
        assert first.returncode == 128 + number
        assert INTERRUPTED in output
    assert not (job / "results.json").exists()

    again = subprocess.run(LINE, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=250)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("skipped") == 1
    assert "job 2 of 4, resumed: depth-none_seed-1" in again.stderr
    assert _report(tmp_path / "sweep") == _report(uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugin", "arguments", "jobs"),
    [
        (
            "hydra_plugins.hydra_optuna_sweeper",
            ["hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "hydra.sweeper.n_trials=2"],
            2,
        ),
        ("hydra_plugins.hydra_joblib_launcher", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1"], 2),
    ],
)
def test_plugins_of_hydra_run_the_jobs(tmp_path: Path, plugin: str, arguments: list[str], jobs: int) -> None:
    pytest.importorskip(plugin, reason="the extra 'slow' is not installed")
    swept = ["optim.lr=interval(1e-5,1e-3)", "hydra.sweeper.n_jobs=1"] if "optuna" in plugin else []
    line = [
        sys.executable,
        "-m",
        "sentence_order.train",
        "-m",
        "debug=smoke",
        "trainer.max_steps=4",
        *arguments,
        *swept,
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(
        [*line, "output_dir=sweep"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "sweep").glob("*/results.json"))) == jobs
    assert (tmp_path / "sweep" / "report" / "report.md").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to stop"])
def test_jobs_side_by_side_save_and_end_with_the_sweep(tmp_path: Path, number: int) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the extra 'slow' is not installed")
    words = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1,2,3", "debug=smoke"]
    words += ["data.limit_train=100", "trainer.max_steps=100000", "trainer.eval_every=100000", "output_dir=sweep"]
    line = [sys.executable, "-m", "sentence_order.train", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    sweep = subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    metrics = [tmp_path / "sweep" / f"seed-{seed}" / "metrics.jsonl" for seed in (0, 1)]
    deadline = time.monotonic() + 120
    while not all(file.exists() and file.read_text().count("\n") > 1 for file in metrics):
        assert sweep.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)

    sweep.send_signal(number)
    _, output = sweep.communicate(timeout=60)  # no process of the launcher is left, which could still write
    assert sweep.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert (INTERRUPTED in output) == (number == signal.SIGTERM)
    while not all((file.parent / "checkpoints" / "last" / STATE_FILE).exists() for file in metrics):
        assert number == signal.SIGKILL, "after other signals the sweep waits for them"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not (tmp_path / "sweep" / "seed-2").exists()


@pytest.mark.slow
def test_two_equal_sweeps_at_once_both_succeed(tmp_path: Path) -> None:
    """Each job is trained by one of them; the other waits for it."""
    words = ["-m", *SMALL[:-2], "trainer.max_steps=30", "trainer.eval_every=30", "seed=0,1", "output_dir=s"]
    line = [sys.executable, "-m", "sentence_order.train", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    sweeps = [subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) for _ in "12"]
    outputs = [sweep.communicate(timeout=280)[1] for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0, 0], outputs
    assert all("2 finished jobs in s" in output for output in outputs)
    assert not list((tmp_path / "s").rglob("*fail*"))


def test_jobs_are_not_given_batches_of_different_sizes(command: Command, tmp_path: Path) -> None:
    done = command("train", "-m", *MADE_UP, "trainer.batch_tokens=auto", "seed=0,1")
    assert done.returncode == 2
    assert re.search(
        "^error: trainer.batch_tokens: auto may find another number in every job, .*; give one number$",
        done.stderr,
        re.M,
    )
    assert not [*tmp_path.rglob("config.yaml")]


def test_a_search_judges_the_jobs_by_the_metric(command: Command, tmp_path: Path) -> None:
    """And does not begin if its direction is the wrong one."""
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="the extra 'slow' is not installed")
    data = ["data=jsonl", *(f"data.{split}=missing.jsonl" for split in ("train", "validation", "test"))]
    for seed, loss in enumerate((0.7, 0.5, 0.6)):
        run = make_run(tmp_path / "sweep" / f"seed-{seed}", [*data, f"seed={seed}", "trainer.metric=loss"], [0, 1])
        results = json.loads((run / "results.json").read_text())
        (run / "results.json").write_text(json.dumps({**results, "validation": {"loss": loss}}))
    search = ["-m", "hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials=3"]
    words = [*search, "hydra.sweeper.n_jobs=1", *MADE_UP, *data, "trainer.metric=loss", "seed=choice(0,1,2)"]

    done = command("train", *words, "hydra.sweeper.direction=maximize")
    assert done.returncode == 2
    assert done.stderr.endswith("error: trainer.metric=loss needs hydra.sweeper.direction=minimize\n")
    done = command("train", *words)
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load((tmp_path / "sweep" / "optimization_results.yaml").read_text())
    assert (found["best_value"], found["best_params"]["seed"]) == (0.5, 1)
