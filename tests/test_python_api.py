"""Training, evaluating and ordering from Python: as the commands do it, and as a notebook needs it."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import datasets
import hydra
import numpy as np
import pytest
import torch

import sentence_order
from sentence_order import Callback, SentenceOrderer, Trainer, TrainerState, UserError, evaluate_documents, load_config
from sentence_order.__main__ import COMMANDS
from sentence_order.config.commands import override
from sentence_order.data.documents import Document
from sentence_order.data.layout import Layout
from sentence_order.data.memory import collect_documents
from sentence_order.data.synthetic import generate
from sentence_order.training.run_config import find_overrides
from tests.records import lines_without_clock

SMALL = (
    *("encoder=tiny", "encoder.tiny_width=48", "encoder.tiny_layers=2", "model.dropout=0.1", "trainer.max_steps=6"),
    *("trainer.eval_every=3", "trainer.log_every=2"),
)
RECORDS = [{"id": name, "sentences": texts, "group": group} for name, texts, group in generate("train", 3, 60)]
SPLITS = {"train": RECORDS[:40], "validation": RECORDS[40:50], "test": RECORDS[50:]}
DOCUMENTS: dict[str, Any] = {f"{split}_documents": own for split, own in SPLITS.items()}


def pandas_like() -> Any:
    """A table as pandas has it: it yields the names of its columns, and has records."""
    return type("DataFrame", (), {"__iter__": lambda self: iter(["a", "b"]), "to_dict": lambda self, kind: RECORDS})()


def train(folder: Path, *overrides: str, **others: Any) -> sentence_order.TrainResult:
    config = load_config(*SMALL, f"output_dir={folder}", *overrides)
    return Trainer(config, **{**DOCUMENTS, **others}).train()


def weights_of(folder: Path) -> bytes:
    return (folder / "checkpoints" / "best" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> sentence_order.TrainResult:
    """A run on documents in memory."""
    return train(tmp_path_factory.mktemp("runs") / "run")


def test_run_is_that_of_the_command(run: sentence_order.TrainResult, command, tmp_path: Path) -> None:
    """Of the same documents in files: the same weights, curves and results, in a folder of the same files."""
    for split, records in SPLITS.items():
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    files = [f"data.{split}={split}.jsonl" for split in SPLITS]
    done = command("train", *SMALL, "data=jsonl", *files, "data.group_column=group", "output_dir=run")
    assert done.returncode == 0, done.stderr
    theirs, ours = tmp_path / "run", run.output_dir
    assert weights_of(theirs) == weights_of(ours)
    assert lines_without_clock(theirs) == lines_without_clock(ours)
    results = json.loads((theirs / "results.json").read_text())
    assert results["test"] == run.results["test"]
    assert run.metrics["tau"] == results["test"]["tau"]["value"]
    assert {"loss", "pmr", "accuracy"} < run.metrics.keys()
    names = [{path.name for path in folder.rglob("*") if "tfevents" not in path.name} for folder in (theirs, ours)]
    assert names[0] == names[1]


def test_result_orders_and_is_evaluated(run: sentence_order.TrainResult) -> None:
    again = evaluate_documents(run.orderer, SPLITS["test"])
    expected = {name: value for name, value in run.metrics.items() if name != "loss"}
    assert {name: value for name, value in again.metrics.items() if name != "loss"} == expected
    assert again.metrics["loss"] == pytest.approx(run.metrics["loss"])
    texts = SPLITS["test"][0]["sentences"]
    assert sorted(run.orderer.order(texts)) == list(range(len(texts)))
    of_lists = run.orderer.predict([record["sentences"] for record in SPLITS["test"]])
    assert of_lists == run.orderer.predict(datasets.Dataset.from_list(SPLITS["test"]))
    assert SentenceOrderer.from_pretrained(run.output_dir).order(texts) == of_lists[0].order


def test_card_shows_the_lines_that_repeat_the_run(run: sentence_order.TrainResult, tmp_path: Path) -> None:
    card = (run.output_dir / "checkpoints" / "best" / "README.md").read_text()
    lines = card.partition("steps of these lines")[2].partition("```python\n")[2].partition("```")[0]
    assert "python -m sentence_order.train" not in card
    names: dict[str, Any] = {}
    for name in DOCUMENTS:
        lines = lines.replace(f"{name}=...", f"{name}=DOCUMENTS['{name}']")
    lines = lines.replace("load_config(", f"load_config({f'output_dir={tmp_path}/again'!r}, ")
    exec(lines, {"DOCUMENTS": DOCUMENTS}, names)
    assert weights_of(tmp_path / "again") == weights_of(run.output_dir)


def test_config_is_made_again_by_its_overrides() -> None:
    file = override("data.train", "my 'file', 1.txt")
    typed = [
        "experiment=naon",
        "encoder.name=a/b",
        "freeze.schedule=[0:all,1:none]",
        "data=text",
        file,
        "optim.lr=1e-5",
    ]
    config = load_config(*typed)
    assert load_config(*find_overrides(config), f"output_dir={config.output_dir}") == config


class Nosy(Callback):
    """Draws random numbers, changes the state that it gets, and notes what it sees."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def note(self, name: str, state: TrainerState, metric: str) -> None:
        torch.manual_seed(1)
        random.seed(1)
        self.seen.append((name, state.step, metric in state.metrics))
        state.step, state.done = 100, True
        state.metrics.clear()

    def on_step(self, state: TrainerState) -> None:
        assert state.total_steps == 6
        self.note("step", state, "train/loss")

    def on_validation(self, state: TrainerState) -> None:
        self.note("validation", state, "validation/tau")

    def on_save(self, state: TrainerState) -> None:
        self.note("save", state, "validation/tau")

    def on_end(self, state: TrainerState) -> None:
        self.note("end", state, "test/tau")


def test_callbacks_see_the_run_and_change_no_number(run: sentence_order.TrainResult, tmp_path: Path) -> None:
    seen = train(tmp_path / "seen", callbacks=[nosy := Nosy()])
    assert weights_of(seen.output_dir) == weights_of(run.output_dir)
    assert lines_without_clock(seen.output_dir) == lines_without_clock(run.output_dir)
    assert seen.results["test"] == run.results["test"]
    behind = [[("validation", step, True), ("save", step, True)] if step % 3 == 0 else [] for step in range(1, 7)]
    steps = [[("step", step, True), *behind[step - 1]] for step in range(1, 7)]
    assert nosy.seen == [*(entry for own in steps for entry in own), ("end", 6, True)]


@pytest.mark.parametrize(("name", "step", "last"), [("on_step", 2, 2), ("on_validation", 3, 3), ("on_save", 3, 4)])
def test_callback_ends_the_run(tmp_path: Path, name: str, step: int, last: int) -> None:
    """After a validation of the last step; the run is finished then."""
    callback = type("Ending", (Callback,), {name: lambda self, state: state.step >= step})()
    result = train(tmp_path / "run", callbacks=[callback])
    assert result.results["train"]["steps"] == last
    lines = [json.loads(line) for line in (result.output_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "validation/tau" in line][-1] == last


def test_callback_that_fails_stops_the_run_which_resumes(run: sentence_order.TrainResult, tmp_path: Path) -> None:
    def fail(self: Callback, state: TrainerState) -> None:
        if state.step == 5:
            raise OSError("no network")

    with pytest.raises(RuntimeError, match=r"Failing.on_step failed at step 5: OSError: no network"):
        train(tmp_path / "run", callbacks=[type("Failing", (Callback,), {"on_step": fail})()])
    resumed = train(tmp_path / "run", "resume=auto")
    assert weights_of(resumed.output_dir) == weights_of(run.output_dir)


def test_interrupted_cell_leaves_a_run_that_resumes(run: sentence_order.TrainResult, tmp_path: Path) -> None:
    """With the same documents, and no others."""

    class Interrupt(Callback):
        def on_step(self, state: TrainerState) -> None:
            if state.step == 4:
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as caught:
        train(tmp_path / "run", callbacks=[Interrupt()])
    assert signal.getsignal(signal.SIGINT) is before
    line = f"Trainer(load_config('resume={tmp_path / 'run'}'), train_documents=...).train()"
    assert f"stopped by SIGINT after step 4, saved in {tmp_path / 'run'}" in str(caught.value)
    assert line in str(caught.value)

    config = load_config(f"resume={tmp_path / 'run'}")
    with pytest.raises(UserError, match="passed to Trainer in Python"):
        Trainer(config)
    with pytest.raises(UserError, match=r"data.train: has changed since the run was saved"):
        Trainer(config, **{**DOCUMENTS, "train_documents": RECORDS[1:40]}).train()
    resumed = Trainer(config, **DOCUMENTS).train()
    assert weights_of(resumed.output_dir) == weights_of(run.output_dir)
    assert lines_without_clock(resumed.output_dir) == lines_without_clock(run.output_dir)
    assert Trainer(config, **DOCUMENTS).train().metrics == resumed.metrics  # finished, so it is read


def test_commands_say_that_documents_were_in_memory(run: sentence_order.TrainResult, command, tmp_path: Path) -> None:
    (tmp_path / "few.jsonl").write_text("".join(json.dumps(record) + "\n" for record in SPLITS["test"]))
    checkpoint = f"checkpoint={run.output_dir}"
    refused = command("evaluate", checkpoint)
    assert refused.returncode == 2
    assert "passed in Python" in refused.stderr
    assert "data=jsonl" in refused.stderr
    done = command("evaluate", checkpoint, "data=jsonl", "data.test=few.jsonl")
    assert json.loads(done.stdout)["test"]["tau"] == run.results["test"]["tau"]
    refused = command("train", "data.source=memory", "output_dir=new")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("console_log")
def test_logging_of_the_program_is_left_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its handlers get what their levels let pass, and the log file gets all."""
    lines: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = lines.append  # type: ignore[method-assign]
    package, root = logging.getLogger("sentence_order"), logging.getLogger()
    package.handlers, package.propagate = [], True
    package.setLevel(logging.INFO)
    root.addHandler(handler)
    before = [*root.handlers], root.level, package.propagate, package.level, datasets.are_progress_bars_disabled()
    try:
        train(tmp_path / "run")
    finally:
        root.removeHandler(handler)
    after = [*root.handlers, handler], root.level, package.propagate, package.level
    assert sorted(map(id, after[0])) == sorted(map(id, before[0]))
    assert (*after[1:], datasets.are_progress_bars_disabled()) == before[1:]
    assert package.handlers == []
    assert {line.levelno for line in lines if line.name.startswith("sentence_order")} <= {logging.INFO, logging.WARNING}
    assert any("validation loss" in line.getMessage() for line in lines)
    assert "validation loss" not in capfd.readouterr().err
    assert " DEBUG device: " in (tmp_path / "run" / "train.log").read_text()


def test_log_file_is_whole_where_the_program_has_disabled_loggers(tmp_path: Path) -> None:
    """As `logging.config.dictConfig` does by default with those of modules that were imported before."""
    logger = logging.getLogger("sentence_order.training.loop")
    logger.disabled = True
    try:
        train(tmp_path / "run")
        assert logger.disabled
    finally:
        logger.disabled = False
    assert "validation loss" in (tmp_path / "run" / "train.log").read_text()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda orderer: orderer.order("He ate it."), "sentences: a list of sentences is due, not a text"),
        (lambda orderer: orderer.order(["He ate it.", None]), r"sentences\[1\] is None, not a text"),
        (lambda orderer: orderer.order([1, 2]), r"sentences\[0\] is of type int"),
        (lambda orderer: orderer.predict("He ate it."), "documents: a list of documents is due"),
        (lambda orderer: orderer.predict(["One.", "Two."]), r"documents\[0\] is a text; for one document use order"),
        (lambda orderer: orderer.predict({"sentences": ["One.", "Two."]}), "not a dict"),
        (lambda orderer: orderer.predict([["One.", 2]]), r"documents\[0\]\[1\] is of type int"),
        (lambda orderer: orderer.predict(None), "not None"),
        (lambda orderer: evaluate_documents(orderer, ["One.", "Two."]), r"documents\[0\] is a text"),
        (lambda orderer: evaluate_documents("run", [["One.", "Two."]]), "orderer: a SentenceOrderer is due"),
        (lambda orderer: Trainer("encoder=tiny"), r"config: what load_config\(...\) returns is due, not str"),
        (lambda orderer: Trainer(load_config(), train_documents=["One.", "Two."]), r"train_documents\[0\] is a text"),
        (lambda orderer: Trainer(load_config(), callbacks=[Callback]), "instances of sentence_order.Callback"),
        (lambda orderer: Trainer(load_config(), callbacks=Callback()), "a list is due"),
        (lambda orderer: Trainer(load_config(), callbacks=None), "a list is due"),
        (lambda orderer: type("Wrong", (Callback,), {"on_epoch_end": print}), "on_epoch_end would never be called"),
        (lambda orderer: orderer.order({"One.", "Two."}), "not of type set"),
        (lambda orderer: orderer.order(pandas_like()), "not of type DataFrame"),
        (lambda orderer: orderer.predict([["One.", float("nan")]]), "not a text; leave out what is missing"),
        (
            lambda orderer: Trainer(load_config(), train_documents={"train": [], "test": []}),
            r"such as train_docume.*train",
        ),
        (lambda orderer: load_config(["encoder=tiny"]), "overrides are texts such as 'encoder=minilm', not list"),
    ],
)
def test_wrong_types_are_named(
    run: sentence_order.TrainResult, call: Callable[[SentenceOrderer], Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        call(run.orderer)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda orderer: orderer.order(["Half \ud800.", "Two."]), r"sentences\[0\]: holds half a surrogate pair"),
        (lambda orderer: orderer.predict([{"text": "One. Two."}]), r"documents\[0\]: no field 'sentences'"),
        (lambda orderer: orderer.predict([["a", "b"]], decoder="greedy"), "decoder.name: greedy is not valid"),
        (
            lambda orderer: orderer.predict([["a", "b"]], precision="half"),
            "precision: half is not valid; .*ccepted: auto",
        ),
        (lambda orderer: orderer.predict([["a", "b"]], shuffles=0), "shuffles: must be greater than 0"),
        (lambda orderer: evaluate_documents(orderer, [["a", "b"]], batch_tokens=-1), "batch_tokens: must be"),
        (lambda orderer: evaluate_documents(orderer, []), "documents"),
        (lambda orderer: Trainer(load_config(), test_documents=[["a", "b"]]), "train_documents: missing"),
        (lambda orderer: Trainer(load_config(), train_documents=[]), "train_documents: no documents"),
        (
            lambda orderer: Trainer(load_config("data=jsonl", "data.train=a"), train_documents=[["a", "b"]]),
            "data.train: cannot be combined with train_documents",
        ),
        (lambda orderer: orderer.predict([["a", "b"]], beam_width="x"), "decoder.beam_width: x is not valid"),
        (lambda orderer: evaluate_documents(orderer, [["a", "b"]], seed=1.5), "seed: 1.5 is not valid"),
        (lambda orderer: load_config("sweep=loss"), "sweep: for the command line alone"),
        (
            lambda orderer: Trainer(load_config("data=rocstories"), train_documents=[["a", "b"]]),
            "data.train: cannot be combined with train_documents",
        ),
        (
            lambda orderer: Trainer(load_config("data=jsonl"), train_documents=[["a", "b"]]),
            "data=jsonl: cannot be combined with train_documents",
        ),
        (lambda orderer: load_config("trainer.epoch=3"), "did you mean 'trainer.epochs'"),
        (lambda orderer: SentenceOrderer.from_pretrained("nowhere/at/all"), "nowhere"),
    ],
)
def test_mistakes_are_user_errors(
    run: sentence_order.TrainResult, call: Callable[[SentenceOrderer], Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        call(run.orderer)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("trainer.max_epochs", 3, "unknown key 'trainer.max_epochs'; use trainer.epochs=3|unknown key.*trainer.epochs"),
        ("trainer.metric", "kendall", "trainer.metric: kendall is not valid; accepted: tau"),
        ("optim.lr", "fast", "optim.lr: fast is not valid; accepted: number"),
        ("encoder", "minilm", "encoder: holds keys, such as name, and is not 'minilm'"),
        ("seed", None, "seed: null is not valid"),
        ("data.limit_train", object(), "data.limit_train"),
    ],
)
def test_a_config_that_was_changed_by_hand_is_checked(key: str, value: Any, message: str) -> None:
    config = load_config()
    group, _, name = key.rpartition(".")
    setattr(attrgetter(group)(config) if group else config, name, value)
    with pytest.raises(UserError, match=message):
        Trainer(config)


def test_a_config_that_was_changed_by_hand_is_taken_as_it_is() -> None:
    config: Any = load_config("encoder=tiny")
    config.trainer.metric, config.seed, config.output_dir = "pmr", np.int64(3), Path("here")
    trained = Trainer(config).config
    assert (trained.trainer.metric.value, trained.seed, trained.output_dir) == ("pmr", 3, "here")


def test_a_gold_order_that_is_not_used_is_pointed_at(caplog: pytest.LogCaptureFixture) -> None:
    shuffled = [{"sentences": ["b", "c", "a"], "order": [2, 0, 1]}, {"sentences": ["y", "x"], "order": [1, 0]}]
    Trainer(load_config("encoder=tiny"), train_documents=shuffled)
    assert "train_documents: order has a permutation of the sentences" in caplog.text


def test_other_fields_are_named_by_keys(tmp_path: Path) -> None:
    """And a `datasets.Dataset` or an iterator serves, from which validation and test are split off."""
    texts = [{"story": " ".join(record["sentences"]), "name": record["id"]} for record in RECORDS]
    keys = ("data.text_column=story", "data.id_column=name", "data.limit_train=30", "trainer.max_steps=1")
    results = []
    for number, given in enumerate((datasets.Dataset.from_list(texts), iter(texts))):
        config = load_config(*SMALL, *keys, f"output_dir={tmp_path / str(number)}")
        results.append(Trainer(config, train_documents=given).train())
    assert results[0].results["train"]["documents"] == 30
    assert results[0].results["test"] == results[1].results["test"]
    assert set(results[0].results["test"]["per_document"]["id"]) < {record["id"] for record in RECORDS}


def test_records_may_be_those_of_pandas_or_a_row_per_sentence() -> None:
    story = ["Tom baked a cake.", "He ate it."]
    given = [{"id": np.int64(3), "sentences": np.array(story)}, {"id": 4.0, "sentences": tuple(story)}, np.array(story)]
    documents = collect_documents(given, "documents")
    assert [(document.id, document.sentences) for document in documents] == [
        *(("3", story), ("4", story), ("documents[2]", story))
    ]
    assert collect_documents(pandas_like(), "documents") == collect_documents(RECORDS, "documents")
    rows = [{"story": 7, "place": 2 - k, "text": text} for k, text in enumerate(reversed(story))]
    layout = Layout(document_column="story", position_column="place", text_column="text")
    assert collect_documents(rows, "documents", layout) == [Document("7", story)]
    keys = ("data.document_column=story", "data.position_column=place", "data.text_column=text")
    assert Trainer(load_config(*keys), train_documents=rows).documents["train"] == [Document("7", story)]


def test_config_is_loaded_within_a_program_that_uses_hydra() -> None:
    with hydra.initialize(version_base=None, config_path=None):
        assert load_config("trainer.epochs=3").trainer.epochs == 3
        assert hydra.compose(overrides=["+own=1"]) == {"own": 1}


def test_public_names_are_listed_and_none_hides_a_command() -> None:
    assert {"Trainer", "load_config", "evaluate_documents", "SentenceOrderer", "Callback"} <= set(dir(sentence_order))
    assert all(getattr(sentence_order, name).__doc__ for name in dir(sentence_order) if not name.startswith("__"))
    assert not set(dir(sentence_order)) & set(COMMANDS)


def test_import_and_load_config_need_no_torch() -> None:
    code = "import sys, sentence_order as s; s.load_config('encoder=tiny'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
