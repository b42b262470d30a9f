"""Says what came of some runs: python -m sentence_order.report RUNS... [--output DIR]."""

import argparse
import sys
from pathlib import Path

from sentence_order.errors import UserError
from sentence_order.files import check_writable


def main() -> None:
    """The console script `sentence-order-report`."""
    parser = argparse.ArgumentParser(
        prog="sentence-order-report",
        description="Groups runs that differ in their seed only, compares these arms, and writes report.md (a verdict, "
        "tables, pictures), report.csv, report.tex and the pictures as PNG and SVG.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUNS", help="folders of runs or of sweeps")
    parser.add_argument("--output", type=Path, help="a folder; by default report/ in the first of RUNS")
    parser.add_argument("--baseline", help="the arm to compare with; by default that of the most trained parameters")
    parser.add_argument("--margin", type=float, help="the loss of tau that a faster arm may have; by default 0.02")
    arguments = parser.parse_args()
    if arguments.margin is not None and not arguments.margin >= 0:
        parser.error("--margin is zero or more")
    output = arguments.output or arguments.runs[0] / "report"
    try:
        if output.is_file():
            raise UserError(f"--output: {output} is a file; name a folder")
        check_writable("--output", output)
        from sentence_order.reporting import write_report

        sentences = write_report(arguments.runs, output, arguments.baseline, arguments.margin)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print("\n".join(sentences).replace("**", ""))
    print(f"\n{output / 'report.md'}")


if __name__ == "__main__":
    main()
