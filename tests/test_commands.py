"""The commands as users run them, on real text, from training to prediction."""

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from sentence_order.data.synthetic import generate

Command = Callable[..., CompletedProcess[str]]
RUN_FILES = {"config.yaml", "metrics.jsonl", "checkpoints", "results.json", "train.log", ".lock"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a smoke run on synthetic stories."""
    import os
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("trained") / "run"
    done = subprocess.run(
        [sys.executable, "-m", "sentence_order.train", "debug=smoke", f"output_dir={folder}"],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    (folder.parent / "stderr.txt").write_text(done.stderr)
    return folder


def test_run_says_what_it_does(trained: Path) -> None:
    said = (trained.parent / "stderr.txt").read_text()
    for line in (
        "device: cpu (auto",
        "precision: fp32 (auto",
        "workers: 0 (auto",
        "what is trained and what is frozen",
    ):
        assert line in said
    assert "test: 40 documents" in said
    assert f"sentence_order.predict checkpoint={trained} input=FILE" in said


def test_run_folder(trained: Path) -> None:
    events = {path.name for path in trained.glob("events.out.tfevents.*")}
    assert events
    assert {path.name for path in trained.iterdir()} - events == RUN_FILES
    results = json.loads((trained / "results.json").read_text())
    assert results["test"]["documents"] == 40
    for name in (
        "tau",
        "pmr",
        "accuracy",
        "accuracy_per_document",
        "spearman",
        "pairwise_accuracy",
        "first",
        "last",
        "lcs",
    ):
        found = results["test"][name]
        assert found["low"] <= found["value"] <= found["high"]
    assert results["seed"] == 0
    assert results["versions"]["torch"].startswith("2.")
    assert results["wall_time_s"] > 0
    assert "git_revision" in results
    assert "encoder:\n  name: tiny" in (trained / "config.yaml").read_text()


def test_checkpoints_explain_themselves(trained: Path) -> None:
    results = json.loads((trained / "results.json").read_text())
    tau = {split: results[split]["tau"] for split in ("validation", "test")}
    card = (trained / "checkpoints" / "best" / "README.md").read_text()
    for split, found in tau.items():
        assert f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})" in card, split
    assert "- train: 200 documents, " in card
    assert "python -m sentence_order.train data.limit_train=200 data.limit_validation=40 " in card
    assert "Trained: embeddings, layer_0, layer_1, layer_2, layer_3, set_layers, heads. Frozen: nothing." in card
    assert (trained / "config.yaml").read_text().strip() in card
    last = (trained / "checkpoints" / "last" / "README.md").read_text()
    assert "| validation | 40 | " in last
    assert "After 20 steps" in last


def test_a_finished_run_is_left_as_it_is(command: Command, trained: Path) -> None:
    before = (trained / "results.json").read_bytes()
    done = command("train", "debug=smoke", f"output_dir={trained}", "resume=auto")
    assert done.returncode == 0, done.stderr
    assert "is finished already; its results are in" in done.stderr
    assert (trained / "results.json").read_bytes() == before
    done = command("train", "debug=smoke", f"output_dir={trained}", "resume=auto", "optim.lr=1e-3")
    assert done.returncode == 2
    assert "holds a run with another config (optim.lr: 8e-05 there, 0.001 here); leave that as it was" in done.stderr


def test_curves_can_be_read_back(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained))
    events.Reload()
    tags = events.Tags()
    scalars = {
        *("train/loss", "train/gradient_norm", "train/lr/encoder", "train/lr/head", "train/documents_per_second"),
        *("train/tokens_per_second", "train/padding_share"),
        *("validation/loss", "validation/tau", "validation/pmr", "validation/accuracy", "validation/spearman"),
    }
    assert scalars <= set(tags["scalars"])
    pictures = {"pair_probability", "position_confusion", "reliability"}
    assert {f"{split}/{picture}" for split in ("validation", "test") for picture in pictures} == set(tags["images"])
    assert "validation/document_0/text_summary" in tags["tensors"]
    steps = [event.step for event in events.Scalars("validation/tau")]
    assert steps == [10, 20]
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    from_file = [line["train/loss"] for line in lines if "train/loss" in line]
    assert from_file == pytest.approx([event.value for event in events.Scalars("train/loss")])


def test_evaluate_repeats_the_runs_own_test(command: Command, trained: Path) -> None:
    done = command("evaluate", f"checkpoint={trained}/checkpoints/best", "data=synthetic", "data.limit_test=40")
    assert done.returncode == 0, done.stderr
    found, expected = json.loads(done.stdout)["test"], json.loads((trained / "results.json").read_text())["test"]
    assert found["tau"]["value"] == pytest.approx(expected["tau"]["value"])
    assert found["documents"] == expected["documents"]


def test_evaluation_does_not_depend_on_the_shuffle(command: Command, trained: Path, tmp_path: Path) -> None:
    values = []
    for seed, decoder in ((0, "exact"), (1, "exact"), (2, "beam")):
        arguments = [
            f"checkpoint={trained}",
            f"decoder={decoder}",
            "output=out.json",
            "data=jsonl",
            "data.test=test.jsonl",
        ]
        with (tmp_path / "test.jsonl").open("w") as stream:
            for identity, sentences in generate("test", 5, 60):
                stream.write(json.dumps({"id": identity, "sentences": sentences}) + "\n")
        done = command("evaluate", *arguments, f"seed={seed}")
        assert done.returncode == 0, done.stderr
        found = json.loads((tmp_path / "out.json").read_text())["test"]
        values.append([found[name]["value"] for name in ("tau", "pmr", "accuracy", "first", "last", "lcs")])
    assert values[0] == values[1] == values[2]


@pytest.mark.parametrize("file_format", ["text", "jsonl", "csv"])
@pytest.mark.parametrize("from_stdin", [False, True])
def test_predict(command: Command, trained: Path, tmp_path: Path, file_format: str, from_stdin: bool) -> None:
    documents = [random.Random(0).sample(sentences, len(sentences)) for _, sentences in generate("test", 9, 3)]
    if file_format == "text":
        content = "\n\n".join("\n".join(document) for document in documents)
    elif file_format == "jsonl":
        content = "\n".join(json.dumps({"id": str(n), "sentences": d}) for n, d in enumerate(documents))
    else:
        import csv
        import io

        stream = io.StringIO()
        rows = csv.writer(stream)
        rows.writerow(["id", "sentences"])
        rows.writerows([n, json.dumps(document)] for n, document in enumerate(documents))
        content = stream.getvalue()
    name = f"in.{ {'text': 'txt'}.get(file_format, file_format) }"
    (tmp_path / name).write_text(content)
    arguments = [f"checkpoint={trained}", f"input={'-' if from_stdin else name}"]
    if from_stdin and file_format == "csv":
        arguments.append("format=csv")
    done = command("predict", *arguments, stdin=content if from_stdin else None)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == 3
    for record, document in zip(records, documents, strict=True):
        assert record["sentences"] == [document[i] for i in record["order"]]
        assert sorted(record["order"]) == list(range(len(document)))
        assert 0 <= record["confidence"] <= 1
    if file_format != "text":
        assert [record["id"] for record in records] == ["0", "1", "2"]


def test_predict_long_documents_among_short_ones(command: Command, trained: Path, tmp_path: Path) -> None:
    story = (sentence for _, sentences in generate("train", 5, 10_000) for sentence in sentences)
    documents = [list(itertools.islice(story, size)) for size in (3, 500, 2, 40)]
    lines = [json.dumps({"id": str(n), "sentences": document}) for n, document in enumerate(documents)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    done = command("predict", f"checkpoint={trained}", "input=in.jsonl")
    assert done.returncode == 0, done.stderr
    for line, document in zip(done.stdout.splitlines(), documents, strict=True):
        record = json.loads(line)
        assert sorted(record["order"]) == list(range(len(document)))
        assert record["sentences"] == [document[i] for i in record["order"]]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("in.jsonl", '{"sentences": ["a", "b"]}\n{', "in.jsonl:2: not JSON"),
        ("in.txt", "", "in.txt: the file holds no documents"),
        ("in.txt", "alone\n\nalone too\n", "none of the 2 documents has two sentences"),
        ("in.pdf", "x", "set format=text, format=jsonl or format=csv"),
        (None, None, "in.txt: no such file"),
    ],
)
def test_predict_refuses_bad_input(
    command: Command, trained: Path, tmp_path: Path, name: str | None, content: str | None, complaint: str
) -> None:
    if name is not None and content is not None:
        (tmp_path / name).write_text(content)
    done = command("predict", f"checkpoint={trained}", f"input={name or 'in.txt'}", "output=out.jsonl")
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*out.jsonl*")), "no half-written output"


def test_checkpoints_that_are_none(command: Command, trained: Path, tmp_path: Path) -> None:
    import shutil

    (tmp_path / "in.txt").write_text("One.\nTwo.\n")
    cases = {"nothing": "no such folder", "empty": "is not a whole checkpoint: no config.json", "cut": "cut short"}
    cases["damaged"] = "model.safetensors is not as it was written, by SHA256SUMS"
    (tmp_path / "empty").mkdir()
    for name in ("damaged", "cut", "other"):
        shutil.copytree(trained / "checkpoints" / "best", tmp_path / name)
        weights = tmp_path / name / "model.safetensors"
        if name != "damaged":
            (tmp_path / name / "SHA256SUMS").unlink()
        if name != "other":
            weights.write_bytes(weights.read_bytes()[:-1000])
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    cases["other"] = "holds a model of type 'bert'"
    for name, complaint in cases.items():
        done = command("predict", f"checkpoint={name}", "input=in.txt")
        assert done.returncode == 2
        assert complaint in done.stderr, done.stderr
        assert done.stderr.splitlines()[-1].startswith("error: checkpoint: ")


def test_training_on_own_files_frozen(command: Command, story_files: dict[str, Path], tmp_path: Path) -> None:
    files = [f"data.{split}={path}" for split, path in story_files.items()]
    done = command("train", "debug=smoke", "data=jsonl", *files, "freeze=bottom_half", "loss=margin", "output_dir=run")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("frozen") >= 4
    train = json.loads((tmp_path / "run" / "results.json").read_text())["train"]
    assert train["documents"] == 80
    assert train["parameters_trained"] < train["parameters"]
    again = command("train", "debug=smoke", "data=jsonl", *files, "output_dir=run")
    assert again.returncode == 2
    assert "output_dir: run holds another run" in again.stderr


def test_a_run_starts_from_another(command: Command, trained: Path, tmp_path: Path) -> None:
    start = ["debug=smoke", f"init_from={trained}", "optim.lr=0", "optim.head_lr=0", "trainer.max_steps=1"]
    done = command("train", *start, "output_dir=run")  # learns nothing, and so is what it started from
    assert done.returncode == 0, done.stderr
    found, expected = (json.loads((run / "results.json").read_text()) for run in (tmp_path / "run", trained))
    assert found["test"]["per_document"] == expected["test"]["per_document"]
    for arguments, complaint in (
        (["model.set_layers=2"], f"init_from: {trained} was trained with model.set_layers=1"),
        (["encoder.joint_from=0"], "was trained with encoder.joint_from=2; add that"),
        (["encoder.tiny_layers=2"], "encoder.name must be the one it had"),
        (["init_from=nowhere"], "init_from: nowhere: no such folder"),
    ):
        done = command("train", *start, *arguments, "output_dir=other")
        assert done.returncode == 2
        assert complaint in done.stderr


def test_mistakes_leave_no_folder(command: Command, story_files: dict[str, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"sentences": ["a", "b"]}\nnonsense\n')
    cases = [
        (["data=jsonl", f"data.train={bad}"], f"{bad}:2: not JSON"),
        (["freeze=encoder", "model.set_layers=0", "freeze.layers=5"], "the lowest 5 layers cannot be frozen"),
        (["encoder.joint_from=9"], "encoder.joint_from: a number from 0 to 4"),
        (["encoder.name=no/such-encoder"], "encoder.name: no/such-encoder could not be loaded"),
        (["optim.schedule=staircase"], "optim.schedule"),
    ]
    for arguments, complaint in cases:
        done = command("train", "debug=smoke", "output_dir=run", *arguments)
        assert done.returncode == 2, done.stderr
        assert complaint in done.stderr
        assert done.stderr.splitlines()[-1].startswith("error: ")
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "run").exists()


def test_overfit_orders_its_documents(command: Command, story_files: dict[str, Path], tmp_path: Path) -> None:
    done = command("train", "debug=overfit", "encoder=tiny", "output_dir=run")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "results.json").read_text())["validation"]["pmr"]["value"] == 1.0
    # Held-out files are not even read.
    broken = tmp_path / "broken.jsonl"
    broken.write_text("nonsense\n")
    files = ["data=jsonl", f"data.train={story_files['train']}", f"data.validation={broken}", f"data.test={broken}"]
    hopeless = command(
        "train", "debug=overfit", "encoder=tiny", "optim.lr=0", "optim.head_lr=0", "trainer.max_steps=10", *files
    )
    assert hopeless.returncode == 1
    assert "error: debug=overfit: after 10 steps only" in hopeless.stderr


def test_anomaly_detection_is_reproducible_and_logs_blocks(command: Command, tmp_path: Path) -> None:
    ends = []
    for run in ("a", "b"):
        done = command(
            "train",
            "debug=anomaly",
            "encoder=tiny",
            "data.limit_train=100",
            "data.limit_validation=20",
            "data.limit_test=20",
            "trainer.max_steps=4",
            f"output_dir={run}",
        )
        assert done.returncode == 0, done.stderr
        ends.append((tmp_path / run / "checkpoints" / "last" / "model.safetensors").read_bytes())
    assert ends[0] == ends[1]
    first = json.loads((tmp_path / "a" / "metrics.jsonl").read_text().splitlines()[0])
    assert {"train/gradient_norm/embeddings", "train/gradient_norm/layer_3", "train/gradient_norm/heads"} <= set(first)


def test_scores_are_kept_and_decoders_compared(command: Command, trained: Path, tmp_path: Path) -> None:
    done = command(
        *("evaluate", f"checkpoint={trained}", "data=synthetic", "data.limit_test=40"),
        *("scores=kept.scores", "output=own.json"),
    )
    assert done.returncode == 0, done.stderr
    own = json.loads((tmp_path / "own.json").read_text())
    # The breakdowns are parts of the whole: weighted by what they are of, they come to it.
    for metric, parts in (("tau", "by_sentences"), ("pmr", "by_sentences"), ("accuracy", "by_position")):
        counts = [part["documents"] for part in own["test"][parts]]
        values = [part[metric]["value"] * count for part, count in zip(own["test"][parts], counts, strict=True)]
        assert sum(values) / sum(counts) == pytest.approx(own["test"][metric]["value"])
    assert own["test"]["by_sentences"][0]["documents"] < 40
    done = command("decode", "scores=kept.scores", "output=decoders.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "decoders.json").read_text())
    assert set(found["decoders"]) == {"exact", "expected_tau", "beam", "borda", "topological", "assignment"}
    assert found["decoders"]["exact"]["tau"] == own["test"]["tau"]
    assert found["checkpoint"] == str(trained)
    objectives = {name: row["objective"] for name, row in found["decoders"].items()}
    assert max(objectives.values()) == objectives["exact"]
    only = command("decode", "scores=kept.scores", "decoder=borda")
    assert json.loads(only.stdout)["decoders"]["borda"]["pmr"] == found["decoders"]["borda"]["pmr"]

    (tmp_path / "other.scores").write_bytes(b"no scores at all")
    for path, complaint in (("other.scores", "could not be read"), ("own.json", "could not be read")):
        done = command("decode", f"scores={path}")
        assert (done.returncode, done.stderr.count("Traceback")) == (2, 0)
        assert f"scores: {path} {complaint}" in done.stderr
    done = command("evaluate", f"checkpoint={trained}", "data=synthetic", "decoder=pointer")
    assert "decoder=pointer: reads pointer or relational_pointer, and the model's heads are" in done.stderr


def test_two_results_are_compared(command: Command, trained: Path, tmp_path: Path) -> None:
    base = ["evaluate", f"checkpoint={trained}", "data=synthetic"]
    for name, arguments in (("exact", []), ("borda", ["decoder=borda"]), ("few", ["data.limit_test=10"])):
        limit = [] if "data.limit_test=10" in arguments else ["data.limit_test=40"]
        done = command(*base, *limit, *arguments, f"output={name}.json")
        assert done.returncode == 0, done.stderr
    done = command("compare", str(trained), "exact.json", "--resamples", "500")
    assert done.returncode == 0, done.stderr
    same = json.loads(done.stdout)
    assert same["documents"] == 40
    for row in same["metrics"].values():
        assert (row["difference"]["value"], row["p"]) == (0.0, 1.0)
    done = command("compare", "exact.json", "borda.json", "--output", "both.json", "--resamples", "500")
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "both.json").read_text())["metrics"]["tau"]
    assert row["difference"]["value"] == pytest.approx(row["b"] - row["a"])
    assert row["difference"]["low"] <= row["difference"]["value"] <= row["difference"]["high"]
    done = command("compare", "exact.json", "few.json", "--resamples", "500")
    assert json.loads(done.stdout)["documents"] == 10
    assert "30 documents that only one of them has are left out" in done.stderr
    (tmp_path / "bad.json").write_text("{}")
    twice = json.loads((tmp_path / "exact.json").read_text())
    twice["test"]["per_document"]["id"][1] = twice["test"]["per_document"]["id"][0]
    (tmp_path / "twice.json").write_text(json.dumps(twice))
    for path, complaint in (
        ("bad.json", "no results of documents under 'test'"),
        ("none.json", "cannot be read"),
        ("twice.json", "1 documents of a result have an id that another one has"),
        ("few.json --output .", "--output: . is a folder; name a file"),
    ):
        done = command("compare", "exact.json", *path.split())
        assert (done.returncode, done.stderr.count("Traceback")) == (2, 0)
        assert complaint in done.stderr


def test_predict_abstains_below_the_threshold(command: Command, trained: Path, tmp_path: Path) -> None:
    documents = [sentences[::-1] for _, sentences in generate("test", 9, 12)]
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"id": str(n), "sentences": d}) + "\n" for n, d in enumerate(documents))
    )
    sure = command("predict", f"checkpoint={trained}", "input=in.jsonl")
    confidences = [json.loads(line)["confidence"] for line in sure.stdout.splitlines()]
    threshold = sorted(confidences)[6]
    done = command("predict", f"checkpoint={trained}", "input=in.jsonl", f"threshold={threshold}")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    abstained = [record for record in records if record["order"] is None]
    assert [record["confidence"] for record in records] == confidences
    assert len(abstained) == sum(confidence < threshold for confidence in confidences)
    assert f"abstained from {len(abstained)} with a confidence below" in done.stderr
    for record in abstained:
        assert record["sentences"] == documents[int(record["id"])]
