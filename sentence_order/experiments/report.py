"""From the folders of runs to a report: the settings that were compared, their quality, and how certain that is."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.markup import escape

from sentence_order.config.schema import MARGIN
from sentence_order.data.groups import group_label, rows_by_group
from sentence_order.errors import UserError, counted
from sentence_order.evaluation.metrics import PRIMARY_METRIC
from sentence_order.evaluation.results import read_results, shared_documents, write_json
from sentence_order.evaluation.statistics import compare_results
from sentence_order.evaluation.tables import comparison_table
from sentence_order.experiments import tables
from sentence_order.experiments.estimates import compare_arms
from sentence_order.experiments.job import FAILURES
from sentence_order.experiments.pictures import draw
from sentence_order.experiments.runs import Run, find_runs, group_by_corpus, group_runs, name_corpora
from sentence_order.experiments.search import choose_by_validation
from sentence_order.experiments.verdict import verdict
from sentence_order.runtime.console import console
from sentence_order.runtime.files import atomic_file

REPORT_FILE = "report.md"
FILES = [
    REPORT_FILE,
    "report.csv",
    "report.tex",
    *(f"{Path(png).stem}.{suffix}" for png in tables.CAPTIONS for suffix in ("png", "svg")),
]


def write_report(paths: Sequence[Path], output: Path, baseline: str | None = None, margin: float = MARGIN) -> list[str]:
    """Writes `report.md`, `report.csv`, `report.tex` and the pictures into the folder `output`; returns the verdict.

    Runs on several corpora come apart: each has its files in a folder there, to which `report.md` leads. Raises
    UserError if there are no finished runs, they cannot be compared, there is no such baseline, or the folder holds
    files of these names that are of no report.
    """
    runs, unfinished = find_runs(paths)
    corpora, left_out = group_by_corpus(runs), _describe_left_out(paths, runs, unfinished)
    if len(corpora) == 1:
        return _write_one(paths, output, runs, left_out, baseline, margin)

    _check_replaceable(output, FILES)
    named = [any(baseline in (arm.name, arm.name_in_full) for arm in group_runs(runs)[0]) for runs in corpora]
    verdicts = {}
    for name, members, is_there in zip(name_corpora(corpora), corpora, named, strict=True):
        own_baseline = baseline if is_there or not any(named) else None
        try:
            verdicts[name] = _write_one(paths, output / name, members, [], own_baseline, margin)
        except UserError as error:  # such as a single test document
            names = ", ".join(run.folder.name for run in members)
            left_out += _list_left_out("on a corpus of their own", [f"{names} ({error})"])
    if not verdicts:
        raise UserError(" ".join(left_out))
    with atomic_file(output / REPORT_FILE) as stream:
        stream.write(tables.list_reports(verdicts, left_out, paths))
    for file in FILES[1:]:
        (output / file).unlink(missing_ok=True)  # of an earlier report
    return [*(f"{name}: {sentence}" for name, own in verdicts.items() for sentence in own), *left_out]


def _write_one(
    paths: Sequence[Path], output: Path, runs: list[Run], left_out: list[str], baseline: str | None, margin: float
) -> list[str]:
    """The report on runs on one corpus."""
    arms, repeats = group_runs(runs)
    choice = choose_by_validation(arms)
    comparison = compare_arms(arms, choice.arm.name if choice and baseline is None else baseline)
    sentences = verdict(comparison, margin, choice)
    if comparison.documents_left_out:
        sentences.append(
            f"Not all runs were tested on the same documents: the numbers are of the {comparison.documents:,} that all "
            f"have, and up to {comparison.documents_left_out:,} of a run are left out."
        )
    sentences += [
        *left_out,
        *_list_left_out("with the config and seed of another run", [run.folder.name for run in repeats]),
    ]

    # Everything is made before the first file is written.
    pictures = draw(comparison)
    files = {
        # First: by it the next report knows the other files as those of a report, also if this one is killed.
        REPORT_FILE: tables.as_markdown(comparison, sentences, [*pictures], paths).encode(),
        "report.csv": tables.as_csv(comparison).encode(),
        "report.tex": tables.as_latex(comparison).encode(),
        **pictures,
    }
    _check_replaceable(output, list(files))
    for name, content in files.items():
        with atomic_file(output / name, "wb") as stream:
            stream.write(content)
    return sentences


def _describe_left_out(paths: Sequence[Path], runs: Sequence[Run], unfinished: Sequence[Path]) -> list[str]:
    """Sentences about the runs that have failed or are not finished."""
    files = {file.parents[1] / file.stem: file for path in paths for file in sorted(path.glob(f"{FAILURES}/*.txt"))}
    failed = [folder for folder in files if folder not in {run.folder for run in runs}]
    errors = [files[folder].read_text(encoding="utf-8", errors="replace").strip() for folder in failed]
    return [
        *_list_left_out("failed", [f"{folder.name} ({error})" for folder, error in zip(failed, errors, strict=True)]),
        *_list_left_out("not finished", [folder.name for folder in unfinished if folder not in failed]),
    ]


def _list_left_out(why: str, who: list[str]) -> list[str]:
    return [f"Left out, {why}: {'; '.join(who)}."] if who else []


def _check_replaceable(folder: Path, names: Sequence[str]) -> None:
    """Raises UserError if files of these names are there which are not those of an earlier report."""
    there = [folder / name for name in names if (folder / name).exists()]
    written_by = tables.COMMAND.encode()
    if there and not (there[0].name == REPORT_FILE and written_by in there[0].read_bytes()):
        raise UserError(f"--output: {there[0]} is not of a report of this program, and is not replaced")


def compare_pair(paths: Sequence[Path], split: str, resamples: int, seed: int, json: Path | None) -> None:
    """Prints how two results differ, document by document, and writes it to the file `json`, if that is given."""
    results = [read_results(path, split) for path in paths]
    a, b = map(str, paths)
    try:
        groups, counts = shared_documents(results)
    except UserError as error:
        raise UserError(f"{a} and {b}: {error}") from error
    documents, compare = len(groups), partial(compare_results, resamples=resamples, seed=seed)
    metrics = compare(*counts)
    for group, rows_R in rows_by_group(groups).items():
        own = ({name: count_D[rows_R] for name, count_D in result.items()} for result in counts)
        metrics[f"{PRIMARY_METRIC}/{group_label(group)}"] = compare(*own)[PRIMARY_METRIC]
    console.print(comparison_table(escape(f"{counted(documents, 'document')}: A {a}, B {b}"), metrics))
    left_out = sum(len(result["per_document"]["text"]) for result in results) - 2 * documents
    if left_out:
        console.print(f"left out: {counted(left_out, 'document')} that only one of them has")
    if json is not None:
        write_json(json, {"a": a, "b": b, "split": split, "documents": documents, "metrics": metrics})
