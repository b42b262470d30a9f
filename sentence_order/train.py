"""Trains a sentence orderer, or many: python -m sentence_order.train [overrides] [sweep=NAME | -m]."""

import os
import signal
import sys

from sentence_order.config import cli
from sentence_order.config.schema import TrainConfig
from sentence_order.config.validation import check_effects, check_train
from sentence_order.config.words import read_words
from sentence_order.experiments.job import is_job, num_runs_sharing_cache, stop_with_parent
from sentence_order.experiments.sweep import Sweep
from sentence_order.runtime.console import set_up_logging
from sentence_order.runtime.threads import spin_briefly
from sentence_order.training.checks import check_inputs
from sentence_order.training.run_dir import RunStatus, check_unchanged, log_finished, resolve_resume


def train(config: TrainConfig) -> None:
    """One run, from the config to `results.json`; see `training/run.py`."""
    typed = cli.typed_overrides()
    config = resolve_resume(config, typed)
    check_train(config)
    if not is_job():  # of a sweep, whose other jobs may need what was typed
        check_effects(config, typed)
    status = check_inputs(config)
    if status is RunStatus.FINISHED:
        check_unchanged(config, typed)
    if status is RunStatus.FINISHED and os.environ.get("WORLD_SIZE", "1") == "1":
        set_up_logging(warnings_only=is_job())
        log_finished(config)
        return
    # The heavy imports wait until the configuration is known to be good.
    from sentence_order.training.run import CommandLine, Trainer

    Trainer(config, command=CommandLine(typed, num_runs_sharing_cache(), in_sweep=is_job())).train()


def main() -> None:
    """The console script `sentence-order-train`."""
    spin_briefly()
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until there is something to save
    stop_with_parent()
    with cli.one_line_errors():
        sys.argv[1:] = read_words("train", sys.argv[1:])
    sweep, sys.argv[1:] = Sweep.parse(sys.argv[1:])
    if sweep is None:
        cli.run("train", train)
    else:
        sweep.run()


if __name__ == "__main__":
    main()
