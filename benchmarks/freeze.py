"""What freezing saves: speed, memory and time per epoch of every arm, and what each learns in the same time.

    python -m benchmarks.freeze [--minutes M] [overrides]

Every arm is a process of its own that trains in turns with the others, so that all see the same machine. With
`--minutes`, arms are then trained by the `train` command for that time (or for a few epochs, if these are over before),
the filling of an empty cache included, and tested. Prints Markdown.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.arms import Arm, format_documents_seen, format_intervals, measure_speed, train
from benchmarks.compose import compose, stop
from sentence_order.errors import UserError

LARGER = ["trainer.batch_tokens=4096", "optim.head_lr=1.5e-3"]
# These are trained with `--minutes`.
TRAINED = (
    "unfrozen",
    "embeddings frozen",
    "bottom half frozen",
    "bottom half frozen, cached",
    "encoder frozen",
    "encoder frozen, cached, batches of 4,096 tokens",
)
ARMS = {
    "unfrozen": ["freeze=none"],
    "unfrozen, batches of 4,096 tokens": ["freeze=none", *LARGER],
    "embeddings frozen": ["freeze=embeddings"],
    "bottom half frozen": ["freeze=bottom_half", "cache=off"],
    "bottom half frozen, cached": ["freeze=bottom_half"],
    "encoder frozen": ["freeze=encoder", "cache=off"],
    "encoder frozen, cached": ["freeze=encoder"],
    "encoder frozen, cached, batches of 4,096 tokens": ["freeze=encoder", *LARGER],
    "the same without set layer": ["freeze=encoder", *LARGER, "model.set_layers=0"],
    "encoder frozen, cached, batches of 16,384 tokens": ["freeze=encoder", "trainer.batch_tokens=16384"],
}


def format_speed_table(arms: dict[str, Arm], documents: int) -> list[str]:
    """Markdown: rates, ratios to unfrozen, memory, time of the first epoch and of a later one."""
    lines = [
        f"| {documents:,} training documents | documents/s | to unfrozen | memory | first epoch | later epochs |",
        "|---|---|---|---|---|---|",
    ]
    base = next(iter(arms.values()))
    for name, arm in arms.items():
        epoch = documents / arm.rate
        first = epoch + (arm.seconds_in_cache if arm.cached else 0)
        lines.append(
            f"| {name} | {arm.rate:.1f} | {arm.rate / base.rate:.2f} | {arm.memory / 1e9:.2f} GB "
            f"({arm.memory / base.memory:.2f}) | {first:.1f} s | {epoch:.1f} s |"
        )
    return lines


def measure_quality(name: str, arm: Arm, documents: int, overrides: list[str], minutes: float, folder: Path) -> str:
    """Trains one arm for these minutes, an empty cache included, and tests it; returns a row of Markdown."""
    own = [*overrides, *ARMS[name], f"cache.dir={folder}/cache"]
    config = compose(own)
    stories = config.data.limit_train or documents
    budget = 60 * minutes - (arm.seconds_in_cache * stories / documents if arm.cached else 0)
    results = train(own, arm.count_steps(budget, stories), folder / "run")
    training = results["train"]
    assert training["cached"] == arm.cached, "the run and its measured arm differ in whether they use the cache"
    seconds = training["seconds_in_cache"] + training["seconds_in_steps"]
    figures = format_intervals(results["test"], ("accuracy", "pmr", "tau"))
    return f"| {name} | {seconds:.0f} s | {format_documents_seen(training)} | {figures} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.freeze", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, help="then train every arm for this time, and test it")
    parser.add_argument("--stories", type=int, default=30_000, help="documents to train on with --minutes")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10, help="of training in a turn")
    arguments, overrides = parser.parse_known_args()
    try:
        for own in ARMS.values():
            compose([*overrides, *own])
        small = ["data.limit_train=2000", "data.limit_validation=100", "data.limit_test=100"]
        arms, documents = measure_speed(ARMS, [*small, *overrides], arguments.turns, arguments.seconds)
    except UserError as error:
        stop(error)
    print("\n".join(format_speed_table(arms, documents)), flush=True)
    if arguments.minutes:
        print("\n| trained | time | documents seen | accuracy | PMR | tau |\n|---|---|---|---|---|---|", flush=True)
        limits = [f"data.limit_train={arguments.stories}", "data.limit_validation=500", "data.limit_test=2000"]
        for name in TRAINED:
            with tempfile.TemporaryDirectory() as folder:
                own, minutes = [*limits, *overrides], arguments.minutes
                row = measure_quality(name, arms[name], documents, own, minutes, Path(folder))
            print(row, flush=True)


if __name__ == "__main__":
    main()
