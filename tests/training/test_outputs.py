"""Outputs never replace what a command reads, or what a run has written."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sentence_order.config.schema import DataConfig
from sentence_order.errors import UserError
from sentence_order.runtime.files import MODEL_TYPE
from sentence_order.training.outputs import check_overwrites, data_files
from tests.experiments.runs import make_run


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file of documents under several names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.jsonl").write_text("mine")
    (tmp_path / "hard.jsonl").hardlink_to("data.jsonl")
    (tmp_path / "link.jsonl").symlink_to("data.jsonl")
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "sub").mkdir()
    return tmp_path


SPELLINGS = ["data.jsonl", "./data.jsonl", "folder/data.jsonl", "sub/../data.jsonl", "hard.jsonl", "link.jsonl"]


@pytest.mark.parametrize("given", ["data.jsonl", "*.jsonl", "**/data.jsonl", "link.jsonl", "folder/data.jsonl"])
@pytest.mark.parametrize("output", SPELLINGS)
def test_output_that_is_an_input_is_refused(place: Path, given: str, output: str) -> None:
    for path in (output, str(place / output)):
        with pytest.raises(UserError, match=r"output: .* is read by this command"):
            check_overwrites("output", path, ["owner/model", given])
    check_overwrites("output", "new.json", ["owner/model", given])


def test_output_that_is_standard_input_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = os.dup(0)
    with Path("data.jsonl").open() as stream:
        os.dup2(stream.fileno(), 0)
    try:
        with pytest.raises(UserError, match="is read"):
            check_overwrites("output", "data.jsonl", ["-"])
    finally:
        os.dup2(saved, 0)


def test_two_outputs_that_are_one_file_are_refused_before_it_exists(place: Path) -> None:
    with pytest.raises(UserError, match="is read"):
        check_overwrites("--json", "new/../report.md", [place / "folder" / "report.md"])


@pytest.mark.parametrize("name", ["results.json", "config.yaml", "metrics.jsonl", "checkpoints/best/a", ".lock"])
def test_files_of_a_run_are_refused_and_others_beside_them_are_not(place: Path, name: str) -> None:
    """Also where the run is not one that the command reads; names like these are free where there is no run."""
    make_run(place / "run", [], [0, 1])
    (place / "run" / "checkpoints" / "best").mkdir(parents=True)
    with pytest.raises(UserError, match=r"output: .* is part of the run"):
        check_overwrites("output", f"folder/run/{name}")
    check_overwrites("output", "run/evaluated.json")
    check_overwrites("output", name)
    (place / "config.yaml").write_text("of: another program")
    check_overwrites("output", "results.json")


@pytest.mark.parametrize("change", [lambda text: text + "newer_key: 1\n", lambda text: text + "["])
def test_files_of_a_run_of_another_version_are_refused(place: Path, change: Callable[[str], str]) -> None:
    make_run(place / "run", [], [0, 1])
    config = place / "run" / "config.yaml"
    config.write_text(change(config.read_text()))
    for name in ("metrics.jsonl", "config.yaml", "results.json"):
        with pytest.raises(UserError, match=r"output: .* is part of the run"):
            check_overwrites("output", f"run/{name}")
    check_overwrites("output", "run/evaluated.json")


@pytest.mark.parametrize("content", [None, "", "seed: ["])
def test_files_of_a_run_that_has_only_its_checkpoints_are_refused(place: Path, content: str | None) -> None:
    (place / "run" / "checkpoints" / "last").mkdir(parents=True)
    if content is not None:
        (place / "run" / "config.yaml").write_text(content)
    check_overwrites("output", "run/metrics.jsonl")
    (place / "run" / "checkpoints" / "last" / "config.json").write_text(json.dumps({"model_type": MODEL_TYPE}))
    with pytest.raises(UserError, match=r"output: .* is part of the run"):
        check_overwrites("output", "run/metrics.jsonl")


def test_files_of_a_checkpoint_are_refused(place: Path) -> None:
    (place / "checkpoint").mkdir()
    (place / "checkpoint" / "config.json").write_text(json.dumps({"model_type": MODEL_TYPE}))
    with pytest.raises(UserError, match=r"output: .* is part of the checkpoint"):
        check_overwrites("output", "checkpoint/new.json")
    with pytest.raises(UserError, match=r"output: .* is part of the checkpoint"):
        check_overwrites("output", "checkpoint/new/file.json")
    (place / "odd" / "config.json").mkdir(parents=True)
    check_overwrites("output", "odd/new.json")
    (place / "downloads").mkdir()
    (place / "downloads" / "SHA256SUMS").write_text("abc  image.iso\n")
    check_overwrites("output", "downloads/new.json")


def test_files_of_a_folder_in_place_of_a_hub_id_are_inputs(place: Path) -> None:
    (place / "sub" / "test.jsonl").write_text("mine")
    with pytest.raises(UserError, match=r"output: .* is read by this command"):
        check_overwrites("output", "folder/sub/test.jsonl", data_files(DataConfig(hub_id="sub", test="test")))
    check_overwrites("output", "new.jsonl", data_files(DataConfig(hub_id="owner/name", test="test")))


def test_files_of_folders_and_lists_are_not_replaced(place: Path) -> None:
    config = DataConfig(train=["no.jsonl", str(place)], folder="sub")
    (place / "sub" / "listed").write_text("mine")
    for output in ("data.jsonl", "sub/listed"):
        with pytest.raises(UserError, match=r"output: .* is read by this command"):
            check_overwrites("output", output, data_files(config))
    check_overwrites("output", "sub/new", data_files(config))
