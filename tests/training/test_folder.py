"""What may be changed when a run goes on, and what may not."""

from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from sentence_order.cli import compose
from sentence_order.config import TrainConfig
from sentence_order.errors import UserError
from sentence_order.training.folder import CONFIG_FILE, Stage, claim, taken_up, tell_changes

BEGUN_WITH = ["data=text", "data.train=mine.txt", "optim.lr=1e-4", "seed=3"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run that has begun."""
    folder = tmp_path / "run"
    folder.mkdir()
    config = compose("train", [*BEGUN_WITH, f"output_dir={folder}"])
    (folder / CONFIG_FILE).write_text(OmegaConf.to_yaml(OmegaConf.structured(config)))
    return folder


def resumed(*typed: str) -> TrainConfig:
    return taken_up(compose("train", list(typed)), typed)


def test_a_folder_alone_goes_on_with_the_runs_own_config(run: Path) -> None:
    for folder in (run, run / "checkpoints" / "last"):
        config = resumed(f"resume={folder}")
        assert (config.data.train, config.optim.lr, config.seed) == ("mine.txt", 1e-4, 3)
        assert (config.output_dir, config.resume) == (str(run), "auto")
        assert claim(config) is Stage.begun


def test_a_run_goes_on_where_its_folder_was_moved_to(run: Path) -> None:
    moved = run.rename(run.with_name("moved"))
    assert claim(resumed(f"resume={moved}")) is Stage.begun


def test_some_keys_may_change(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    config = resumed(f"resume={run}", "trainer.log_every=3", "device=cpu", "on_nonfinite=skip")
    assert (config.trainer.log_every, config.optim.lr) == (3, 1e-4)
    assert claim(config) is Stage.begun
    tell_changes(config)
    (told,) = [record.getMessage() for record in caplog.records]
    assert told == (
        "run: goes on with other settings: trainer.log_every: 10 there, 3 here; on_nonfinite: stop there, skip here; "
        "device: auto there, cpu here"
    )


@pytest.mark.parametrize("typed", ["optim.lr=8e-5", "seed=0", "trainer.epochs=2", "model.dropout=0.1", "optim.ema=0.9"])
def test_what_would_be_wrong_is_refused(run: Path, typed: str) -> None:
    """Also where what is typed is the default, which the run did not have."""
    with pytest.raises(
        UserError, match=rf"another config \({typed.split('=')[0]}: .* there, .* here\); leave that as it"
    ):
        claim(resumed(f"resume={run}", typed, "trainer.log_every=3"))


def test_a_command_that_describes_the_whole_run_must_describe_that_one(run: Path) -> None:
    assert claim(resumed(f"resume={run}", *BEGUN_WITH)) is Stage.begun
    with pytest.raises(UserError, match=r"another config \(seed: 3 there, 0 here\)"):
        claim(resumed(f"resume={run}", *BEGUN_WITH[:-1]))


def test_it_goes_on_in_its_own_folder(run: Path, tmp_path: Path) -> None:
    assert resumed(f"resume={run}", f"output_dir={run}").output_dir == str(run)
    with pytest.raises(UserError, match=r"resume: it goes on in .*run itself; leave out output_dir="):
        resumed(f"resume={run}", f"output_dir={tmp_path / 'other'}")


def test_off_never_writes_over_a_run(run: Path) -> None:
    config = replace(resumed(f"resume={run}"), resume="off")
    with pytest.raises(UserError, match="holds another run; name another folder, remove this one, or go on with it"):
        claim(config)
