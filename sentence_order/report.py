"""Compares runs: python -m sentence_order.report RUNS... [--output DIR], or two results: ... report A B."""

import argparse
import sys

from sentence_order import version_text
from sentence_order.config import cli
from sentence_order.config.schema import MARGIN, MAX_RESAMPLES
from sentence_order.errors import UserError
from sentence_order.runtime.files import check_writable
from sentence_order.runtime.threads import spin_briefly
from sentence_order.training.outputs import check_overwrites
from sentence_order.training.run_dir import RESULTS_FILE

PICTURES = ("tau_against_time", "tau_against_parameters", "quality_by_depth", "learning_curves")
REPORT_FILES = [
    *("report.md", "report.csv", "report.tex"),
    *(f"{name}.{suffix}" for name in PICTURES for suffix in ("png", "svg")),
]


def main() -> None:
    """The console script `sentence-order-report`."""
    spin_briefly()
    parser = argparse.ArgumentParser(
        prog="sentence-order-report",
        description="Groups runs that differ in their seed only, compares these arms, and writes report.md (a verdict, "
        "tables, pictures), report.csv, report.tex and the pictures as PNG and SVG. For exactly two results it also "
        "prints each metric's difference, B less A, with its 95 % interval (paired bootstrap) and p value (paired "
        "permutation test).",
    )
    paths = "folders of runs or sweeps, or two results files"
    parser.add_argument("paths", nargs="+", type=cli.path, metavar="RUNS", help=paths)
    parser.add_argument("--output", type=cli.path, help="a folder; default: report/ in the first of RUNS")
    parser.add_argument("--baseline", help="the arm to compare with; default: the one with the most trained parameters")
    margin = f"the loss of tau that a faster arm may have; default: {MARGIN}"
    parser.add_argument("--margin", type=float, default=MARGIN, help=margin)
    parser.add_argument("--split", default="test", choices=["validation", "test"], help="of two results; default: test")
    parser.add_argument("--resamples", type=int, default=10_000, help="of bootstrap and test; default: 10,000")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples; default: 0")
    parser.add_argument("--json", type=cli.path, help="a file for the comparison of two results")
    parser.add_argument("--version", action="version", version=version_text())
    arguments = parser.parse_args()

    if not arguments.margin >= 0:
        parser.error("--margin must be at least 0")
    if not 1 <= arguments.resamples <= MAX_RESAMPLES or arguments.seed < 0:
        parser.error(f"--resamples must be from 1 to {MAX_RESAMPLES:,}, and --seed at least 0")

    with cli.one_line_errors():
        cli.check_open(sys.stdout, "standard output")
        cli.refuse_overrides(map(str, arguments.paths), vars(arguments).keys() - {"paths"})
        _report(arguments)


def _report(arguments: argparse.Namespace) -> None:
    paths, output, json = arguments.paths, arguments.output, arguments.json
    if missing := [path for path in paths if not path.exists()]:
        raise UserError(f"{missing[0]}: no such file or folder; name folders of runs or sweeps, or two results files")
    folders = [path for path in paths if path.is_dir()]
    # Of files, or of the folders of runs, which hold one; not of the folders of sweeps.
    paired = len(paths) == 2 and all(path.is_file() or (path / RESULTS_FILE).is_file() for path in paths)
    if len(folders) < len(paths) and not paired:
        raise UserError("results files are compared in pairs: name two results, each a file or a run's folder")
    if json is not None and not paired:
        raise UserError("--json: it is for the comparison of two results, each a file or a run's folder")

    if output is not None and output.is_file():
        raise UserError(f"--output: {output} is a file; name a folder")
    written = []
    if folders:
        output = output or folders[0] / "report"
        check_writable("--output", output)
        written = [output / name for name in REPORT_FILES]
    for file in written:
        check_overwrites("--output", file, paths)
    check_overwrites("--json", json, [*paths, *written])

    from sentence_order.experiments.report import compare_pair, write_report

    if folders:
        print("\n".join(write_report(folders, output, arguments.baseline, arguments.margin)).replace("**", ""))
        print(f"\n{output / 'report.md'}")
    if paired:
        try:
            compare_pair(paths, arguments.split, arguments.resamples, arguments.seed, json)
        except UserError as error:  # such as results on two corpora
            if not folders or json is not None:
                raise
            print(f"not compared document by document: {error}")


if __name__ == "__main__":
    main()
