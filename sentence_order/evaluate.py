"""Evaluates a checkpoint: python -m sentence_order.evaluate checkpoint=DIR [data=GROUP] [output=FILE]."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sentence_order.config import cli
from sentence_order.config.commands import key_of
from sentence_order.config.parsing import options_of, override_with_typed
from sentence_order.config.schema import EvaluateConfig, Source
from sentence_order.config.validation import check_data, check_effects, check_ranges
from sentence_order.data.files import check_data_files
from sentence_order.errors import UserError
from sentence_order.inference.files import check_suffix
from sentence_order.model.locations import check_checkpoint
from sentence_order.runtime.console import set_up_logging
from sentence_order.runtime.launch import run_together
from sentence_order.runtime.threads import spin_briefly
from sentence_order.training.outputs import check_overwrites, data_files, same_file
from sentence_order.training.run_config import read_config
from sentence_order.training.run_dir import find_run, warn_if_unfinished

if TYPE_CHECKING:
    from sentence_order.runtime.distributed import Processes


def evaluate(config: EvaluateConfig) -> None:
    """Orders every document of a split under its fixed shuffle and reports metrics with intervals.

    The tables go to standard error; the JSON goes to `output`, or to standard output if that is no terminal. Several
    processes share the batches, to the same results.
    """
    typed = cli.typed_overrides()
    config = _with_settings_of_run(config, typed)
    check_ranges(config)
    check_effects(config, typed)

    def work(processes: "Processes") -> None:
        # The heavy imports wait until the configuration is known to be good.
        from sentence_order.evaluation.evaluate_checkpoint import evaluate_checkpoint

        set_up_logging(quiet=not processes.is_main)
        warn_if_unfinished(config.checkpoint)
        evaluate_checkpoint(config, processes)

    run_together(config.device, partial(_check, config), work)


def _check(config: EvaluateConfig) -> None:
    """Raises UserError for an output that cannot be written, or for data or a checkpoint that cannot be read."""
    check_data(config.data)
    check_data_files(config.data, [config.split.value])
    inputs = [*data_files(config.data), config.checkpoint]
    if config.output in (None, "-"):
        cli.check_open(sys.stdout, "standard output")
    else:
        check_overwrites("output", config.output, inputs)
    check_suffix("predictions", config.predictions, accepts_text=False)
    check_overwrites("predictions", config.predictions, inputs)
    if config.output and config.predictions and same_file(config.output, config.predictions):
        raise UserError(f"predictions: {config.predictions} is the file of output as well; name another file")
    check_checkpoint(config.checkpoint, "checkpoint", config.decoder.name)


def _with_settings_of_run(config: EvaluateConfig, typed: list[str]) -> EvaluateConfig:
    """For a run's checkpoint, takes data, cache, precision and seed from its config, unless they were typed."""
    for key in ("data.max_sentence_tokens", "data.strip_enumeration"):
        if key in map(key_of, typed):
            raise UserError(f"{key}: cannot be changed, since the checkpoint was trained with its own; leave it out")
    path = Path(config.checkpoint)
    folder = find_run(path)
    if folder is None:
        if config.data.source is not None:
            return config
        check_checkpoint(config.checkpoint, "checkpoint")
        add = f"add data={'|'.join(options_of('data'))}"
        if not path.exists():
            raise UserError(f"checkpoint: {config.checkpoint} is no folder here; for one of the hub {add}")
        raise UserError(
            f"data: no value, and {config.checkpoint} is not in a run's folder, whose data would be used; {add}"
        )

    run = read_config(folder)
    settings = {name: getattr(run, name) for name in ("data", "cache", "precision", "seed")}
    config = override_with_typed(EvaluateConfig(config.checkpoint, **settings), config, typed)
    if config.data.source is Source.memory:
        raise UserError(
            f"data: the documents of {folder} were passed in Python; add those to evaluate: data=jsonl data.test=FILE"
        )
    return config


def main() -> None:
    """The console script `sentence-order-evaluate`."""
    spin_briefly()
    cli.run("evaluate", evaluate)


if __name__ == "__main__":
    main()
