"""What freezing saves: speed, memory and time per epoch of every arm, and what each learns in the same time.

Run by `scripts/bench_freeze [--minutes M] [overrides]`. Every arm is a process of its own that trains in turns with the
others, so that all see the same machine. With `--minutes`, arms are then trained by the `train` command for as long (or
for a few epochs, where these are done before), the filling of an empty cache included, and tested. Prints Markdown.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.arms import Arm, documents_seen, measure_speed, train, with_intervals
from benchmarks.compose import compose, stop
from sentence_order.errors import UserError

LARGER = ["trainer.batch_tokens=4096", "optim.head_lr=1.5e-3"]
# What freezing gives for the same time is asked of these.
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


def speed_table(arms: dict[str, Arm], documents: int) -> list[str]:
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


def quality_row(name: str, arm: Arm, documents: int, overrides: list[str], minutes: float, folder: Path) -> str:
    """Trains one arm for so long, an empty cache included, and tests it."""
    own = [*overrides, *ARMS[name], f"cache.dir={folder}/cache"]
    config = compose(own)
    stories = config.data.limit_train or documents
    budget = 60 * minutes - (arm.seconds_in_cache * stories / documents if arm.cached else 0)
    results = train(own, arm.steps_in(budget, stories), folder / "run")
    training = results["train"]
    assert training["cached"] == arm.cached, "the run took another way than what was measured"
    seconds = training["seconds_in_cache"] + training["seconds_in_steps"]
    figures = with_intervals(results["test"], ("accuracy", "pmr", "tau"))
    return f"| {name} | {seconds:.0f} s | {documents_seen(training)} | {figures} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench_freeze", description=__doc__)
    parser.add_argument("--minutes", type=float, help="train every arm for so long after the table, and test it")
    parser.add_argument("--stories", type=int, default=30_000, help="the first so many to train on with --minutes")
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
    print("\n".join(speed_table(arms, documents)), flush=True)
    if arguments.minutes:
        print("\n| trained | time | documents seen | accuracy | PMR | tau |\n|---|---|---|---|---|---|", flush=True)
        limits = [f"data.limit_train={arguments.stories}", "data.limit_validation=500", "data.limit_test=2000"]
        for name in TRAINED:
            with tempfile.TemporaryDirectory() as folder:
                row = quality_row(name, arms[name], documents, [*limits, *overrides], arguments.minutes, Path(folder))
            print(row, flush=True)


if __name__ == "__main__":
    main()
