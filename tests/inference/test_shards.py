"""An output in parts: what may be written where, and what another start may not change."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sentence_order.config.schema import DecoderConfig, DecoderName, OnError, Precision, PredictConfig
from sentence_order.errors import UserError
from sentence_order.inference import shards
from sentence_order.inference.shards import (
    SHARDS_FILE,
    check_description,
    check_shards,
    claim_folder,
    cut_into_shards,
    describe_shards,
    part_path,
)
from sentence_order.model.locations import REQUIRED_FILES


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7])
def test_shards_are_all_items_in_order(count: int) -> None:
    found = [(number, [*shard]) for number, shard in cut_into_shards(iter(range(count)), 3)]
    assert found == [(k, [*range(count)][3 * k : 3 * k + 3]) for k in range(-(-count // 3))]


def test_what_is_not_read_of_a_shard_is_passed_over() -> None:
    found = [[*shard] if number % 2 else next(shard) for number, shard in cut_into_shards(iter(range(8)), 3)]
    assert found == [0, [3, 4, 5], 6]


def test_a_shard_reads_no_item_of_the_next() -> None:
    """Which may be faulty."""

    def items() -> Iterator[int]:
        yield from (0, 1)
        raise ValueError

    shards = cut_into_shards(items(), 2)
    assert [*next(shards)[1]] == [0, 1]


def test_names_of_parts_sort_as_their_numbers() -> None:
    names = [part_path(Path(), number).name for number in (0, 9, 10, 99_999)]
    assert names[0] == "part-00000.jsonl"
    assert names == sorted(names)
    with pytest.raises(UserError, match=r"^shard_documents: gives more than 100,000 parts; give a larger number"):
        part_path(Path(), 100_000)


@pytest.mark.parametrize(
    ("output", "size", "input", "processes", "named"),
    [
        ("new/", None, "a.txt", 1, "output: new/ is a folder; name a file, or add shard_documents=N"),
        ("folder", None, "a.txt", 1, "output: folder is a folder; name a file, or add shard_documents=N"),
        ("out.jsonl", None, "a.txt", 2, "shard_documents: no value, and 2 processes cannot write to one output"),
        (None, None, "a.txt", 2, "shard_documents: no value"),
        (None, 10, "a.txt", 1, "output: no folder"),
        ("-", 10, "a.txt", 1, "output: no folder"),
        ("a.txt", 10, "b.txt", 1, "output: a.txt names a file"),
        ("new.jsonl", 10, "a.txt", 1, "output: new.jsonl names a file"),
        ("a.txt/new/", 10, "b.txt", 1, "output: a.txt/new cannot be written to"),
        ("new/", 10, "-", 2, "input: standard input is read by one process, not 2"),
        ("folder/", 10, "folder", 1, "output: the parts in folder/ would be read as input"),
        (".", 10, ["*.jsonl", "a.txt"], 1, r"output: the parts in \. would be read as input \(\*\.jsonl\)"),
    ],
)
def test_outputs_that_do_not_fit_are_refused_by_their_key(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    output: str | None,
    size: int | None,
    input: Any,
    processes: int,
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.txt").write_text("He came.\nHe left.\n")
    with pytest.raises(UserError, match=f"^{named}"):
        check_shards(PredictConfig("checkpoint", input, output, size), processes)


@pytest.mark.parametrize(
    ("output", "size", "input", "processes"),
    [
        ("out.jsonl", None, "a.txt", 1),
        (None, None, "-", 1),
        ("new/", 10, "folder", 2),
        ("new", 10, "-", 1),
        ("folder", 1, "*.jsonl", 3),
        (".", 10, "*.txt", 1),
    ],
)
def test_outputs_that_fit_are_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: str | None, size: int | None, input: str, processes: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    check_shards(PredictConfig("checkpoint", input, output, size), processes)


@pytest.fixture
def config(tmp_path: Path) -> PredictConfig:
    for name in REQUIRED_FILES:
        (tmp_path / name).write_text("weights")
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(json.dumps(["He came.", f"He left {name}."]))
    (tmp_path / "copy.jsonl").write_text((tmp_path / "a.jsonl").read_text())
    return PredictConfig(str(tmp_path), [str(tmp_path / "a.jsonl")], str(tmp_path / "parts"), 10)


def describe(config: PredictConfig) -> dict[str, Any]:
    precision = "fp32" if config.precision is Precision.auto else config.precision.value
    return describe_shards(config, Path(config.checkpoint), precision)


def start(config: PredictConfig) -> None:
    """Claims the folder of the output, and leaves a part."""
    description, folder = describe(config), Path(str(config.output))
    with claim_folder(folder, description):
        check_description(folder, description)
        part_path(folder, 0).touch()


def test_another_start_may_not_change_what_is_in_the_parts(config: PredictConfig, tmp_path: Path) -> None:
    start(config)
    for key, value, named in (
        ("shard_documents", 11, "shard_documents: .* shard_documents=10, not 11"),
        ("threshold", 0.5, "threshold: .* threshold=0.0, not 0.5"),
        ("decoder", DecoderConfig(DecoderName["beam"]), "decoder.name: .* decoder.name=null, not beam"),
        ("precision", Precision.bf16, "precision: .*=fp32, not bf16"),
        ("input", [str(tmp_path / "b.jsonl")], r"input: other files than \S+/a.jsonl \(1 file\)"),
        ("input", str(tmp_path / "[ab].jsonl"), r"input: other files than \S+/a.jsonl \(1 file\)"),
        ("input", [str(tmp_path / "copy.jsonl")], r"input: \S+/copy.jsonl was \S+/a.jsonl in the command of the parts"),
        ("input", "-", "input: standard input cannot be read again"),
    ):
        before = getattr(config, key)
        setattr(config, key, value)
        with pytest.raises(UserError, match=f"^{named}"):
            start(config)
        setattr(config, key, before)
    start(config)


def test_another_start_may_change_what_matters_to_no_order(config: PredictConfig) -> None:
    start(config)
    config.device, config.batch_tokens, config.on_error, config.precision = "cpu", 100, OnError.skip, Precision.fp32
    start(config)


def test_without_parts_another_start_may_change_everything(config: PredictConfig) -> None:
    """Also if the first one was killed in the middle of writing what its parts would have been of."""
    start(config)
    folder = Path(str(config.output))
    part_path(folder, 0).unlink()
    config.shard_documents, config.threshold = 11, 0.5
    start(config)
    part_path(folder, 0).unlink()
    (folder / SHARDS_FILE).write_text('{"checkp')
    start(config)


@pytest.mark.parametrize("name", ["a.jsonl", "model.safetensors"])
def test_files_that_have_changed_are_refused(config: PredictConfig, tmp_path: Path, name: str) -> None:
    start(config)
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text.swapcase())  # as large as before
    named = r"input: \S+/a.jsonl has changed" if name == "a.jsonl" else "checkpoint: the parts in .* by another one"
    with pytest.raises(UserError, match=f"^{named}"):
        start(config)


def test_a_checkpoint_may_have_moved(config: PredictConfig, tmp_path: Path) -> None:
    start(config)
    (tmp_path / "moved").mkdir()
    for name in REQUIRED_FILES:
        (tmp_path / name).rename(tmp_path / "moved" / name)
    config.checkpoint = str(tmp_path / "moved")
    start(config)


def test_parts_of_unknown_origin_are_not_added_to(config: PredictConfig) -> None:
    folder = Path(str(config.output))
    folder.mkdir()
    part_path(folder, 3).touch()
    with pytest.raises(UserError, match=f"output: .* has part-00003.jsonl and no {SHARDS_FILE}"):
        start(config)
    for text in ("", "[]", "{}", "\x00"):
        (folder / SHARDS_FILE).write_text(text)
        with pytest.raises(UserError, match=f"output: .*{SHARDS_FILE} does not say"):
            start(config)


def test_a_folder_that_is_not_shared_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shards, "HIDDEN_SECONDS", 0.0)
    with pytest.raises(UserError, match=r"output: .* must be one folder for all machines"):
        check_description(tmp_path / "elsewhere", {})


def test_a_folder_that_another_machine_has_made_may_be_seen_late(
    monkeypatch: pytest.MonkeyPatch, config: PredictConfig
) -> None:
    description, folder = describe(config), Path(str(config.output))
    monkeypatch.setattr(shards.time, "sleep", lambda _: start(config))
    check_description(folder, description)


def test_two_commands_do_not_write_into_one_folder(config: PredictConfig) -> None:
    description, folder = describe(config), Path(str(config.output))
    with claim_folder(folder, description):
        refused = pytest.raises(UserError, match="output: another process is writing to")
        with refused, claim_folder(folder, description):
            pytest.fail("it was claimed twice")
    with claim_folder(folder, description):
        pass
