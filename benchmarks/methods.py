"""Every method on one corpus, each trained for the same time by the same code, and tested by the same evaluator.

    python -m benchmarks.methods [--minutes M] [--methods A,B] [--output FOLDER] [overrides]

The number of steps in these minutes is measured first, by turns, so that all methods see the same machine.
Prints Markdown; the runs stay in the folder, for `python -m sentence_order.report FOLDER/ours FOLDER/berson`.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.arms import format_documents_seen, format_intervals, measure_speed, train
from benchmarks.compose import compose, stop
from sentence_order.errors import UserError

LITERATURE = ("pair_cross_encoder", "berson", "sentence_pointer", "ranktxnet", "bert4so", "naon", "position_regression")
METHODS: dict[str, list[str]] = {"ours": [], **{name: [f"experiment={name}"] for name in LITERATURE}}
# Overrides of `evaluate` by which a method's checkpoint is evaluated again.
EVALUATE_AGAIN = {
    "ours": ["decoder=expected_tau"],
    "pair_cross_encoder": ["decoder=expected_tau", "decoder=topological", "decoder=borda"],
    "bert4so": ["shuffles=4"],
}
METRICS = ("accuracy", "accuracy_per_document", "pmr", "tau")
HEAD = """\
| method | parameters | documents seen | training | accuracy | per document | PMR | tau |
|---|---|---|---|---|---|---|---|"""


def format_row(name: str, results: dict[str, Any], metrics: dict[str, Any]) -> str:
    """A line of the table."""
    training = results["train"]
    return (
        f"| {name} | {training['parameters'] / 1e6:.1f} M | {format_documents_seen(training)} | "
        f"{training['seconds_in_steps']:.0f} s | {format_intervals(metrics, METRICS)} |"
    )


def evaluate(run: Path, device: list[str], setting: str) -> dict[str, Any]:
    """The metrics that `evaluate` finds on a run's test documents with another setting."""
    file = run / f"{setting.replace('=', '_')}.json"
    settings = [f"checkpoint={run}", *device, setting, f"output={file}"]
    subprocess.run([sys.executable, "-m", "sentence_order.evaluate", *settings], check=True)
    found: dict[str, Any] = json.loads(file.read_text())["test"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.methods", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5, help="of training, for every method; by default 5")
    parser.add_argument("--methods", default=",".join(METHODS), help=f"by default {','.join(METHODS)}")
    parser.add_argument("--output", type=Path, default=Path("outputs/methods"), help="by default outputs/methods")
    parser.add_argument("--turns", type=int, default=3, help="in which speed is measured")
    parser.add_argument("--seconds", type=float, default=8, help="of training in a turn")
    arguments, overrides = parser.parse_known_args()
    names = arguments.methods.split(",")
    if unknown := [name for name in names if name not in METHODS]:
        parser.error(f"--methods: {unknown[0]} is none of {', '.join(METHODS)}")
    if existing := [name for name in names if (arguments.output / name).exists()]:
        parser.error(f"--output: {arguments.output} has a run of {existing[0]}; name another folder, or remove it")
    overrides = ["data.limit_validation=500", "data.limit_test=2000", *overrides]
    settings = {name: METHODS[name] for name in names}
    try:
        for own in settings.values():
            compose([*own, *overrides])
        arms, documents = measure_speed(settings, overrides, arguments.turns, arguments.seconds)
    except UserError as error:
        stop(error)
    device = [override for override in overrides if override.startswith("device=")]  # the rest is in the run's config
    print(HEAD, flush=True)
    for name, own in settings.items():
        run = arguments.output / name
        results = train([*own, *overrides], arms[name].count_steps(60 * arguments.minutes, documents), run)
        print(format_row(f"`{name}`", results, results["test"]), flush=True)
        for setting in EVALUATE_AGAIN.get(name, []):
            print(format_row(f"`{name}`, `{setting}`", results, evaluate(run, device, setting)), flush=True)


if __name__ == "__main__":
    main()
