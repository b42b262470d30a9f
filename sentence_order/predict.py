"""Orders new text: python -m sentence_order.predict checkpoint=DIR input=FILE|- [output=FILE]."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sentence_order.config import cli
from sentence_order.config.schema import PredictConfig
from sentence_order.config.validation import check_effects, check_ranges
from sentence_order.inference.files import check_details, check_input, check_partial, check_suffix, partial_path
from sentence_order.inference.shards import check_shards, part_path
from sentence_order.model.locations import check_checkpoint
from sentence_order.runtime.console import set_up_logging
from sentence_order.runtime.environment import count_processes
from sentence_order.runtime.launch import run_together
from sentence_order.runtime.threads import spin_briefly
from sentence_order.training.outputs import check_overwrites, named_files
from sentence_order.training.run_dir import warn_if_unfinished

if TYPE_CHECKING:
    from sentence_order.runtime.distributed import Processes


def predict(config: PredictConfig) -> None:
    """Reads documents, writes one JSON object per line: `id`, `order`, `sentences` in predicted order, `confidence`;
    and by request the likeliest orders and probabilities of pairs and neighbours (see `inference/details.py`).

    Below `threshold` it abstains: `order` is null, and the sentences are in the order of the input. A terminal, and a
    file whose name ends in `.txt`, get the sentences as text. A file is `OUTPUT.partial` until it is complete. With
    `shard_documents` there are parts in a folder, which several processes share, and which are not written twice.
    """
    check_ranges(config)
    check_effects(config, cli.typed_overrides())

    def work(processes: "Processes") -> None:
        # The heavy imports wait until the configuration is known to be good.
        from sentence_order.inference.predict_file import predict_file

        set_up_logging(quiet=not processes.is_main)
        warn_if_unfinished(config.checkpoint)
        predict_file(config, processes)

    run_together(config.device, partial(_check, config), work)


def _check(config: PredictConfig) -> None:
    """Raises UserError for an output that cannot be written, or an input or a checkpoint that cannot be read."""
    check_shards(config, count_processes(os.environ))
    if config.shard_documents is not None:
        outputs = [str(part_path(Path(str(config.output)), 0))]
    elif config.output in (None, "-"):
        cli.check_open(sys.stdout, "standard output")
        outputs = ["/dev/stdout"] if os.path.isfile("/dev/stdout") else []  # a file that the shell has opened
    else:
        check_suffix("output", config.output)
        check_details(config)
        outputs = [str(config.output), str(partial_path(str(config.output)))]
    for path in outputs:
        check_overwrites("output", path, [*named_files(config.input), config.checkpoint])
    if len(outputs) > 1:
        check_partial(outputs[0])
    if config.input == "-":
        cli.check_open(sys.stdin, "standard input")
    check_checkpoint(config.checkpoint, "checkpoint", config.decoder.name)
    check_input(config)


def main() -> None:
    """The console script `sentence-order-predict`."""
    spin_briefly()
    cli.run("predict", predict)


if __name__ == "__main__":
    main()
