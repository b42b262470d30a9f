"""Trains until 2,000 validation stories of ROCStories are ordered with a tau of .80, and reports the seconds it took.

    python -m benchmarks.speedrun data=jsonl data.train=ROC/train.jsonl data.validation=ROC/validation.jsonl [overrides]

The rules are in benchmarks/speedrun.md. Overrides are those of `train`; without `output_dir` the run is not kept. What
it prints to standard output is a record's log. The exit code is 1 if the target was not reached.
"""

import argparse
import shlex
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime

from benchmarks.compose import compose, stop
from sentence_order.config.commands import key_of
from sentence_order.errors import UserError
from sentence_order.evaluation.results import provenance
from sentence_order.training.callbacks import Callback
from sentence_order.training.run import CommandLine, Trainer
from sentence_order.training.state import TrainerState

TARGET, STORIES = 0.80, 2000
TARGET_SETTINGS = (f"data.limit_validation={STORIES}", "data.limit_test=2", "trainer.metric=tau")


class Clock(Callback):
    """Counts the seconds of training: from step to step, without validations and saves."""

    def __init__(self) -> None:
        self.seconds, self.since, self.reached = 0.0, time.perf_counter(), False

    def on_step(self, state: TrainerState) -> None:
        now = time.perf_counter()
        # Before the first step everything is loaded.
        self.seconds += state.seconds if state.step == 1 else now - self.since
        self.since = now

    def on_validation(self, state: TrainerState) -> bool:
        tau = state.metrics["validation/tau"]
        counts = f"step {state.step:,} of {state.total_steps:,}, {state.num_documents:,} stories"
        print(f"{self.seconds:8.1f} s  {counts}, tau {tau:.4f}", flush=True)
        self.reached = tau >= TARGET
        self.since = time.perf_counter()
        return self.reached

    def on_save(self, state: TrainerState) -> None:
        self.since = time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speedrun", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _, overrides = parser.parse_known_args()
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        try:
            config = compose(["encoder=minilm", *overrides, *TARGET_SETTINGS])
            if "output_dir" not in map(key_of, overrides):
                config = replace(config, output_dir=folder)
            print(f"{datetime.now(UTC):%Y-%m-%d}  python -m benchmarks.speedrun {shlex.join(overrides)}")
            print(", ".join(f"{name} {value}" for name, value in provenance().items()), flush=True)
            result = Trainer(config, callbacks=[clock], command=CommandLine(overrides)).train()
        except UserError as error:
            stop(error)
    filling = result.results["train"].get("seconds_in_cache") or 0.0
    verdict = "reached" if clock.reached else "not reached"
    total = f"{clock.seconds + filling:.1f} s, of which {filling:.1f} s filled the prefix cache"
    print(f"tau {TARGET:.2f} {verdict}: {total}")
    sys.exit(not clock.reached)


if __name__ == "__main__":
    main()
