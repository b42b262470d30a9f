"""Parts of an output are written once, by however many processes, and a killed command is completed by the next."""

import io
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sentence_order.config.schema import OnError, PredictConfig
from sentence_order.errors import Interrupted, UserError
from sentence_order.inference import predict_file as module
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.inference.ordering import Prediction, order_documents
from sentence_order.inference.predict_file import predict_file
from sentence_order.inference.shards import SHARDS_FILE, STOP_FILE
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.signals import Signals
from tests.conftest import Torchrun
from tests.forks import Server

SIZE, PARTS = 10, 6  # sixty stories
PREDICT = ("checkpoint=checkpoint", "input=input.jsonl", "device=cpu")
IN_PARTS = (*PREDICT, "output=parts/", f"shard_documents={SIZE}")
FAULTS = {"broken": '{"id": "bad", ', "too long": json.dumps({"id": "bad", "sentences": ["x."] * 4097})}


@pytest.fixture
def config(tiny_model: SentenceOrdererModel, stories: list[list[str]], tmp_path: Path) -> PredictConfig:
    """Sixty documents, some of one sentence, and a random model, in the folder that commands run in."""
    SentenceOrderer(tiny_model).save_pretrained(tmp_path / "checkpoint")
    lines = [json.dumps({"id": str(n), "sentences": s[:1] if n % 7 == 1 else s[::-1]}) for n, s in enumerate(stories)]
    (tmp_path / "input.jsonl").write_text("\n".join(lines) + "\n")
    paths = [str(tmp_path / name) for name in ("checkpoint", "input.jsonl", "parts")]
    return PredictConfig(*paths, SIZE, device="cpu")


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of documents of each chunk that is ordered."""
    counts: list[int] = []

    def record(model: SentenceOrdererModel, documents: list[list[str]], **options: Any) -> list[Prediction]:
        counts.append(len(documents))
        return order_documents(model, documents, **options)

    monkeypatch.setattr(module, "order_documents", record)
    return counts


def read_parts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != SHARDS_FILE}


def ids(folder: Path) -> list[str]:
    return [json.loads(line)["id"] for text in read_parts(folder).values() for line in text.splitlines()]


def insert(config: PredictConfig, number: int, line: str) -> None:
    """Makes a line the one of that number, from 0, in the input."""
    file = Path(config.input)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:number], line, *lines[number:]]) + "\n")


@pytest.mark.usefixtures("console_log")
def test_parts_hold_what_one_file_holds(config: PredictConfig, tmp_path: Path) -> None:
    predict_file(config)
    parts = read_parts(tmp_path / "parts")
    assert list(parts) == [f"part-0000{k}.jsonl" for k in range(PARTS)]
    assert [text.count(b"\n") for text in parts.values()] == [SIZE] * PARTS

    config.output, config.shard_documents = str(tmp_path / "all.jsonl"), None
    predict_file(config)
    found = [json.loads(line) for text in parts.values() for line in text.splitlines()]
    for record, line in zip(found, (tmp_path / "all.jsonl").read_text().splitlines(), strict=True):
        expected = json.loads(line)  # of batches of other documents, which its rounding depends on
        assert record.pop("confidence") == pytest.approx(expected.pop("confidence"), abs=1e-4)
        assert record == expected


@pytest.mark.usefixtures("console_log")
def test_parts_that_are_there_are_not_written_again(
    config: PredictConfig, tmp_path: Path, ordered: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    predict_file(config)
    assert "ordered 51 documents; copied 9 with fewer than two sentences; wrote 6 parts to" in capsys.readouterr().err
    parts, folder = read_parts(tmp_path / "parts"), tmp_path / "parts"
    for number in (1, 5):
        (folder / f"part-0000{number}.jsonl").unlink()
    written = {path.name: path.stat().st_ino for path in folder.iterdir()}
    ordered.clear()
    predict_file(config)
    assert ordered == [SIZE, SIZE]
    assert read_parts(folder) == parts
    assert {path.name: path.stat().st_ino for path in folder.iterdir()}.items() >= written.items()
    assert re.search(r"wrote 2 parts to \S+, where 4 had been written before", capsys.readouterr().err)


@pytest.mark.usefixtures("console_log")
def test_the_last_part_may_be_short(config: PredictConfig, tmp_path: Path, ordered: list[int]) -> None:
    config.shard_documents = 59
    predict_file(config)
    assert ordered == [59, 1]
    assert ids(tmp_path / "parts") == [str(n) for n in range(60)]


@pytest.mark.usefixtures("console_log")
def test_chunks_end_where_parts_do(
    config: PredictConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ordered: list[int]
) -> None:
    """So that a part's bytes do not depend on which others were there."""
    monkeypatch.setattr(module, "CHUNK_DOCUMENTS", 4)
    predict_file(config)
    assert ordered == [4, 4, 2] * PARTS


@pytest.mark.usefixtures("console_log")
@pytest.mark.parametrize("name", FAULTS)
def test_parts_before_a_fault_are_kept(config: PredictConfig, tmp_path: Path, name: str) -> None:
    """Of the part with the fault nothing is, until it is left out; what is left out of one part is in no other."""
    insert(config, 2 * SIZE + 3, FAULTS[name])
    with pytest.raises(UserError, match=r"input\.jsonl:24: ") as caught:
        predict_file(config)
    assert not (tmp_path / "parts" / STOP_FILE).exists()
    assert caught.value.__notes__ == [
        "on_error=skip leaves such documents out",
        f"complete parts are in {tmp_path / 'parts'}; with on_error=skip the same command writes the others",
    ]
    first = read_parts(tmp_path / "parts")
    assert list(first) == ["part-00000.jsonl", "part-00001.jsonl"]
    config.on_error = OnError.skip
    predict_file(config)
    assert read_parts(tmp_path / "parts").items() >= first.items()
    assert ids(tmp_path / "parts") == [str(n) for n in range(60)]


@pytest.mark.usefixtures("console_log")
def test_a_process_stops_after_its_part_where_another_has_met_a_fault(
    config: PredictConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And writes the others when it is started again."""

    def fail_elsewhere(model: SentenceOrdererModel, documents: list[list[str]], **options: Any) -> list[Prediction]:
        (tmp_path / "parts" / STOP_FILE).touch()
        return order_documents(model, documents, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, "order_documents", fail_elsewhere)
        predict_file(config)
    assert list(read_parts(tmp_path / "parts")) == ["part-00000.jsonl"]
    (tmp_path / "parts" / STOP_FILE).touch()  # of a command that was killed
    predict_file(config)
    assert len(read_parts(tmp_path / "parts")) == PARTS


@pytest.mark.usefixtures("console_log")
def test_a_fault_behind_a_complete_part_does_not_touch_it(config: PredictConfig, tmp_path: Path) -> None:
    insert(config, 2 * SIZE, FAULTS["broken"])
    with pytest.raises(UserError, match=r"input\.jsonl:21: "):
        predict_file(config)
    assert list(read_parts(tmp_path / "parts")) == ["part-00000.jsonl", "part-00001.jsonl"]


@pytest.mark.usefixtures("console_log")
def test_documents_without_an_order_are_a_complaint(config: PredictConfig, tmp_path: Path) -> None:
    Path(config.input).write_text('["One."]\n["Two."]\n')
    with pytest.raises(UserError, match=r"none of the 2 documents has two sentences"):
        predict_file(config)


@pytest.mark.usefixtures("console_log")
def test_what_a_signal_interrupts_is_completed_by_the_same_command(
    config: PredictConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def terminate(model: SentenceOrdererModel, documents: list[list[str]], **options: Any) -> list[Prediction]:
        if (tmp_path / "parts" / "part-00001.jsonl").exists():
            os.kill(os.getpid(), signal.SIGTERM)
        return order_documents(model, documents, **options)

    monkeypatch.setattr(module, "order_documents", terminate)
    with pytest.raises(Interrupted) as caught, Signals().caught():
        predict_file(config)
    note = f"complete parts are in {tmp_path / 'parts'}; the same command writes the others"
    assert caught.value.__notes__ == [note]
    assert list(read_parts(tmp_path / "parts")) == ["part-00000.jsonl", "part-00001.jsonl"]


@pytest.mark.usefixtures("console_log")
def test_standard_input_is_cut_into_parts_in_one_go(
    config: PredictConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text, config.input = Path(config.input).read_bytes(), "-"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(text))))  # type: ignore[arg-type]
    predict_file(config)
    assert ids(tmp_path / "parts") == [str(n) for n in range(60)]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(text))))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="input: standard input cannot be read again"):
        predict_file(config)


@pytest.mark.parametrize("point", ["ordering", "line"])
def test_a_killed_command_is_completed_by_the_next(
    config: PredictConfig, forks: Server, tmp_path: Path, point: str
) -> None:
    def run(fault: str, output: str) -> str:
        words = [fault, "predict", *PREDICT, f"shard_documents={SIZE}", f"output={output}/"]
        done = forks.run("tests.faults", words, tmp_path, None, {})
        assert done.returncode == (-signal.SIGKILL if fault.startswith("kill") else 0), done.stderr
        return done.stderr

    run("none", "whole")
    passed = {"ordering": PARTS, "line": 60}[point]
    run(f"kill:{point}:{passed // 2 + 1}", "parts")
    left = {path.name: path.stat().st_ino for path in (tmp_path / "parts").glob("part-*")}
    assert sorted(left) == [f"part-0000{k}.jsonl" for k in range(PARTS // 2)]
    assert "wrote 3 parts to parts/, where 3 had been written before" in run("none", "parts")
    assert read_parts(tmp_path / "parts") == read_parts(tmp_path / "whole")
    assert {path.name: path.stat().st_ino for path in (tmp_path / "parts").iterdir()}.items() >= left.items()


def test_two_processes_write_what_one_writes(
    config: PredictConfig, torchrun: Torchrun, command: Callable[..., Any], tmp_path: Path
) -> None:
    done = command("predict", *PREDICT, f"shard_documents={SIZE}", "output=single/")
    assert done.returncode == 0, done.stderr
    process = torchrun(*IN_PARTS, module="sentence_order.predict")
    _, err = process.communicate(timeout=250)
    assert process.returncode == 0, err
    assert read_parts(tmp_path / "parts") == read_parts(tmp_path / "single")
    assert err.count("ordered 51 documents; copied 9 with fewer than two sentences; wrote 6 parts to parts/") == 1
    assert err.count("device cpu") == 1  # one of them reports for both


@pytest.mark.slow
def test_where_one_of_two_processes_is_killed_any_number_completes(
    config: PredictConfig, torchrun: Torchrun, command: Callable[..., Any], tmp_path: Path
) -> None:
    """The second one dies in the middle of its second part."""
    (tmp_path / "killed.py").write_text(
        "import os, sys\n"
        "from tests.faults import main\n"
        "sys.argv[1:1] = ['kill:ordering:2' if os.environ['RANK'] == '1' else 'none', 'predict']\n"
        "main()\n"
    )
    process = torchrun(*IN_PARTS, module="killed")
    _, err = process.communicate(timeout=250)
    assert process.returncode != 0
    assert re.search(
        r"^(stopped by SIGTERM|error: another process of this run .*); complete parts are in parts; ", err, re.M
    ), err
    left = {path.name: path.stat().st_ino for path in (tmp_path / "parts").glob("part-*")}
    assert "part-00001.jsonl" in left
    assert "part-00003.jsonl" not in left

    done = command("predict", *IN_PARTS)
    assert f"wrote {PARTS - len(left)} parts to parts/, where {len(left)} had been written before" in done.stderr
    assert {path.name: path.stat().st_ino for path in (tmp_path / "parts").iterdir()}.items() >= left.items()
    command("predict", *PREDICT, f"shard_documents={SIZE}", "output=single/")
    assert read_parts(tmp_path / "parts") == read_parts(tmp_path / "single")


@pytest.mark.slow
def test_a_complaint_of_all_processes_is_printed_once(config: PredictConfig, torchrun: Torchrun) -> None:
    insert(config, 4 * SIZE, FAULTS["broken"])
    for words, named in (
        ((*PREDICT, "output=out.jsonl"), "shard_documents: no value, and 2 processes cannot write to one output"),
        ((*IN_PARTS, "input=missing.jsonl"), "input: missing.jsonl: no such file"),
        (IN_PARTS, r"input.jsonl:41: not JSON: .*; complete parts are in parts; with on_error=skip the same"),
        (("checkpoint=checkpoint", "input=input.jsonl", "inputt=1"), "unknown key 'inputt'"),
    ):
        process = torchrun(*words, module="sentence_order.predict")
        _, err = process.communicate(timeout=250)
        assert process.returncode != 0
        assert re.findall("^error: ", err, re.M) == ["error: "], err
        assert re.search(f"^error: {named}", err, re.M), err
    assert len(read_parts(Path(str(config.output)))) == 4


@pytest.mark.slow
def test_a_process_names_its_own_documents_that_it_leaves_out(
    config: PredictConfig, torchrun: Torchrun, tmp_path: Path
) -> None:
    """Faults of reading, which both meet, are named once."""
    insert(config, 3 * SIZE, FAULTS["broken"])
    insert(config, 1 * SIZE, FAULTS["too long"])
    insert(config, 0, FAULTS["too long"])
    process = torchrun(*IN_PARTS, "on_error=skip", module="sentence_order.predict")
    _, err = process.communicate(timeout=250)
    assert process.returncode == 0, err
    assert sorted(re.findall(r"left out: input\.jsonl:(\d+): ", err)) == ["1", "12", "33"]
    assert "left out 3 faulty documents" in err
    assert ids(tmp_path / "parts") == [str(n) for n in range(60)]
