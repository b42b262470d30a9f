"""Tells whether one result is better than another: python -m sentence_order.compare A B [--output FILE]."""

import argparse
import sys
from pathlib import Path

from sentence_order.errors import UserError
from sentence_order.files import check_output


def main() -> None:
    """The console script `sentence-order-compare`."""
    parser = argparse.ArgumentParser(
        prog="sentence-order-compare",
        description="Compares two results on the documents that both have: each metric's difference, B less A, with "
        "its 95 %% interval (paired bootstrap) and how likely so large a one is by chance (paired permutation test).",
    )
    parser.add_argument("a", metavar="A", help="a run's folder, or what evaluate wrote to output=FILE")
    parser.add_argument("b", metavar="B", help="likewise")
    parser.add_argument("--split", default="test", choices=["validation", "test"], help="by default test")
    parser.add_argument("--resamples", type=int, default=10_000, help="of bootstrap and test; by default 10,000")
    parser.add_argument("--seed", type=int, default=0, help="of the draws; by default 0")
    parser.add_argument("--output", type=Path, help="a JSON file; by default standard output")
    arguments = parser.parse_args()
    if arguments.resamples < 1 or arguments.seed < 0:
        parser.error("--resamples is above zero, and --seed not below it")
    try:
        check_output("--output", arguments.output)
        _compare(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _compare(arguments: argparse.Namespace) -> None:
    from sentence_order.console import comparison_table, console
    from sentence_order.results import put_out, read_results, shared_documents
    from sentence_order.statistics import compare

    first, second = (read_results(path, arguments.split) for path in (arguments.a, arguments.b))
    ids, (counts_a, counts_b) = shared_documents([first, second])
    found = compare(counts_a, counts_b, resamples=arguments.resamples, seed=arguments.seed)
    left_out = len(first["per_document"]["id"]) + len(second["per_document"]["id"]) - 2 * len(ids)
    console.print(comparison_table(f"{len(ids):,} documents: A {arguments.a}, B {arguments.b}", found))
    if left_out:
        console.print(f"{left_out:,} documents that only one of them has are left out")
    record = {"a": arguments.a, "b": arguments.b, "split": arguments.split, "documents": len(ids), "metrics": found}
    put_out(record, arguments.output)


if __name__ == "__main__":
    main()
