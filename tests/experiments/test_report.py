"""The report: its verdict, tables and pictures; and the comparison of two results."""

import csv
import json
import random
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import IO

import pytest
from matplotlib.figure import Figure

from sentence_order.errors import UserError
from sentence_order.experiments.report import FILES, write_report
from sentence_order.report import REPORT_FILES, main
from tests.experiments.runs import make_run
from tests.forks import Server

Command = Callable[..., CompletedProcess[str]]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Nothing frozen, the embeddings (as good, faster), and a layer with them (clearly worse, fastest)."""
    draw = random.Random(0)
    base = [draw.randrange(1, 5) for _ in range(300)]
    for seed in (0, 1):
        settings = [f"seed={seed}"]
        alike = [wrong + draw.choice((-1, 0, 0, 1)) for wrong in base]
        make_run(tmp_path / f"none{seed}", settings, base, seconds=100 + seed, started=seed)
        frozen = ["freeze.depth=embeddings", *settings]
        make_run(tmp_path / f"emb{seed}", frozen, alike, frozen=1, seconds=60 + seed, started=2 + seed)
        frozen = ["freeze.depth=1", *settings]
        worse = [wrong + 2 for wrong in base]
        make_run(tmp_path / f"layer{seed}", frozen, worse, frozen=2, seconds=10 + seed, started=4 + seed)
    return tmp_path


def test_verdict_names_the_cost_and_the_best_trade_off(runs: Path) -> None:
    cost, trade_off, beyond_chance, limits = write_report([runs], runs / "report", margin=0.05)
    assert "50 % as many parameters train as with nothing frozen. It costs 0.400 of tau (0." in cost
    assert "saves 90 % of the training time (10 s against 100 s, and 10 s once to fill the prefix cache)" in cost
    assert trade_off.startswith("The best trade-off is **embeddings frozen**: tau 0.")
    assert "saves 40 % of the training time" in trade_off
    assert "loses less than 0.05 of tau; no faster arm is shown to stay within 0.05." in trade_off
    assert (
        "beyond chance in 1 of 2 arms (embeddings + 1 layer); no difference is shown for embeddings." in beyond_chance
    )
    assert "2 seeds per arm and 300 test documents" in limits
    strict = write_report([runs], runs / "strict", margin=0.0)
    assert strict[1].startswith("No faster arm is shown to lose less than 0 of tau. The nearest to that is **e")


def test_verdict_says_that_there_is_one_seed(tmp_path: Path) -> None:
    make_run(tmp_path / "a", [], [0, 1, 2])
    make_run(tmp_path / "b", ["model.pooling=first"], [1, 1, 3], seconds=120, started=1)
    best, trade_off, beyond_chance, limits = write_report([tmp_path], tmp_path / "report")
    assert best.startswith("No arm has a greater tau than **pooling: mean**: 0.800 (")
    assert trade_off == "No arm trains in less time than pooling: mean (100 s)."
    assert beyond_chance == "The tau of pooling: first does not differ beyond chance from that of pooling: mean."
    assert "how much another seed would change is not known, and the intervals leave it out." in limits


def test_a_few_documents_that_come_out_alike_show_nothing(tmp_path: Path) -> None:
    make_run(tmp_path / "a", [], [0, 0, 0])
    make_run(tmp_path / "b", ["model.pooling=first"], [0, 0, 0], seconds=50, started=1)
    _, trade_off, _, limits = write_report([tmp_path], tmp_path / "report")
    assert trade_off.startswith("No faster arm is shown to lose less than 0.02 of tau.")
    assert "3 test documents, which are too few for intervals that one can rely on: how" in limits


def test_the_verdict_on_a_search_is_the_choice_by_validation(tmp_path: Path) -> None:
    """Though another setting is better on the test documents."""
    for number, tau in enumerate((0.3, 0.5, 0.4)):
        make_run(tmp_path / f"{number}", [f"optim.lr={number + 1}e-5"], [2 - number, 2, 3], curve=[0.1, tau])
    choice, why, limits = write_report([tmp_path], tmp_path / "report")
    assert choice.startswith(
        f"Best of 3 by validation tau: optim.lr=2e-05, 0.500 -> {tmp_path}/1. On the test documents"
    )
    assert "its tau is **0.600 (" in choice
    assert "the test values of the other settings had no part in it" in why
    assert "3 test documents" in limits
    text = (tmp_path / "report" / "report.md").read_text()
    assert "Differences from **lr: 2e-05**" in text
    assert "greatest tau" not in text


def test_runs_on_several_corpora_come_apart(tmp_path: Path) -> None:
    """Each corpus has a report in a folder of its own, to which one page leads."""
    for corpus in ("x/roc.jsonl", "x/sind.jsonl"):
        for seed, depth in ((0, "none"), (1, "none"), (0, "all"), (1, "all")):
            name = f"{Path(corpus).stem}-{depth}-{seed}"
            settings = ["data=jsonl", f"data.train={corpus}", f"freeze.depth={depth}", f"seed={seed}"]
            run = make_run(tmp_path / name, settings, [0, 1, 2, 3 * seed], frozen=3 * (depth == "all"))
            text = (run / "results.json").read_text()
            (run / "results.json").write_text(text.replace('"0000', f'"{Path(corpus).stem[0] * 4}'))
    report = tmp_path / "report"
    write_report([tmp_path / f"roc-none-{seed}" for seed in (0, 1)], report)
    assert (report / "report.csv").exists()

    sentences = write_report([tmp_path], report)
    assert {file.name for file in report.iterdir()} == {"report.md", "roc", "sind"}, "nothing of the earlier report"
    page = (report / "report.md").read_text()
    for name in ("roc", "sind"):
        assert f"\n## [{name}]({name}/report.md)\n" in page
        assert any(sentence.startswith(f"{name}: With **the whole encoder frozen**") for sentence in sentences)
        with (report / name / "report.csv").open() as stream:
            assert {row["arm"] for row in csv.DictReader(stream)} == {"none", "whole encoder"}
        assert (report / name / "report.tex").exists()
        assert {"roc": "sind", "sind": "roc"}[name] not in (report / name / "report.md").read_text()

    write_report([tmp_path], report, baseline="whole encoder")
    assert "Differences from **whole encoder**" in (report / "roc" / "report.md").read_text()
    with pytest.raises(UserError, match="--baseline: unknown arm 'half'"):
        write_report([tmp_path], report, baseline="half")


def test_a_single_arm_is_compared_with_nothing(tmp_path: Path) -> None:
    make_run(tmp_path / "a", [], [0, 1, 2])
    assert write_report([tmp_path], tmp_path / "report")[0].startswith(
        "There is one arm, and nothing to compare: tau 0.8"
    )
    assert "Differences from **" not in (tmp_path / "report" / "report.md").read_text()


def test_report_has_tables_and_pictures(runs: Path) -> None:
    write_report([runs], runs / "report")
    names = {"tau_against_time", "quality_by_depth", "learning_curves"}
    pictures = {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert {file.name for file in (runs / "report").iterdir()} == {"report.md", "report.csv", "report.tex"} | pictures
    for name in names:
        assert (runs / "report" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "embeddings + 1 layer" in (runs / "report" / "tau_against_time.svg").read_text(), "text stays text"
    text = (runs / "report" / "report.md").read_text()
    assert text.startswith(
        "# Depths of freezing: tiny, synthetic, 1 epoch\n\n6 runs in 3 arms, with the seeds 0, 1, start"
    )
    assert "\n\nWith **embeddings + 1 layer frozen**" in text
    assert "| none | 2 | 0." in text
    columns = "| arm | tau (95 %), p | PMR (95 %), p | accuracy (95 %), p | training time |"
    assert f"\n\nDifferences from **none**:\n\n{columns}" in text, "in the order of the first table"
    assert "![quality and training time by what is frozen](quality_by_depth.png)" in text
    assert "`emb0` (seed 0), `emb1` (seed 1)" in text
    with (runs / "report" / "report.csv").open() as stream:
        rows = {row["arm"]: row for row in csv.DictReader(stream)}
    assert list(rows) == ["none", "embeddings", "embeddings + 1 layer"]
    worst = rows["embeddings + 1 layer"]
    assert float(worst["tau_low"]) < float(worst["tau"]) < float(worst["tau_high"])
    assert float(worst["tau_difference"]) == pytest.approx(-0.4)
    assert float(worst["tau_difference_p"]) < 0.001
    assert rows["none"]["tau_difference"] == ""
    latex = (runs / "report" / "report.tex").read_text()
    assert latex.startswith(r"\begin{tabular}")
    assert r"(100 \%)" in latex


def test_every_column_of_learning_curves_has_labels_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the row below has fewer panels."""
    for number, rate in enumerate((1e-5, 2e-5, 3e-5, 4e-5, 5e-5)):
        make_run(tmp_path / str(number), [f"optim.lr={rate}"], [0, 1, 2 + number], started=number)
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *args, **kw: [figures.append(figure), save(figure, *args, **kw)]
    )
    write_report([tmp_path], tmp_path / "report")
    panels = [axes for axes in figures[-1].axes if axes.get_visible()]
    labelled = [any(label.get_visible() for label in axes.get_xticklabels()) for axes in panels]
    assert labelled == [False, True, True, True, True]


@pytest.mark.filterwarnings("error")  # of a layout that does not fit
def test_encoders_of_different_size_have_a_picture_by_parameters(tmp_path: Path) -> None:
    """The baseline is the largest encoder, trained as a whole."""
    sizes = {"jhu-clsp/ettin-encoder-17m": 17, "sentence-transformers/all-MiniLM-L6-v2": 23, "google/bert": 110}
    for number, (name, millions) in enumerate(sizes.items()):
        for depth, frozen in {"none": 0, "all": 3}.items():
            settings = [f"encoder.name={name}", f"freeze.depth={depth}"]
            wrong = [0, 1 + frozen, 3 - number]
            size = {"parameters": millions * 10**6, "seconds": millions / (1 + frozen)}
            make_run(tmp_path / f"{number}{depth}", settings, wrong, frozen=frozen, started=number, **size)
    write_report([tmp_path], tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "(tau_against_parameters.png)" in text
    assert "Differences from **encoder: bert, frozen: none**" in text
    assert re.search(r"\| encoder: all-MiniLM-L6-v2, frozen: none \| .* \| 23.0 M \| 23.0 M \(100 %\) \|", text)
    assert "as many parameters train" not in text, "with another encoder, more than what is frozen differs"
    picture = (tmp_path / "report" / "tau_against_parameters.svg").read_text()
    assert "all parameters, millions (logarithmic)" in picture


@pytest.mark.filterwarnings("error")  # of a layout that does not fit
def test_arms_of_different_data_have_names_that_fit(tmp_path: Path) -> None:
    for number in range(6):
        files = [f"data.{split}={tmp_path}/corpora/{'long_' * 9}{number}/{split}.jsonl" for split in ("train", "test")]
        make_run(tmp_path / f"run{number}", ["data=jsonl", *files], [0, 1, number], started=number)
    write_report([tmp_path], tmp_path / "report")
    with (tmp_path / "report" / "report.csv").open() as stream:
        names = [row["arm"] for row in csv.DictReader(stream)]
    assert len(set(names)) == 6
    assert names[0] == f"train: {'long_' * 9}0"
    text = (tmp_path / "report" / "report.md").read_text()
    assert text.startswith("# Arms by train, test: tiny, 1 epoch\n")
    assert f"test: {tmp_path}/corpora/".replace("_", r"\_") in text, "in full, below the tables"


def test_names_that_are_too_long_keep_the_encoder(tmp_path: Path) -> None:
    """And leave out how many of its layers are frozen, which tells no arms apart that the encoder does not."""
    encoders = {2: "all-MiniLM-L6-v2", 3: "all-mpnet-base-v2"}
    for frozen, encoder in encoders.items():
        settings = [f"encoder.name=sentence-transformers/{encoder}", f"data.limit_train={frozen * 4_000}"]
        make_run(tmp_path / str(frozen), settings, [0, 1], frozen=frozen, started=frozen)
    write_report([tmp_path], tmp_path / "report")
    with (tmp_path / "report" / "report.csv").open() as stream:
        assert [row["arm"] for row in csv.DictReader(stream)] == [f"encoder: {name}" for name in encoders.values()]


def test_what_failed_or_is_not_finished_is_named(command: Command, tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_run(tmp_path / "runs" / name, [], [0, 1, 2])
    (tmp_path / "runs" / "b" / "results.json").unlink()
    (tmp_path / "runs" / "failures").mkdir()
    (tmp_path / "runs" / "failures" / "lr=9.txt").write_text("the loss is nan\n")
    done = command("report", "runs")
    for text in (done.stdout, (tmp_path / "runs" / "report" / "report.md").read_text()):
        assert "Left out, failed: lr=9 (the loss is nan)." in text
        assert "Left out, not finished: b." in text


def test_the_command_knows_all_files_of_a_report(runs: Path) -> None:
    """It refuses to write another output over one of them."""
    write_report([runs], runs / "report")
    assert sorted(REPORT_FILES) == sorted(FILES)
    assert {file.name for file in (runs / "report").iterdir()} <= {*FILES}


def test_the_same_runs_give_the_same_files(runs: Path) -> None:
    for name in ("one", "other"):
        write_report([runs], runs / name)
    for file in (runs / "one").iterdir():
        assert file.read_bytes() == (runs / "other" / file.name).read_bytes(), file.name


def test_a_report_that_is_interrupted_leaves_no_picture_and_one_line(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(figure: Figure, file: IO[bytes], **settings: object) -> None:
        if settings["format"] == "svg":
            raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", interrupted)
    monkeypatch.setattr("sys.argv", ["report", str(runs)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    assert not (runs / "report").exists()


def test_a_report_that_is_killed_or_finds_no_space_leaves_nothing_incomplete(forks: Server, tmp_path: Path) -> None:
    make_run(tmp_path / "run", [], [0, 1, 2])
    done = forks.run("tests.faults", ["kill:picture:2", "report", "run"], tmp_path, None, {})
    assert done.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("run/report/*"))
    done = forks.run("tests.faults", ["full:sync:1", "report", "run"], tmp_path, None, {})
    assert done.returncode == 1
    assert done.stderr == "error: run/report/report.md: No space left on device\n"
    assert not list(tmp_path.glob("run/report/*"))


@pytest.mark.parametrize("name", ["report.md", "report.csv", "tau_against_time.png"])
def test_a_report_replaces_earlier_reports_and_no_other_file(tmp_path: Path, name: str) -> None:
    make_run(tmp_path / "run", [], [0, 1, 2])
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / name).write_text("mine")
    with pytest.raises(UserError, match=rf"--output: .*{name} is not of a report of this program, and is not replaced"):
        write_report([tmp_path], notes)
    assert [file.read_text() for file in notes.iterdir()] == ["mine"]

    write_report([tmp_path], tmp_path / "report")
    make_run(tmp_path / "other", ["optim.lr=1e-4"], [1, 1, 3], started=1)
    write_report([tmp_path], tmp_path / "report")
    assert len((tmp_path / "report" / "report.csv").read_text().splitlines()) == 3  # its head, and an arm a line


def test_report_has_the_arms_by_group(command: Command, tmp_path: Path) -> None:
    """Also if one of the runs was tested without; a group of one document has no interval, and is left out."""
    groups = ["known|plots", "known|plots", "new", "new", "single"]
    make_run(tmp_path / "a", [], [0, 2, 4, 6, 1], groups=groups)
    make_run(tmp_path / "b", ["optim.lr=1e-4"], [1, 3, 5, 6, 1], started=1)
    done = command("report", "a", "b", "--resamples", "50", "--json", "both.json")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "a" / "report" / "report.md").read_text()
    table = text.split("By group of documents:\n\n")[1].splitlines()
    assert table[0] == r"| arm | tau/known\|plots (2) | tau/new (2) |"
    assert [line.split("| ")[2].split(" ")[0] for line in table[2:4]] == ["0.800", "0.600"]
    assert [line.split("| ")[3].split(" ")[0] for line in table[2:4]] == ["0.000", "-0.100"]
    rows = csv.DictReader((tmp_path / "a" / "report" / "report.csv").read_text().splitlines())
    assert [float(row["tau/new"]) for row in rows] == pytest.approx([0, -0.1])
    found = json.loads((tmp_path / "both.json").read_text())["metrics"]["tau/known|plots"]
    assert [found["a"], found["b"], found["difference"]["value"]] == pytest.approx([0.8, 0.6, -0.2])
    assert "tau/known|plots" in done.stderr


def test_arms_that_freeze_the_same_have_no_picture_by_depth(tmp_path: Path) -> None:
    for number in range(3):
        make_run(tmp_path / str(number), [f"optim.lr={number + 1}e-5"], [0, number, 1], started=number)
    write_report([tmp_path], tmp_path / "report")
    assert not (tmp_path / "report" / "quality_by_depth.png").exists()
    assert (tmp_path / "report" / "tau_against_time.png").exists()


def test_the_command_prints_the_verdict_and_names_mistakes(command: Command, runs: Path) -> None:
    done = command("report", str(runs))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("With embeddings + 1 layer frozen, 50 % as many parameters train")
    assert (runs / "report" / "report.md").exists()
    for arguments, named in (
        ([str(runs / "nowhere")], "nowhere"),
        ([str(runs), "--baseline", "half"], "--baseline"),
        ([str(runs), "--output", str(runs / "none0" / "config.yaml")], "--output"),
        ([str(runs), "--json", str(runs / "both.json")], "--json"),
        ([str(runs / "none0" / "results.json")], "pairs"),
    ):
        done = command("report", *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert named in done.stderr


@pytest.mark.parametrize("option", ["--margin=-1", "--resamples=0", "--seed=-1", "--split=train"])
def test_options_out_of_range_are_refused(command: Command, option: str) -> None:
    done = command("report", "runs", option)
    assert done.returncode == 2
    assert option.split("=")[0] in done.stderr.splitlines()[-1]


def test_two_results_are_compared_document_by_document(command: Command, tmp_path: Path) -> None:
    """Two runs are also reported on; of two files there is the comparison alone."""
    make_run(tmp_path / "a", [], [0, 1, 2, 3])
    make_run(tmp_path / "b", ["optim.lr=1e-4"], [0, 2, 2, 5], started=1)
    expected = [1 - 2 * wrong / 10 for wrong in (6 / 4, 9 / 4)]
    files = [str(tmp_path / name / "results.json") for name in "ab"]
    for paths in ([str(tmp_path / name) for name in "ab"], files, [str(tmp_path / "a"), files[1]]):
        done = command("report", *paths, "--json", "both.json", "--resamples", "200")
        assert done.returncode == 0, done.stderr
        found = json.loads((tmp_path / "both.json").read_text())
        assert (found["a"], found["b"], found["documents"]) == (*paths, 4)
        row = found["metrics"]["tau"]
        assert [row["a"], row["b"]] == pytest.approx(expected)
        difference = row["difference"]
        assert difference["value"] == pytest.approx(expected[1] - expected[0])
        assert difference["low"] <= difference["value"] <= difference["high"]
        assert (tmp_path / "a" / "report" / "report.md").exists() == (paths != files)
        shutil.rmtree(tmp_path / "a" / "report", ignore_errors=True)


def test_documents_that_only_one_result_has_are_left_out(command: Command, tmp_path: Path) -> None:
    make_run(tmp_path / "a", [], [0, 1, 2, 3])
    make_run(tmp_path / "few", [], [0, 1])
    files = [str(tmp_path / name / "results.json") for name in ("a", "few")]
    done = command("report", *files, "--json", "both.json", "--resamples", "50")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "both.json").read_text())
    assert found["documents"] == 2
    assert {(row["difference"]["value"], row["p"]) for row in found["metrics"].values()} == {(0.0, 1.0)}
    assert "left out" in done.stderr


def test_files_that_are_not_results_are_refused(command: Command, tmp_path: Path) -> None:
    whole = make_run(tmp_path / "a", [], [0, 1, 2, 3]) / "results.json"
    early = json.loads(whole.read_text())
    del early["test"]["per_document"]["text"]
    (tmp_path / "early.json").write_text(json.dumps(early))
    unequal = json.loads(whole.read_text())
    unequal["test"]["per_document"]["correct"].pop()
    (tmp_path / "unequal.json").write_text(json.dumps(unequal))
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "deep.json").write_bytes(b"[" * 100_000)
    for arguments, named in (
        (["bad.json"], "bad.json"),
        (["deep.json"], "deep.json"),
        (["none.json"], "none.json"),
        (["early.json"], "no 'text', which an earlier version did not record"),
        (["unequal.json"], "unequal.json"),
        ([str(whole), "--json", str(whole)], "is read by this command"),
        ([str(whole), "--split", "validation"], "validation"),
        ([str(whole), "--json", "."], "--json"),
    ):
        done = command("report", str(whole), *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert named in done.stderr


NAME = r"a_b:x|y & #1 $2 50%~^{z}\input{f} [red]*<b>"


def test_names_of_arms_are_shown_as_they_are(tmp_path: Path) -> None:
    """They may hold paths, and these what Markdown and LaTeX take for their own."""
    for number, name in enumerate((NAME, "plain")):
        config = ["data=jsonl", f"data.train='{name}'"]
        make_run(tmp_path / str(number), config, [0, 1, 2], started=number)
    sentences = write_report([tmp_path], tmp_path / "report")
    assert NAME in sentences[0]
    latex = (tmp_path / "report" / "report.tex").read_text()
    escaped = r"a\_b:x|y \& \#1 \$2 50\%\textasciitilde{}\textasciicircum{}\{z\}\textbackslash{}input\{f\} [red]*<b>"
    assert escaped in latex
    lines = (tmp_path / "report" / "report.md").read_text().splitlines()
    tables = [line for line in lines if line.startswith("| ")]
    assert {line.replace(r"\|", "").count("|") for line in tables if "train" in line and "seeds" not in line} == {11, 6}
    assert not any(NAME in line for line in lines)


def test_names_of_results_are_no_markup(command: Command, tmp_path: Path) -> None:
    (tmp_path / "[").mkdir()
    for name in ("A[red].json", "[/b].json"):
        shutil.copy(make_run(tmp_path / f"run{len(name)}", [], [0, 1, 2]) / "results.json", tmp_path / name)
    done = command("report", "A[red].json", "[/b].json")
    assert done.returncode == 0, done.stderr
    assert "A[red].json" in done.stderr.replace("\n", "")
