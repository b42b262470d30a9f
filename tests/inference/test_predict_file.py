"""Files are ordered in chunks, of documents and of sentences; what was done is kept if something fails later."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentence_order.config.cli import compose
from sentence_order.config.schema import OnError, PositionIds, PredictConfig
from sentence_order.data.layout import Layout
from sentence_order.data.readers import read_documents
from sentence_order.errors import Interrupted, UserError
from sentence_order.inference import predict_file as module
from sentence_order.inference.files import check_input, check_partial, input_format, open_output
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.inference.ordering import Prediction, order_documents
from sentence_order.inference.predict_file import predict_file
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.predict import predict
from sentence_order.runtime.signals import Signals

GOOD = [json.dumps({"id": str(n), "sentences": ["He ate it.", "Tom baked a cake."]}) for n in range(3)]
FAULTS = {
    "broken": ('{"id": "bad", ', "input.jsonl:3: not JSON"),
    "wrong": ('{"id": "bad\\u001b[2J", "sentences": [1]}', r"input.jsonl:3: document 'bad\x1b[2J': field 'sentences'"),
    "sentences": (json.dumps({"id": "bad", "sentences": ["x."] * 4097}), "input.jsonl:3: document 'bad': 4,097 sent"),
    "tokens": (json.dumps({"id": "bad", "sentences": ["x x."] * 200}), "input.jsonl:3: document 'bad': "),
}


@pytest.mark.usefixtures("console_log")
def test_chunks_are_bounded_by_documents_and_by_sentences(
    tiny_model: SentenceOrdererModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And change nothing about the predictions."""
    chunks: list[list[int]] = []

    def record(model: SentenceOrdererModel, documents: list[list[str]], **options: Any) -> list[Prediction]:
        chunks.append([len(document) for document in documents])
        return order_documents(model, documents, **options)

    SentenceOrderer(tiny_model).save_pretrained(tmp_path / "checkpoint")
    monkeypatch.setattr(module, "order_documents", record)
    sizes = [2, 2, 2, 2, 9, 20, 2, 1, 1, 1]
    lines = [json.dumps({"id": str(n), "sentences": [f"{n} {k}." for k in range(s)]}) for n, s in enumerate(sizes)]
    (tmp_path / "input.jsonl").write_text("\n".join(lines))

    def predictions() -> list[dict[str, Any]]:
        chunks.clear()
        output = tmp_path / "output.jsonl"
        config = PredictConfig(str(tmp_path / "checkpoint"), str(tmp_path / "input.jsonl"), str(output), device="cpu")
        predict_file(config)
        return [json.loads(line) for line in output.read_text().splitlines()]

    expected = predictions()
    assert chunks == [sizes]
    assert [record["id"] for record in expected] == [str(n) for n in range(len(sizes))]
    monkeypatch.setattr(module, "CHUNK_DOCUMENTS", 3)
    monkeypatch.setattr(module, "CHUNK_SENTENCES", 10)
    found = predictions()
    assert chunks == [[2, 2, 2], [2, 9], [20], [2, 1, 1], [1]]
    for record, other in zip(found, expected, strict=True):
        assert record["confidence"] == pytest.approx(other.pop("confidence"), abs=1e-4)
        assert record == {**other, "confidence": record["confidence"]}


@pytest.fixture(params=FAULTS)
def faulty(request: pytest.FixtureRequest, make_model, tmp_path: Path) -> tuple[PredictConfig, str]:
    """A prediction whose third document is faulty, and how that is named."""
    line, named = FAULTS[request.param]
    positions = PositionIds.per_document if request.param == "tokens" else PositionIds.per_sentence
    SentenceOrderer(make_model(position_ids=positions)).save_pretrained(tmp_path / "checkpoint")
    (tmp_path / "input.jsonl").write_text("\n".join([*GOOD[:2], line, GOOD[2]]))
    paths = [str(tmp_path / name) for name in ("checkpoint", "input.jsonl", "output.jsonl")]
    return PredictConfig(*paths, device="cpu"), named


def ids(file: Path) -> list[str]:
    return [json.loads(line)["id"] for line in file.read_text().splitlines()]


@pytest.mark.usefixtures("console_log")
def test_what_was_done_before_a_fault_is_kept(faulty: tuple[PredictConfig, str], tmp_path: Path) -> None:
    config, named = faulty
    with pytest.raises(UserError) as caught:
        predict_file(config)
    assert named in str(caught.value)
    partial = tmp_path / "output.jsonl.partial"
    assert caught.value.__notes__ == [
        "on_error=skip leaves such documents out",
        f"what was done before is in {partial}",
    ]
    assert ids(partial) == ["0", "1"]
    assert not (tmp_path / "output.jsonl").exists()


@pytest.mark.usefixtures("console_log")
def test_faulty_documents_can_be_left_out(
    faulty: tuple[PredictConfig, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, named = faulty
    config.on_error = OnError.skip
    predict_file(config)
    assert ids(tmp_path / "output.jsonl") == ["0", "1", "2"]
    assert not (tmp_path / "output.jsonl.partial").exists()
    assert f"left out: {tmp_path}/{named}" in capsys.readouterr().err


@pytest.mark.usefixtures("console_log")
def test_what_was_done_before_a_signal_is_kept(
    tiny_model: SentenceOrdererModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def terminate(model: SentenceOrdererModel, documents: list[list[str]], **options: Any) -> list[Prediction]:
        if (tmp_path / "output.jsonl.partial").stat().st_size:
            os.kill(os.getpid(), signal.SIGTERM)
        return order_documents(model, documents, **options)

    SentenceOrderer(tiny_model).save_pretrained(tmp_path / "checkpoint")
    (tmp_path / "input.jsonl").write_text("\n".join(GOOD))
    monkeypatch.setattr(module, "order_documents", terminate)
    monkeypatch.setattr(module, "CHUNK_DOCUMENTS", 2)
    paths = [str(tmp_path / name) for name in ("checkpoint", "input.jsonl", "output.jsonl")]
    with pytest.raises(Interrupted) as caught, Signals().caught():
        predict_file(PredictConfig(*paths, device="cpu"))
    assert caught.value.__notes__ == [f"what was done before is in {tmp_path / 'output.jsonl.partial'}"]
    assert ids(tmp_path / "output.jsonl.partial") == ["0", "1"]


def test_an_incomplete_last_line_is_not_kept(tmp_path: Path) -> None:
    """As a full disk leaves it."""
    for text, kept in (("one\ntw", "one\n"), ("on", None), ("", None)):
        with suppress(OSError), open_output(str(tmp_path / "output")) as stream:
            stream.write(text)
            raise OSError(errno.ENOSPC, "full")
        partial = tmp_path / "output.partial"
        assert (partial.read_text() if partial.exists() else None) == kept


@pytest.mark.parametrize("name", ["output.jsonl", "output.jsonl.partial"])
def test_the_input_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(GOOD[0])
    with pytest.raises(UserError, match="is read by this command"):
        predict(PredictConfig("checkpoint", str(tmp_path / name), str(tmp_path / "output.jsonl")))
    assert (tmp_path / name).read_text() == GOOD[0]


def test_what_standard_output_is_appended_to_is_not_the_input(tmp_path: Path) -> None:
    """It would be read for ever."""
    file = tmp_path / "input.jsonl"
    file.write_text(GOOD[0])
    command = [sys.executable, "-m", "sentence_order.predict", "checkpoint=x", f"input={file}"]
    with file.open("a") as stream:
        done = subprocess.run(command, stdout=stream, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "/dev/stdout is read by this command" in done.stderr
    assert file.read_text() == GOOD[0]


def test_an_open_stream_as_output_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "all").write_text("mine\n")
    with (tmp_path / "all").open("a") as file, open_output(f"/proc/self/fd/{file.fileno()}") as stream:
        stream.write("one\n")
    assert (tmp_path / "all").read_text() == "mine\none\n"


def test_only_what_a_prediction_has_left_is_replaced(tmp_path: Path) -> None:
    output, partial = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"
    check_partial(str(output))
    for left in ("", '{"id": "a", "order": [0], "sentences": ["x"], "confidence": 1.0}\n{"id": "b", "ord'):
        partial.write_text(left)
        check_partial(str(output))
    for own in ("my precious file", "[1]", '{"id": 1}'):
        partial.write_text(own)
        with pytest.raises(UserError, match=r"output: .*out\.jsonl\.partial is there"):
            check_partial(str(output))


def test_two_predictions_do_not_write_to_one_file(tmp_path: Path) -> None:
    output = str(tmp_path / "out.jsonl")
    with open_output(output) as stream:
        stream.write("one\n")
        stream.flush()
        refused = pytest.raises(UserError, match=r"output: another process is writing .*out\.jsonl\.partial")
        with refused, open_output(output):
            pytest.fail("it was opened")
    assert (tmp_path / "out.jsonl").read_text() == "one\n"
    with open_output(output) as stream:
        stream.write("two\n")
    assert (tmp_path / "out.jsonl").read_text() == "two\n"


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/out.jsonl")
    with open_output(str(tmp_path / "link")) as stream:
        stream.write("{}\n")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "out.jsonl").read_text() == "{}\n"


STORY = ["He came.", "He left."]
INPUTS = {
    "list": (json.dumps(STORY), []),
    "array": (json.dumps([{"sentences": STORY}], indent=1), []),
    "lines": (json.dumps({"sentences": STORY}), []),
    "table": ("s1;s2\nHe came.;He left.\n", ["sentence_columns=[s1,s2]"]),
    "rows": ("doc,text\na,He came.\na,He left.\n", ["document_column=doc", "text_column=text"]),
    "ragged": ("who,what,why\nHe came.,He left.\n", ["sentence_columns=[who,what]"]),
    "pipes": ("a | b\nHe came.|He left.\n", ["delimiter='|'", "sentence_columns=[a,b]"]),
    "column": ("body\nHe came. He left.\n", ["text_column=body"]),
    "text": ("He came.\nHe left.\n", []),
    "mark": ("He came.<eos>He left.\n", []),
}


@pytest.mark.parametrize("name", INPUTS)
def test_standard_input_is_read_as_what_it_begins_with(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, keys = INPUTS[name]
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(text.encode())))  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "stdin", stream)
    config = compose("predict", ["checkpoint=x", "input=-", *keys])
    check_input(config)
    (document,) = read_documents("-", input_format(config, "-"), Layout.of(config))
    assert document.sentences == STORY
    assert not stream.closed


def test_keys_that_the_input_does_not_have_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("He came.\nHe left.\n")
    (tmp_path / "a.jsonl").write_text("{}")
    for typed, named in {
        "a.txt text_column=x": "no field 'x'",
        "a.txt records=x": "not JSON",
        "a.txt text_column=x format=text": "text_column: only for .* not for text",
        "a.jsonl delimiter=tab": "delimiter: only for csv, not for jsonl",
    }.items():
        with pytest.raises(UserError, match=named):
            check_input(compose("predict", ["checkpoint=x", *f"input={tmp_path}/{typed}".split()]))


def test_format_text_reads_anything_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, sentences in (('["a",\n"b"]', ['["a",', '"b"]']), ("<p>x</p>\ny", ["<p>x</p>", "y"]), ("a <eos> b", 1)):
        stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(text.encode())))  # type: ignore[arg-type]
        monkeypatch.setattr(sys, "stdin", stream)
        config = compose("predict", ["checkpoint=x", "input=-", "format=text"])
        (document,) = read_documents("-", input_format(config, "-"), Layout.of(config))
        assert document.sentences == (["a <eos> b"] if sentences == 1 else sentences)


def test_tables_of_training_are_read_by_the_same_keys(tmp_path: Path) -> None:
    rows = [{"doc": 1.0, "place": k, "text": text} for k, text in reversed(list(enumerate(STORY)))]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    (tmp_path / "in.json").write_text(json.dumps({"data": {"rows": rows}}))
    keys = ["document_column=doc", "position_column=place", "text_column=text"]
    for typed in (["input=in.parquet", *keys], ["input=in.json", "records=data.rows", *keys]):
        config = compose("predict", ["checkpoint=x", *typed])
        path = str(tmp_path / config.input)
        (document,) = read_documents(path, input_format(config, config.input), Layout.of(config))
        assert (document.id, document.sentences) == ("1", STORY)
