"""What may be changed when a run resumes, and what may not."""

import json
import shlex
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from sentence_order.config.cli import compose
from sentence_order.config.schema import TrainConfig
from sentence_order.errors import UserError
from sentence_order.runtime.files import MODEL_TYPE
from sentence_order.training.run_config import (
    CONFIG_FILE,
    OVERRIDES_FILE,
    find_changes,
    format_changes,
    read_config,
    read_overrides,
    write_config,
)
from sentence_order.training.run_dir import (
    LOCK_FILE,
    LOG_FILE,
    RESULTS_FILE,
    WRITTEN_LATER,
    RunStatus,
    check_run_dir,
    check_unchanged,
    find_run,
    is_run,
    lock_run_dir,
    resolve_resume,
)
from sentence_order.training.state import write_state

TYPED = ["data=text", "data.train=mine.txt", "optim.lr=1e-4", "seed=3"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run that has begun."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_config(folder, compose("train", [*TYPED, f"output_dir={folder}"]), TYPED)
    return folder


def resumed(*typed: str) -> TrainConfig:
    return resolve_resume(compose("train", list(typed)), typed)


def test_folder_alone_resumes_with_its_own_config(run: Path) -> None:
    for folder in (run, run / "checkpoints" / "last"):
        config = resumed(f"resume={folder}")
        assert (config.data.train, config.optim.lr, config.seed) == ("mine.txt", 1e-4, 3)
        assert (config.output_dir, config.resume) == (str(run), "auto")
        assert check_run_dir(config) is RunStatus.INCOMPLETE


def test_run_resumes_where_its_folder_was_moved_to(run: Path) -> None:
    moved = run.rename(run.with_name("moved"))
    assert check_run_dir(resumed(f"resume={moved}")) is RunStatus.INCOMPLETE


def test_some_keys_may_change(run: Path) -> None:
    config = resumed(f"resume={run}", "trainer.log_every=3", "device=cpu", "on_nonfinite=skip")
    assert (config.trainer.log_every, config.optim.lr) == (3, 1e-4)
    assert check_run_dir(config) is RunStatus.INCOMPLETE
    changes = find_changes(read_config(run), config)
    assert format_changes(changes) == (
        "trainer.log_every: 10 saved, 3 given; on_nonfinite: stop saved, skip given; device: auto saved, cpu given"
    )


@pytest.mark.parametrize("typed", ["optim.lr=8e-5", "seed=0", "trainer.epochs=2", "model.dropout=0.1", "optim.ema=0.9"])
def test_other_keys_may_not_change(run: Path, typed: str) -> None:
    """Also where what is typed is the default, which the run did not have."""
    with pytest.raises(UserError, match=rf"output_dir: .*\({typed.split('=')[0]}: .* saved, .* given\)"):
        check_run_dir(resumed(f"resume={run}", typed, "trainer.log_every=3"))


def test_another_training_starts_from_the_weights_by_the_command_that_is_named(run: Path) -> None:
    """Unless its model would be another."""
    (run / RESULTS_FILE).touch()
    check_unchanged(resumed(f"resume={run}", "device=auto"), ["device=auto"])
    config = resumed(f"resume={run}", "trainer.patience=3")
    with pytest.raises(UserError, match=r"^trainer\.patience: .* is finished, which this cannot change") as finished:
        check_unchanged(config, ["trainer.patience=3"])
    with pytest.raises(UserError, match=r"^output_dir: ") as longer:
        check_run_dir(resumed(f"resume={run}", "trainer.epochs=2"))
    for error, key, value in ((finished, "patience", 3), (longer, "epochs", 2)):
        line = str(error.value).split("to train on from its weights: ")[1]
        found = compose("train", shlex.split(line[line.index("-m sentence_order.train") :])[2:])
        assert (found.init_from, found.output_dir, found.optim.lr) == (str(run), "NEW", 1e-4)
        assert getattr(found.trainer, key) == value
    with pytest.raises(UserError, match=r"or name another folder$"):
        check_run_dir(resumed(f"resume={run}", "model.set_layers=2"))


def test_command_that_describes_a_whole_run_must_describe_that_one(run: Path) -> None:
    assert check_run_dir(resumed(f"resume={run}", *TYPED)) is RunStatus.INCOMPLETE
    with pytest.raises(UserError, match=r"output_dir: .*\(seed: 3 saved, 0 given\)"):
        check_run_dir(resumed(f"resume={run}", *TYPED[:-1]))


def test_run_resumes_in_its_own_folder(run: Path, tmp_path: Path) -> None:
    assert resumed(f"resume={run}", f"output_dir={run}").output_dir == str(run)
    with pytest.raises(UserError, match=r"resume: .*output_dir="):
        resumed(f"resume={run}", f"output_dir={tmp_path / 'other'}")


def test_resume_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"resume: {tmp_path}"):
        resumed(f"resume={tmp_path}")


def test_a_second_run_of_the_same_command_says_how_to_go_on(run: Path) -> None:
    """Before and after the first checkpoint, and at its end; another run is named as such."""
    same = compose("train", [*TYPED, f"output_dir={run}"])
    for config, found in ((same, "this run, .* not saved"), (replace(same, seed=4), r"another run \(seed: 3 saved, 4")):
        with pytest.raises(UserError, match=rf"output_dir: {run} holds {found}"):
            check_run_dir(config)
    (run / "checkpoints" / "last").mkdir(parents=True)
    write_state({"trainer": {"step": 41}}, run / "checkpoints" / "last")
    with pytest.raises(UserError, match="holds this run, which was saved at step 41; to resume it, add resume=auto"):
        check_run_dir(same)
    (run / RESULTS_FILE).touch()
    with pytest.raises(UserError, match=f"this run, which is finished .*{RESULTS_FILE}"):
        check_run_dir(same)


def test_status_and_folder_of_a_run(run: Path, tmp_path: Path) -> None:
    config = resumed(f"resume={run}")
    (run / RESULTS_FILE).touch()
    assert check_run_dir(config) is RunStatus.FINISHED
    assert check_run_dir(replace(config, output_dir=str(tmp_path / "other"))) is RunStatus.NEW
    assert find_run(run) == find_run(run / "checkpoints" / "best") == run
    assert find_run(tmp_path) is None


def test_config_and_typed_overrides_are_kept(run: Path) -> None:
    assert read_overrides(run) == TYPED
    config = resumed(f"resume={run}", "trainer.log_every=3")
    write_config(run, config, [f"resume={run}", "trainer.log_every=3"])
    write_config(run, config, ["resume=auto", "trainer.log_every=4", f"output_dir={run}"])
    assert read_overrides(run) == [*TYPED, "trainer.log_every=4"]
    assert read_config(run) == config


@pytest.mark.parametrize(
    "content", ["seed: ${oc.env:HOME}", "seed: &a 3\nmax_nonfinite: *a", "seed: many", "no_key: 3", "["]
)
def test_a_config_that_was_tampered_with_is_refused(run: Path, content: str) -> None:
    (run / CONFIG_FILE).write_text(content)
    with pytest.raises(UserError, match=CONFIG_FILE):
        read_config(run)


def test_runs_of_earlier_versions_can_be_read(run: Path) -> None:
    """Their configs have keys that are gone since."""
    config = read_config(run)
    text = (run / CONFIG_FILE).read_text()
    (run / CONFIG_FILE).write_text(text + "batch: null\n")
    assert read_config(run) == config
    for group, key in (("debug", "replay: false"), ("trainer", "workers: 2")):
        (run / CONFIG_FILE).write_text(text.replace(f"{group}:\n", f"{group}:\n  {key}\n"))
        assert key in (run / CONFIG_FILE).read_text()
        assert read_config(run) == config
    (run / OVERRIDES_FILE).write_text("[seed=3, trainer.workers=4]")
    assert read_overrides(run) == ["seed=3"]


def test_two_runs_do_not_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentence_order.training.run_dir.LOCK_SECONDS", 0.1)
    with lock_run_dir(tmp_path), pytest.raises(UserError, match="output_dir: another"), lock_run_dir(tmp_path):
        pass
    with lock_run_dir(tmp_path):  # it was released
        pass


def test_a_run_that_is_training_is_not_said_to_be_resumable(run: Path) -> None:
    config = compose("train", [*TYPED, f"output_dir={run}"])
    with lock_run_dir(run), pytest.raises(UserError, match="holds this run, which another process is training"):
        check_run_dir(config)
    with lock_run_dir(run), pytest.raises(UserError, match="add resume=auto"):  # its own lock is no other process
        check_run_dir(config, holds_lock=True)
    with pytest.raises(UserError, match="add resume=auto"):
        check_run_dir(config)


@pytest.mark.parametrize(
    "name", [*WRITTEN_LATER[:3], "events.out.tfevents.1.host", LOG_FILE, *WRITTEN_LATER[5:7], "checkpoints/step_3"]
)
def test_folder_with_files_of_another_program_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / LOCK_FILE).touch()
    (tmp_path / "notes.txt").touch()
    for resume in ("off", "auto"):
        config = compose("train", ["data=synthetic", f"output_dir={tmp_path}", f"resume={resume}"])
        assert check_run_dir(config) is RunStatus.NEW
    (tmp_path / name).parent.mkdir(exist_ok=True)
    for make in (Path.mkdir, partial(Path.symlink_to, target="nothing")):
        make(tmp_path / name)
        for resume in ("off", "auto"):
            with pytest.raises(UserError, match=rf"output_dir: {tmp_path / name} is there"):
                check_run_dir(replace(config, resume=resume))
        if make is Path.mkdir:
            (tmp_path / name).rmdir()


def test_changes_are_shown_as_they_are_typed(run: Path) -> None:
    with pytest.raises(UserError, match=r"trainer\.max_steps: null saved, 9 given"):
        check_run_dir(resumed(f"resume={run}", "trainer.max_steps=9"))


def test_a_folder_of_other_runs_is_refused(run: Path) -> None:
    """Such as that of a sweep."""
    with pytest.raises(UserError, match=rf"output_dir: {run.parent} holds other runs \({run.name}, for one\)"):
        check_run_dir(compose("train", ["data=synthetic", f"output_dir={run.parent}"]))


@pytest.mark.parametrize("content", ["", "seed: 0\n", "trainer:\n  epochs: 3\n", "- 1\n"])
def test_config_of_another_program_is_no_run(tmp_path: Path, content: str) -> None:
    (tmp_path / CONFIG_FILE).write_text(content)
    assert not is_run(tmp_path)
    for resume in ("off", "auto"):
        config = compose("train", ["data=synthetic", f"output_dir={tmp_path}", f"resume={resume}"])
        with pytest.raises(UserError, match=f"{CONFIG_FILE}: not the config of a run"):
            check_run_dir(config)


def test_checkpoint_folder_of_another_program_in_a_run_is_refused(run: Path) -> None:
    """If the run may have to replace it."""
    for name, settings in (("step_3", ["trainer.keep=1"]), ("last", [])):
        folder = run / "checkpoints" / name
        folder.mkdir(parents=True)
        assert check_run_dir(resumed(f"resume={run}", *settings)) is RunStatus.INCOMPLETE
        (folder / "thesis_weights.bin").touch()
        with pytest.raises(UserError, match=f"{name} is not a checkpoint of this program"):
            check_run_dir(resumed(f"resume={run}", *settings))
        assert name == "last" or check_run_dir(resumed(f"resume={run}")) is RunStatus.INCOMPLETE


def test_linked_checkpoint_is_refused_before_the_work(run: Path, tmp_path: Path) -> None:
    """It could not be replaced; the folder of both may be a link."""
    (tmp_path / "disk" / "last").mkdir(parents=True)
    (run / "checkpoints").mkdir()
    for target in (tmp_path / "disk" / "last", tmp_path / "nothing"):
        (run / "checkpoints" / "last").symlink_to(target)
        with pytest.raises(UserError, match=r"output_dir: .*last is a link"):
            check_run_dir(resumed(f"resume={run}"))
        (run / "checkpoints" / "last").unlink()
    (run / "checkpoints").rmdir()
    (run / "checkpoints").symlink_to(tmp_path / "disk")
    assert check_run_dir(resumed(f"resume={run}")) is RunStatus.INCOMPLETE


def test_file_in_place_of_the_checkpoints_is_refused_before_the_work(run: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    new = compose("train", ["data=synthetic", f"output_dir={tmp_path / 'new'}"])
    for folder, config in ((tmp_path / "new", new), (run, resumed(f"resume={run}"))):
        (folder / "checkpoints").write_text("mine")
        with pytest.raises(UserError, match=r"output_dir: .*checkpoints is a file"):
            check_run_dir(config)
        (folder / "checkpoints").unlink()
        (folder / "checkpoints").symlink_to("nothing")
        with pytest.raises(UserError, match=r"output_dir: .*checkpoints is a link to nothing"):
            check_run_dir(config)


@pytest.mark.parametrize("inner", ["best", "best/new", "last", "other"])
def test_no_run_starts_within_the_checkpoints_of_another(run: Path, inner: str) -> None:
    (run / "checkpoints" / "best").mkdir(parents=True)
    (run / "checkpoints" / "best" / "config.json").write_text(json.dumps({"model_type": MODEL_TYPE}))
    for resume in ("off", "auto"):
        place = run / "checkpoints" / inner
        with pytest.raises(UserError, match=r"output_dir: .* is part of the (run|checkpoint)"):
            check_run_dir(compose("train", ["data=synthetic", f"output_dir={place}", f"resume={resume}"]))
    assert check_run_dir(compose("train", ["data=synthetic", f"output_dir={run / 'inner'}"])) is RunStatus.NEW


def test_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(UserError, match=f"output_dir: {tmp_path / 'link'} is a link to {tmp_path / 'nothing'}"):
        check_run_dir(compose("train", ["data=synthetic", f"output_dir={tmp_path / 'link'}"]))


def test_job_waits_for_the_process_that_trains_in_its_folder(tmp_path: Path) -> None:
    order: list[str] = []

    def wait() -> None:
        with lock_run_dir(tmp_path, wait=True):
            order.append("second")

    thread = threading.Thread(target=wait)
    with lock_run_dir(tmp_path):
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
