"""The commands as users run them, on real text, from training to prediction."""

import csv
import io
import itertools
import json
import random
import re
import shutil
from collections.abc import Callable
from operator import eq
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from sentence_order.data.synthetic import generate
from sentence_order.evaluation.inspection import HEADERS
from tests.families import OTHERS
from tests.forks import Server

Command = Callable[..., CompletedProcess[str]]
RUN_FILES = {"config.yaml", "overrides.yaml", "metrics.jsonl", "checkpoints", "results.json", "train.log", ".lock"}
METRICS = ("tau", "pmr", "accuracy", "accuracy_per_document", "spearman", "pairwise_accuracy", "first", "last", "lcs")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, forks: Server) -> Path:
    """The folder of a smoke run on synthetic stories."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    done = forks.run("sentence_order.train", ["debug=smoke", f"output_dir={folder}"], folder.parent, None, {})
    assert done.returncode == 0, done.stderr
    (folder.parent / "stderr.txt").write_text(done.stderr)
    return folder


def results_of(folder: Path) -> dict[str, Any]:
    """The results of a run."""
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


def main_metrics(found: dict[str, Any]) -> list[dict[str, float]]:
    """The metrics of a split, each with its interval."""
    return [found[name] for name in METRICS]


def test_a_run_logs_its_choices_and_the_next_commands(trained: Path) -> None:
    output = (trained.parent / "stderr.txt").read_text()
    lines = output.splitlines()
    assert len(lines) < 85
    assert "\x1b" not in output
    for text in ("cpu, precision fp32, prefix cache off, 20 steps, validation every 10;", "layer_0 to layer_3"):
        assert text in output
    documents = [line for line in lines if " documents, " in line and " sentences, " in line]
    assert len({line.index("documents,") for line in documents}) == 1
    assert len(documents) == 3
    results = results_of(trained)
    assert (results["precision"], results["kernels"], results["threads"]) == ("fp32", "PyTorch", 1)
    for reason in (
        "device: cpu (",
        "precision: fp32 (",
        "linear layers: PyTorch (",
        "steps whose batches are made ahead: 0 (",
        "prefix cache: off (",
    ):
        assert reason in (trained / "train.log").read_text()
        assert reason not in output
    for program in ("evaluate", "predict"):
        assert f"sentence_order.{program} checkpoint={trained}" in output


def test_a_run_ends_with_a_document_and_the_metrics_of_baselines(trained: Path) -> None:
    lines = (trained.parent / "stderr.txt").read_text().splitlines()
    heads = [line.strip("│ ") for line in lines if line.strip("│ ") in HEADERS]
    assert heads == [*HEADERS]
    assert any(line.startswith(("│ ✓ ", "│ ✗ ")) for line in lines)
    found = results_of(trained)["test"]
    assert found["baselines"].keys() == {"bag_of_words", "random_order"}
    for name, baseline in found["baselines"].items():
        assert baseline.keys() >= {"tau", "pmr", "accuracy"}
        (row,) = (line for line in lines if line.startswith(f"│ {name.replace('_', ' ')} "))
        assert f"{baseline['tau']:.3f}" in row
    assert abs(found["baselines"]["random_order"]["tau"]) < 0.2


def test_a_runs_folder_has_its_config_logs_checkpoints_and_results(trained: Path) -> None:
    events = {path.name for path in trained.glob("events.out.tfevents.*")}
    assert events
    assert {path.name for path in trained.iterdir()} - events == RUN_FILES
    assert {path.name for path in (trained / "checkpoints").iterdir()} == {"best", "last"}
    results = results_of(trained)
    assert results["test"]["documents"] == 40
    for found in main_metrics(results["test"]):
        assert found["low"] <= found["value"] <= found["high"]
    assert results["seed"] == 0
    assert results["versions"]["torch"].startswith("2.")
    assert results["wall_time_s"] > 0
    assert "git_revision" in results
    assert "encoder:\n  name: tiny" in (trained / "config.yaml").read_text()


def test_a_hub_data_set_is_trained_and_tested_on(
    command: Command, story_files: dict[str, Path], tmp_path: Path
) -> None:
    """From a folder, which `load_dataset` takes as it takes a hub id."""
    (tmp_path / "corpus").mkdir()
    for split, path in story_files.items():
        shutil.copy(path, tmp_path / "corpus" / f"{split}.jsonl")
    data = ["data=hub", "data.hub_id=./corpus", *(f"data.{split}={split}" for split in story_files)]
    tiny = ["encoder.name=tiny", "trainer.max_steps=4", "trainer.eval_every=2"]
    done = command("train", *data, *tiny, "output_dir=run")
    assert done.returncode == 0, done.stderr
    done = command("evaluate", "checkpoint=run", "output=-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test"]["documents"] == results_of(tmp_path / "run")["test"]["documents"]


def test_cards_of_checkpoints_have_results_data_command_and_config(trained: Path) -> None:
    results = results_of(trained)
    tau = {split: results[split]["tau"] for split in ("validation", "test")}
    card = (trained / "checkpoints" / "best" / "README.md").read_text()
    for split, found in tau.items():
        assert f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})" in card, split
    assert "- train: 200 documents, " in card
    assert "\n    python -m sentence_order.train debug=smoke\n" in card
    assert "Trained: embeddings, layer_0, layer_1, layer_2, layer_3, set_layers, heads. Frozen: nothing." in card
    assert (trained / "config.yaml").read_text().strip().replace(str(trained), trained.name) in card
    assert str(trained) not in card
    last = (trained / "checkpoints" / "last" / "README.md").read_text()
    assert "| validation | 40 | " in last
    assert "After 20 steps" in last


def test_a_finished_run_is_not_changed(command: Command, trained: Path) -> None:
    before = (trained / "results.json").read_bytes()
    done = command("train", "debug=smoke", f"output_dir={trained}", "resume=auto")
    assert done.returncode == 0, done.stderr
    assert "finished" in done.stderr
    assert (trained / "results.json").read_bytes() == before
    done = command("train", "debug=smoke", f"output_dir={trained}", "resume=auto", "optim.lr=1e-3")
    assert done.returncode == 2
    assert "optim.lr: 8e-05 saved, 0.001 given" in done.stderr


def test_metrics_are_in_tensorboard_and_in_metrics_jsonl(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained))
    events.Reload()
    tags = events.Tags()
    scalars = {
        *("loss/train", "train/gradient_norm", "train/lr/encoder", "train/lr/head", "train/documents_per_second"),
        *("train/tokens_per_second", "train/padding_share"),
        *("loss/validation", "metrics/tau", "metrics/pmr", "validation/accuracy", "validation/spearman"),
    }
    assert scalars <= set(tags["scalars"])
    pictures = {"pair_probability", "position_confusion", "reliability", "pair_reliability"}
    assert {f"{split}/{picture}" for split in ("validation", "test") for picture in pictures} == set(tags["images"])
    assert "validation/document_0/text_summary" in tags["tensors"]
    steps = [event.step for event in events.Scalars("metrics/tau")]
    assert steps == [10, 20]
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    from_file = [line["train/loss"] for line in lines if "train/loss" in line]
    assert from_file == pytest.approx([event.value for event in events.Scalars("loss/train")])


def test_tensorboard_shows_the_hyper_parameters_and_the_layout(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    events = EventAccumulator(str(trained))
    events.Reload()

    def content(tag: str) -> HParamsPluginData:
        return HParamsPluginData.FromString(events.summary_metadata[f"_hparams_/{tag}"].plugin_data.content)

    hparams = content("session_start_info").session_start_info.hparams
    assert hparams["seed"].number_value == 0
    assert hparams["frozen"].string_value == "(none)"
    metrics = {info.name.tag for info in content("experiment").experiment.metric_infos}
    assert {"test/tau", "test/pmr", "test/accuracy", "total/seconds_in_steps"} <= metrics
    assert metrics <= set(events.Tags()["scalars"])
    tau = results_of(trained)["test"]["tau"]["value"]
    assert [event.value for event in events.Scalars("test/tau")] == pytest.approx([tau])
    assert "custom_scalars__config__" in events.Tags()["tensors"]


@pytest.mark.parametrize("path", ["", "checkpoints/best"])
def test_evaluate_of_a_run_alone_equals_its_own_test(
    command: Command, trained: Path, tmp_path: Path, path: str
) -> None:
    """Data, seed, precision and cache are those of the run."""
    done = command("evaluate", f"checkpoint={trained / path}", "output=out.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    own = results_of(trained)["test"]
    del own["baselines"]  # which need the training documents
    assert found["test"] == own
    assert done.stdout == ""


def test_keys_that_are_typed_win_over_those_of_the_run(command: Command, trained: Path, tmp_path: Path) -> None:
    done = command("evaluate", f"checkpoint={trained}", "data.limit_test=10", "seed=3", "split=test")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["test"]["documents"] == 10
    assert found["seed"] == 3


def test_results_by_group_are_in_every_place(trained: Path) -> None:
    output, results = (trained.parent / "stderr.txt").read_text(), results_of(trained)
    known, new = results["test"]["by_group"]
    assert [(row["group"], row["documents"]) for row in (known, new)] == [("known plots", 20), ("new plots", 20)]
    assert results["test"]["per_document"]["group"] == ["known plots", "new plots"] * 20
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    test, validation = ([line for line in lines if f"{split}/loss" in line][-1] for split in ("test", "validation"))
    assert test["test/tau/known_plots"] == known["tau"]["value"]
    assert test["test/accuracy/new_plots"] == new["accuracy"]["value"]
    tau, *by_group = (validation[f"validation/tau{group}"] for group in ("", "/known_plots", "/new_plots"))
    assert "tau {:.3f} (known plots {:.3f}, new plots {:.3f})".format(tau, *by_group) in output
    assert "known plots" in output.split("test: 40 documents")[-1]
    card = (trained / "checkpoints" / "best" / "README.md").read_text()
    tau = new["tau"]
    assert (
        f"| {tau['value']:.3f} ({tau['low']:.3f} to {tau['high']:.3f}) |" in card.split("| test, new plots | 20 |")[1]
    )


def test_more_groups_than_columns_have_a_table_of_their_own(command: Command, tmp_path: Path) -> None:
    stories = (
        {"id": i, "sentences": sentences, "topic": f"topic {k % 5}"}
        for k, (i, sentences, _) in enumerate(generate("train", 3, 40))
    )
    (tmp_path / "topics.jsonl").write_text("".join(json.dumps(story) + "\n" for story in stories))
    files = [f"data.{split}=topics.jsonl" for split in ("train", "validation", "test")]
    options = ["debug=smoke", "data=jsonl", "data.group_column=topic", "trainer.max_steps=1", "output_dir=run"]
    done = command("train", *options, *files)
    assert done.returncode == 0, done.stderr
    assert [row["group"] for row in results_of(tmp_path / "run")["test"]["by_group"]] == [
        f"topic {k}" for k in range(5)
    ]
    assert "\nby group " in done.stderr
    assert "│ topic 4 (8) " in done.stderr
    assert "\nnext:" in done.stderr


def test_results_by_group_length_and_position_are_parts_of_the_whole(trained: Path) -> None:
    found = results_of(trained)["test"]
    pairs = [("tau", "by_sentences"), ("pmr", "by_sentences"), ("accuracy", "by_position"), ("tau", "by_group")]
    for metric, parts in pairs:
        counts = [part["documents"] for part in found[parts]]
        values = [part[metric]["value"] * count for part, count in zip(found[parts], counts, strict=True)]
        assert sum(values) / sum(counts) == pytest.approx(found[metric]["value"])
    assert found["by_sentences"][0]["documents"] < 40


def test_evaluation_does_not_depend_on_the_shuffle(command: Command, trained: Path, tmp_path: Path) -> None:
    with (tmp_path / "test.jsonl").open("w") as stream:
        for identity, sentences, _ in generate("test", 5, 60):
            stream.write(json.dumps({"id": identity, "sentences": sentences}) + "\n")
    values = []
    for seed, decoder in ((0, "exact"), (1, "exact"), (2, "beam")):
        arguments = [f"checkpoint={trained}", f"decoder={decoder}", "data=jsonl", "data.test=test.jsonl"]
        done = command("evaluate", *arguments, f"seed={seed}")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)["test"]
        values.append([found[name]["value"] for name in METRICS])
    assert values[0] == values[1] == values[2]


def test_all_decoders_are_compared_on_the_same_scores(command: Command, trained: Path) -> None:
    """Each has the results that its own evaluation would have."""
    done = command("evaluate", f"checkpoint={trained}", "decoder=all")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    decoders = found["decoders"]
    assert set(decoders) == {"exact", "expected_tau", "beam", "borda", "topological", "assignment"}
    assert found["decoder"] == "exact", "that of the training is the main one"
    assert main_metrics(found["test"]) == main_metrics(results_of(trained)["test"])
    for name in ("exact", "borda", "expected_tau"):
        own = json.loads(command("evaluate", f"checkpoint={trained}", f"decoder={name}").stdout)
        assert main_metrics(decoders[name]) == main_metrics(own["test"]), name
    objectives = {name: row["objective"] for name, row in decoders.items()}
    assert max(objectives.values()) == objectives["exact"]
    assert all(row["documents"] == 40 and row["seconds"] > 0 for row in decoders.values())
    assert all(name in done.stderr for name in decoders)
    assert "evaluated: decoding took 0." in done.stderr


def test_predictions_of_an_evaluation_are_those_of_its_results_and_of_predict(
    command: Command, trained: Path, tmp_path: Path
) -> None:
    done = command("evaluate", f"checkpoint={trained}", "output=out.json", "predictions=found.jsonl")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    expected = json.loads((tmp_path / "out.json").read_text())["test"]["per_document"]
    assert [document["id"] for document in found] == expected["id"]
    assert [document["confidence"] for document in found] == expected["confidence"]
    correct = [sum(map(eq, document["predicted"], document["gold"])) for document in found]
    assert correct == expected["correct"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(document) + "\n" for document in found))
    done = command("predict", f"checkpoint={trained}", "input=in.jsonl", "sentences_column=given")
    predicted = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["order"] for record in predicted] == [document["order"] for document in found]
    assert [record["sentences"] for record in predicted] == [document["predicted"] for document in found]


def test_predictions_replace_no_other_file(command: Command, trained: Path) -> None:
    for name, message in (
        ("out.json", "is the file of output as well"),
        (trained / "train.log", "is part of the run"),
        ("folder/", "is a folder"),
    ):
        done = command("evaluate", f"checkpoint={trained}", "output=out.json", f"predictions={name}")
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: predictions: {name} {message}")


def test_a_terminal_shows_text_in_place_of_json(forks: Server, trained: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> CompletedProcess[str]:
        done = forks.run("tests.terminal", list(arguments), tmp_path, None, {})
        assert done.returncode == 0, done.stderr
        return done

    done = run("evaluate", f"checkpoint={trained}")
    assert done.stdout == ""
    assert "accuracy_per_document" in done.stderr
    assert "output=FILE" in done.stderr
    assert "tau" in json.loads(run("evaluate", f"checkpoint={trained}", "output=-").stdout)["test"]
    (tmp_path / "in.txt").write_text("He  ate it.\nTom baked a cake.\n\nAlone.\n")
    shown = run("predict", f"checkpoint={trained}", "input=in.txt").stdout.splitlines()
    assert re.fullmatch(r"in\.txt:1 \(confidence 0\.\d\d\)", shown[0])
    assert sorted(shown[1:3]) == ["  He ate it.", "  Tom baked a cake."]
    assert shown[3:] == ["", "in.txt:4 (confidence 1.00)", "  Alone.", ""]


def test_likeliest_orders_and_probabilities_of_pairs_by_request(
    command: Command, forks: Server, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text("He ate it.\nTom baked a cake.\nIt was good.\n\nAlone.\n")
    wanted = [f"checkpoint={trained}", "input=in.txt", "top_k=4", "pairs=true", "neighbours=true"]
    done = command("predict", *wanted)
    assert done.returncode == 0, done.stderr
    story, alone = map(json.loads, done.stdout.splitlines())
    fields = ["id", "order", "sentences", "confidence", "probability", "approximate", "top_k", "pairs"]
    assert list(story) == [*fields, "pairs_calibrated", "neighbours"]
    assert story["approximate"] is False
    assert story["top_k"][0] == {"order": story["order"], "probability": story["probability"]}
    assert len({tuple(own["order"]) for own in story["top_k"]}) == 4
    assert story["pairs"][0][1] + story["pairs"][1][0] == pytest.approx(1, abs=1e-5)
    assert alone["top_k"] == [{"order": [0], "probability": 1.0}]
    assert alone["pairs"] == [[0.0]]

    shown = forks.run("tests.terminal", ["predict", *wanted], tmp_path, None, {}).stdout.splitlines()
    first = f"    probability {story['probability']:.3g}: {' '.join(map(str, story['order']))}"
    assert shown[5] == first
    assert shown[9].startswith("    pairs: that the sentence of the row comes before")
    assert shown[10].split() == ["0", "1", "2"]
    assert re.fullmatch(r"       0 0\.00 0\.\d\d 0\.\d\d", shown[11])

    for key in ("top_k=1", "pairs=true", "neighbours=true"):
        done = command("predict", *wanted[:2], key, "output=out.txt")
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {key.split('=')[0]}: ")


def test_the_suffix_of_an_output_says_how_orders_are_written(command: Command, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("He ate it.\nTom baked a cake.\n\nB.\nA.\n")
    arguments = [f"checkpoint={trained}", "input=in.txt"]
    orders = [json.loads(line)["sentences"] for line in command("predict", *arguments).stdout.splitlines()]
    done = command("predict", *arguments, "output=out.txt")
    assert done.stderr.splitlines()[-1].endswith("ordered 2 documents")
    assert (tmp_path / "out.txt").read_text() == "".join("\n".join([*order, "", ""]) for order in orders)
    done = command("predict", *arguments, "output=out.csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: output: orders are written as JSONL, or as text to a name in .txt, not as .csv\n"
    done = command("evaluate", f"checkpoint={trained}", "predictions=out.txt")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: predictions: orders are written as JSONL, not as .txt\n"


def test_a_single_sentence_gets_a_message_and_no_order(command: Command, trained: Path, tmp_path: Path) -> None:
    done = command("predict", f"checkpoint={trained}", "input=-", stdin="Alone.\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: -: the only document does not have two sentences or more" in done.stderr


def test_a_decoder_that_does_not_fit_the_model_is_refused(command: Command, trained: Path) -> None:
    for name, more in (("evaluate", []), ("predict", ["input=-"])):
        done = command(name, f"checkpoint={trained}", "decoder=pointer", *more, stdin="One.\nTwo.\n")
        assert done.returncode == 2
        assert "decoder=pointer" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("file_format", ["text", "jsonl", "csv"])
@pytest.mark.parametrize("from_stdin", [False, True])
def test_predict_reads_every_format_from_files_and_standard_input(
    command: Command, trained: Path, tmp_path: Path, file_format: str, from_stdin: bool
) -> None:
    documents = [random.Random(0).sample(sentences, len(sentences)) for _, sentences, _ in generate("test", 9, 3)]
    if file_format == "text":
        content = "\n\n".join("\n".join(document) for document in documents)
    elif file_format == "jsonl":
        content = "\n".join(json.dumps({"id": str(n), "sentences": d}) for n, d in enumerate(documents))
    else:
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


def test_predict_orders_long_documents_among_short_ones(command: Command, trained: Path, tmp_path: Path) -> None:
    story = (sentence for _, sentences, _ in generate("train", 5, 10_000) for sentence in sentences)
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
    ("name", "content", "named"),
    [
        ("in.jsonl", '{"sentences": ["a", "b"]}\n{', "in.jsonl:2"),
        ("in.txt", "", "in.txt"),
        ("in.txt", "alone\n\nalone too\n", "in.txt"),
        ("in.pdf", "x", "format=jsonl"),
        (None, None, "in.txt"),
    ],
)
def test_predict_refuses_bad_input_and_writes_nothing(
    command: Command, trained: Path, tmp_path: Path, name: str | None, content: str | None, named: str
) -> None:
    if name is not None and content is not None:
        (tmp_path / name).write_text(content)
    done = command("predict", f"checkpoint={trained}", f"input={name or 'in.txt'}", "output=out.jsonl")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert named in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*out.jsonl")), "no half-written output"


@pytest.mark.parametrize("name", ["evaluate", "predict"])
def test_a_full_disk_is_one_line(command: Command, trained: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "in.txt").write_text("One.\nTwo.\n")
    done = command(name, f"checkpoint={trained}", "output=/dev/full", *(["input=in.txt"] if name == "predict" else []))
    assert done.returncode == 1
    assert done.stderr.endswith("\nerror: /dev/full: No space left on device\n")
    assert "Traceback" not in done.stderr
    assert name == "predict" or "tau" in done.stderr, "the tables are there"


def test_folders_that_are_not_complete_checkpoints_are_refused(command: Command, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("One.\nTwo.\n")
    cases = {"nothing": "nothing", "empty": "config.json", "truncated": "model.safetensors", "damaged": "SHA256SUMS"}
    cases["other"] = "'bert'"
    (tmp_path / "empty").mkdir()
    for name in ("damaged", "truncated", "other"):
        shutil.copytree(trained / "checkpoints" / "best", tmp_path / name)
        weights = tmp_path / name / "model.safetensors"
        if name != "damaged":
            (tmp_path / name / "SHA256SUMS").unlink()
        if name != "other":
            weights.write_bytes(weights.read_bytes()[:-1000])
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    for name, named in cases.items():
        done = command("predict", f"checkpoint={name}", "input=in.txt")
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("error: checkpoint: ")
        assert named in done.stderr.splitlines()[-1]


def test_a_half_frozen_model_trains_on_the_users_files(
    command: Command, story_files: dict[str, Path], tmp_path: Path
) -> None:
    files = [f"data.{split}={path}" for split, path in story_files.items()]
    done = command("train", "debug=smoke", "data=jsonl", *files, "freeze=bottom_half", "loss=margin", "output_dir=run")
    assert done.returncode == 0, done.stderr
    for frozen in ("embeddings", "layer_0 to layer_1"):
        (row,) = (line for line in done.stderr.splitlines() if line.startswith(f"│ {frozen} "))
        assert "frozen" in row
    train = results_of(tmp_path / "run")["train"]
    assert train["documents"] == 80
    assert train["frozen"] == ["embeddings", "layer_0", "layer_1"]
    assert train["parameters_trained"] < train["parameters"]
    again = command("train", "debug=smoke", "data=jsonl", *files, "output_dir=run")
    assert again.returncode == 2
    assert "error: output_dir: run " in again.stderr


def test_a_run_starts_from_the_weights_of_another(command: Command, trained: Path, tmp_path: Path) -> None:
    start = ["debug=smoke", f"init_from={trained}", "optim.lr=0", "optim.head_lr=0", "trainer.max_steps=1"]
    done = command("train", *start, "output_dir=run")  # learns nothing, and so is what it started from
    assert done.returncode == 0, done.stderr
    assert f"weights of {trained}/checkpoints/best: encoder, 1 set layer, heads pairs and neighbours\n" in done.stderr
    found, expected = results_of(tmp_path / "run"), results_of(trained)
    assert found["test"]["per_document"] == expected["test"]["per_document"]
    for arguments, named in (
        (["model.set_layers=2"], "model.set_layers=1"),
        (["encoder.joint_from=0"], "encoder.joint_from=2"),
        (["encoder.tiny_layers=2"], "tiny (bert, 4 layers of width 96), and encoder.name is tiny (bert, 2 layers"),
        (["init_from=nowhere"], "nowhere"),
    ):
        done = command("train", *start, *arguments, "output_dir=other")
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("error: init_from: ")
        assert named in done.stderr.splitlines()[-1]


def test_mistakes_leave_no_folder(command: Command, story_files: dict[str, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"sentences": ["a", "b"]}\nnonsense\n')
    cases = [
        (["data=jsonl", f"data.train={bad}"], f"{bad}:2: "),
        (["freeze=encoder", "model.set_layers=0", "freeze.layers=5"], "freeze.layers: "),
        (["encoder.joint_from=9"], "encoder.joint_from: "),
        (["encoder.name=no/such-encoder"], "encoder.name: "),
        (["optim.schedule=staircase"], "optim.schedule: "),
    ]
    for arguments, named in cases:
        done = command("train", "debug=smoke", "output_dir=run", *arguments)
        assert done.returncode == 2, done.stderr
        assert done.stderr.splitlines()[-1].startswith(f"error: {named}")
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "run").exists()


def test_overfit_orders_its_documents_or_fails(command: Command, story_files: dict[str, Path], tmp_path: Path) -> None:
    done = command("train", "debug=overfit", "encoder=tiny", "output_dir=run")
    assert done.returncode == 0, done.stderr
    assert results_of(tmp_path / "run")["validation"]["pmr"]["value"] == 1.0
    # Held-out files are not even read.
    broken = tmp_path / "broken.jsonl"
    broken.write_text("nonsense\n")
    files = ["data=jsonl", f"data.train={story_files['train']}", f"data.validation={broken}", f"data.test={broken}"]
    hopeless = command(
        "train", "debug=overfit", "encoder=tiny", "optim.lr=0", "optim.head_lr=0", "trainer.max_steps=10", *files
    )
    assert hopeless.returncode == 1
    assert "error: " in hopeless.stderr
    assert "debug=overfit" in hopeless.stderr


def test_anomaly_detection_is_reproducible_and_logs_the_norm_of_each_block(command: Command, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("encoder", OTHERS)
def test_anomaly_detection_accepts_other_encoders(
    command: Command, encoder_folder: Callable[[str], str], tmp_path: Path, encoder: str
) -> None:
    limits = [f"data.limit_{split}=6" for split in ("train", "validation", "test")]
    name = f"encoder.name={encoder_folder(encoder)}"
    done = command("train", "debug=anomaly", name, *limits, "trainer.max_steps=2", "output_dir=run")
    assert done.returncode == 0, done.stderr
    first = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert all(first[f"train/gradient_norm/{block}"] > 0 for block in ("embeddings", "layer_0", "layer_3", "heads"))


def test_report_compares_two_evaluations(command: Command, trained: Path, tmp_path: Path) -> None:
    for name, arguments in (("borda", ["decoder=borda"]), ("few", ["data.limit_test=10"])):
        done = command("evaluate", f"checkpoint={trained}", *arguments, f"output={name}.json")
        assert done.returncode == 0, done.stderr
    exact = str(trained / "results.json")
    done = command("report", exact, "borda.json", "--json", "both.json", "--resamples", "500")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "both.json").read_text())
    assert found["documents"] == 40
    row = found["metrics"]["tau"]
    assert row["a"] == pytest.approx(results_of(trained)["test"]["tau"]["value"])
    assert row["difference"]["value"] == pytest.approx(row["b"] - row["a"])
    assert row["difference"]["low"] <= row["difference"]["value"] <= row["difference"]["high"]
    done = command("report", exact, "few.json", "--json", "both.json", "--resamples", "500")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "both.json").read_text())
    assert found["documents"] == 10
    assert {row["p"] for row in found["metrics"].values()} == {1.0}, "the same orders of the ten"


def test_predict_abstains_below_the_threshold(command: Command, trained: Path, tmp_path: Path) -> None:
    documents = [sentences[::-1] for _, sentences, _ in generate("test", 9, 12)]
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
    assert f"abstained from {len(abstained)} " in done.stderr
    for record in abstained:
        assert record["sentences"] == documents[int(record["id"])]
    one = json.dumps({"id": "one", "sentences": documents[0]})
    done = command("predict", f"checkpoint={trained}", "input=-", "format=jsonl", "threshold=1", stdin=one)
    assert "ordered 0 documents; abstained from 1 with a confidence below 1" in done.stderr
