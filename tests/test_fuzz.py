"""Any content of a file or a config gives a result, or one printable line that says what is wrong."""

import copy
import gzip
import json
import os
import random
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sentence_order.config.cli import compose
from sentence_order.config.components import DECODERS
from sentence_order.config.keys import dotted_keys, flatten_config
from sentence_order.config.parsing import parse_config
from sentence_order.config.schema import DataConfig, PredictConfig, Source, TrainConfig
from sentence_order.config.validation import check_train
from sentence_order.data.layout import Layout
from sentence_order.data.readers import read_documents
from sentence_order.data.sources import load_splits
from sentence_order.data.tokenization import tokenize_corpus
from sentence_order.errors import UserError
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.inference.predict_file import predict_file
from sentence_order.model.checkpoint import load_checkpoint
from tests.corpora import raw_split
from tests.properties import settings

Command = Callable[..., CompletedProcess[str]]

MATRIX_DECODERS = [name for name, component in DECODERS.items() if component.scores != ("pointer",)]
# The files of one folder are overwritten by every example.
same_folder = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
ODD = ["", " ", "\0", "\u200b", "\u202e", "\ud83d\ude42".encode("utf-16", "surrogatepass").decode("utf-16"), "\ufeff"]
ODD += ["שלום עולם.", "مرحبا", "e\u0301" * 50, "\x1b[31m", "\u2028", "x" * 5000, "${seed}", "\U000e0001", "\uffff"]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(ODD)
documents = st.lists(texts, max_size=12)
any_text = st.text(max_size=20) | st.sampled_from([*ODD, "\ud800", "a\nb"])
scalars = st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats() | any_text
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4), max_leaves=12
)


@contextmanager
def mistakes_in_one_line():
    """Within, a mistake is a UserError of one printable line."""
    message = None
    try:
        yield
    except UserError as error:
        message = str(error)
    assert message is None or (message and message.isprintable())


def damaged(content: bytes, draw: random.Random) -> bytes:
    """The same with some bytes changed, or the end cut off."""
    changed = bytearray(content)
    for _ in range(draw.choice([0, 1, 1, 5, 50])):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed[: draw.randrange(len(changed))] if draw.random() < 0.3 else changed)


def read_all(path: Path, file_format: str, layout: Layout | None = None) -> list[list[str]]:
    found = list(read_documents(str(path), file_format, layout or Layout()))
    assert found
    for document in found:
        assert isinstance(document.id, str)
        assert all(isinstance(sentence, str) for sentence in document.sentences)
        "".join([document.id, *document.sentences]).encode()
    return [document.sentences for document in found]


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "parquet", "text"])
@given(st.binary(max_size=300), st.booleans(), st.sampled_from(["lines", "paragraphs"]))
@example(b"\xef\xbb\xbf", False, "lines")
@example(b"[" * 100_000, False, "lines")
@example(b'{"a":' * 100_000, True, "lines")
@example(b"[" * 900 + b"]" * 900, False, "lines")
@example(b'{"a":' * 900 + b"1" + b"}" * 900, False, "lines")
@example(b"PK\3\4", False, "lines")
@example("<eos>\n<eos>".encode("utf-16"), False, "paragraphs")
@settings(max_examples=60, suppress_health_check=same_folder)
def test_any_bytes_are_read_or_refused(
    tmp_path: Path, file_format: str, content: bytes, pack: bool, text_layout: str
) -> None:
    path = tmp_path / ("file.gz" if pack else "file")
    for written in (content, gzip.compress(content)[: -len(content) % 7 or None], gzip.compress(content)):
        path.write_bytes(written)
        for layout in (
            Layout(text_layout=text_layout),
            Layout(text_column="a"),
            Layout(sentence_columns=["a", "b"]),
            Layout(document_column="a", text_column="b"),
            Layout(records="a", encoding="utf-16"),
        ):
            with mistakes_in_one_line():
                read_all(path, file_format, layout)


@given(json_values, st.sampled_from(["sentences", "text", "id"]))
@settings(max_examples=150, suppress_health_check=same_folder)
def test_any_record_is_read_or_refused(tmp_path: Path, value: Any, column: str) -> None:
    record = {"id": "a", "text": "One. Two.", "sentences": ["One.", "Two."], column: value}
    for content in (record, value):
        (tmp_path / "file").write_text(json.dumps(content) + "\n")
        for layout in (
            Layout(),
            Layout(text_column="text"),
            Layout(sentence_columns=["text", "id"]),
            Layout(records="sentences"),
            Layout(document_column="id", position_column="text", text_column="sentences"),
        ):
            with mistakes_in_one_line():
                read_all(tmp_path / "file", "jsonl", layout)
    is_whole = isinstance(value, float) and (value.is_integer() or value != value)
    if isinstance(value, bool | float | list | dict) and not is_whole and column == "id":
        (tmp_path / "file").write_text(json.dumps(record) + "\n")
        with pytest.raises(UserError, match="'id'"):
            read_all(tmp_path / "file", "jsonl")


@given(st.lists(documents, min_size=1, max_size=5))
@settings(max_examples=60, suppress_health_check=same_folder)
def test_documents_are_read_as_they_were_written(tmp_path: Path, written: list[list[str]]) -> None:
    """By every format that can hold it."""
    import csv

    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = [f"d{number}" for number in range(len(written))]
    lines = [
        json.dumps({"id": i, "sentences": d}, ensure_ascii=len(d) % 2 == 0) for i, d in zip(ids, written, strict=True)
    ]
    (tmp_path / "jsonl").write_text("\r\n".join(lines), newline="")
    with (tmp_path / "csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [["id", "sentences"], *([i, json.dumps(d)] for i, d in zip(ids, written, strict=True))]
        )
    columns = {"id": pa.array(ids), "sentences": pa.array(written, pa.list_(pa.string()))}
    pq.write_table(pa.table(columns), tmp_path / "parquet")
    for file_format in ("jsonl", "csv", "parquet"):
        assert read_all(tmp_path / file_format, file_format) == written


@given(st.randoms(use_true_random=False))
@settings(max_examples=150, suppress_health_check=same_folder)
def test_damaged_tables_are_read_or_refused(tmp_path: Path, draw: random.Random) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "file"
    table = pa.table({"id": [f"d{n}" for n in range(50)], "sentences": [["One é.", "Two."]] * 50})
    pq.write_table(table, path)
    path.write_bytes(damaged(path.read_bytes(), draw))
    with mistakes_in_one_line():
        read_all(path, "parquet")
    rows = b"id,a,b\n" + b'1,"One, ""x""",\xc3\xa9\r\n' * 20
    path.write_bytes(damaged(rows, draw))
    with mistakes_in_one_line():
        read_all(path, "csv", Layout(sentence_columns=["a", "b"]))


@given(st.lists(documents, min_size=1, max_size=6), st.integers(2, 6), st.integers(3, 10))
@settings(max_examples=25, suppress_health_check=same_folder)
def test_any_corpus_is_tokenised_within_its_limits(
    tiny_model, written: list[list[str]], max_sentences: int, max_tokens: int
) -> None:
    raw = raw_split(written, ["same id"] * len(written))
    limits = DataConfig(max_sentences=max_sentences, max_sentence_tokens=max_tokens, strip_enumeration=True)
    with mistakes_in_one_line():
        corpus = tokenize_corpus(raw, tiny_model.tokenizer, limits, "train")
        real = [[s for s in document if s.strip()] for document in written]
        assert corpus.sizes.tolist() == [min(len(d), max_sentences) for d in real if len(d) > 1]
        assert corpus.lengths.min() >= 1
        assert corpus.lengths.max() <= max_tokens
        assert corpus.input_ids.max() < tiny_model.config.encoder["vocab_size"]


@given(st.lists(documents, min_size=1, max_size=6), st.sampled_from(MATRIX_DECODERS), st.integers(1, 300))
@example([["same"] * 30, ["x" * 100_000, "y " * 50_000]], "exact", 100)
@example([[f"Sentence number {number}." for number in range(500)]], "borda", 4096)
@settings(max_examples=25, suppress_health_check=same_folder)
def test_any_document_is_ordered(tiny_model, written: list[list[str]], decoder: str, batch_tokens: int) -> None:
    predictions = SentenceOrderer(tiny_model).predict(written, decoder=decoder, batch_tokens=batch_tokens)
    for document, prediction in zip(written, predictions, strict=True):
        assert sorted(prediction.order) == [i for i, sentence in enumerate(document) if sentence.strip()]
        assert prediction.sentences == [document[i] for i in prediction.order]
        assert 0 <= prediction.confidence <= 1


def keys_and_values() -> st.SearchStrategy[tuple[str, Any]]:
    interpolations = [
        "${seed}",
        "${nope}",
        "${oc.env:NOT_SET}",
        "${hydra:job.num}",
        "${",
        "${..}",
        "${oc.create:{a:1}}",
    ]
    values = json_values | st.sampled_from(
        [*interpolations, "???", "half", "1e400", "nan", "x" * 5000, "..", "/", "a\0b"]
    )
    return st.tuples(st.sampled_from(dotted_keys(TrainConfig)), values)


@pytest.fixture(scope="module")
def plain_config() -> Any:
    config = OmegaConf.structured(compose("train", ["encoder=tiny", "output_dir=run"]))
    OmegaConf.set_struct(config, False)
    return OmegaConf.create(OmegaConf.to_container(config, enum_to_str=True))


@given(st.lists(keys_and_values(), min_size=1, max_size=3))
@example([("\r", 1)])
@example([("\x1b[31m", 1)])
@example([("trainer.a\nb", 1)])
@example([("data.train", "\x1b[31m\r")])
@example([("trainer.epochs", "\x1b[31m\r")])
@example([("encoder.joint_from", {"\ud800": None})])
@settings(max_examples=200, suppress_health_check=same_folder)
def test_any_config_is_parsed_or_refused(plain_config: Any, changes: list[tuple[str, Any]]) -> None:
    config = copy.deepcopy(plain_config)
    try:
        for key, value in changes:
            OmegaConf.update(config, key, value, merge=False, force_add=True)
    except (OmegaConfBaseException, ValueError, TypeError, AttributeError, UnicodeEncodeError):
        return  # no YAML file and no command line can contain this
    with mistakes_in_one_line():
        parsed = parse_config(config, TrainConfig)
        check_train(parsed)
        for text in flatten_config(parsed).values():
            json.dumps(text, ensure_ascii=False).encode()


def spots(content: Any) -> list[tuple[Any, Any]]:
    """Every place of a JSON document: what holds it, and its key there."""
    if not isinstance(content, dict | list):
        return []
    own = list(content) if isinstance(content, dict) else list(range(min(len(content), 2)))
    return [spot for key in own for spot in [(content, key), *spots(content[key])]]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
def test_damaged_checkpoints_are_loaded_or_refused(tiny_model, tmp_path: Path, name: str) -> None:
    tiny_model.save_pretrained(tmp_path / "checkpoint")
    file = tmp_path / "checkpoint" / name
    content, draw = file.read_bytes(), random.Random(name)
    for broken in [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, *(damaged(content, draw) for _ in range(12))]:
        file.write_bytes(broken)
        with mistakes_in_one_line():
            model = load_checkpoint(str(tmp_path / "checkpoint"))
            assert sorted(SentenceOrderer(model).order(["One.", "Two.", "Three."])) == [0, 1, 2]
    if not name.endswith(".json"):
        return
    for number in range(30):
        settings_ = json.loads(content)
        holder, key = draw.choice([spot for spot in spots(settings_) if spot[1] != "vocab"])
        holder[key] = [None, True, -1, 10**30, "x", [], {}, float("nan"), 1.5, "\ud800"][number % 10]
        file.write_text(json.dumps(settings_))
        with mistakes_in_one_line():
            load_checkpoint(str(tmp_path / "checkpoint"))


def test_a_file_of_odd_documents_is_ordered_and_read_for_training(tiny_model, tmp_path: Path) -> None:
    tiny_model.save_pretrained(tmp_path / "checkpoint")
    odd = [ODD, ["same"] * 40, ["x" * 100_000, "y"], [f"{n}." for n in range(500)], ["One.", "Two."], [], ["One."]]
    records = [{"id": n % 3, "sentences": sentences, "more": float("nan")} for n, sentences in enumerate(odd)]
    (tmp_path / "in.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(map(json.dumps, records)).encode())
    predict_file(PredictConfig(str(tmp_path / "checkpoint"), str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl")))
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    for number, (line, sentences) in enumerate(zip(lines, odd, strict=True)):
        assert line["id"] == str(number % 3)
        assert sorted(line["order"]) == [i for i, sentence in enumerate(sentences) if sentence.strip()]
        assert line["sentences"] == [sentences[i] for i in line["order"]]
    config = DataConfig(Source.jsonl, train=str(tmp_path / "in.jsonl"))
    splits = load_splits(config, ["train", "validation", "test"])
    assert sum(map(len, splits.values())) == len(odd)


def test_commands_refuse_odd_files(command: Command, tiny_model, tmp_path: Path) -> None:
    tiny_model.save_pretrained(tmp_path / "model")
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "short.jsonl.gz").write_bytes(gzip.compress(b'{"sentences": ["a", "b"]}\n' * 99)[:-9])
    (tmp_path / "zero.jsonl").touch()
    (tmp_path / "ids.jsonl").write_text('{"id": true, "sentences": ["a", "b"]}\n')
    (tmp_path / "circle").symlink_to(".")
    (tmp_path / "circle_too").symlink_to(".")
    for name, arguments, named in (
        ("predict", ["checkpoint=model", "input=pipe.jsonl"], "pipe.jsonl: "),
        ("predict", ["checkpoint=model", "input=short.jsonl.gz"], "short.jsonl.gz: "),
        ("evaluate", ["checkpoint=model", "data=jsonl", "data.test=ids.jsonl"], "ids.jsonl:1: "),
        ("train", ["data=jsonl", "data.train=**/zero.jsonl", "encoder=tiny"], "zero.jsonl: "),
    ):
        done = command(name, *arguments)
        assert done.returncode == 2, (name, arguments, done.stderr)
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("error: ")
        assert named in done.stderr.splitlines()[-1]
