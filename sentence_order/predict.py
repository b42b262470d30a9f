"""Orders new text: python -m sentence_order.predict checkpoint=DIR input=FILE|- [output=FILE]."""

import os
import sys

from sentence_order.config import cli
from sentence_order.config.schema import PredictConfig
from sentence_order.config.validation import check_effects, check_ranges
from sentence_order.inference.files import check_input, check_partial, check_suffix, partial_path
from sentence_order.model.locations import check_checkpoint
from sentence_order.runtime.console import set_up_logging
from sentence_order.runtime.threads import spin_briefly
from sentence_order.training.outputs import check_overwrites, named_files
from sentence_order.training.run_dir import warn_if_unfinished


def predict(config: PredictConfig) -> None:
    """Reads documents, writes one JSON object per line: `id`, `order`, `sentences` in predicted order, `confidence`.

    Below `threshold` it abstains: `order` is null, and the sentences are in the order of the input. A terminal, and a
    file whose name ends in `.txt`, get the sentences as text. A file is `OUTPUT.partial` until it is complete.
    """
    check_ranges(config)
    check_effects(config, cli.typed_overrides())
    check_suffix("output", config.output)
    if config.output in (None, "-"):
        cli.check_open(sys.stdout, "standard output")
        outputs = ["/dev/stdout"] if os.path.isfile("/dev/stdout") else []  # a file that the shell has opened
    else:
        outputs = [str(config.output), str(partial_path(str(config.output)))]
    for path in outputs:
        check_overwrites("output", path, [*named_files(config.input), config.checkpoint])
    if len(outputs) > 1:
        check_partial(outputs[0])
    if config.input == "-":
        cli.check_open(sys.stdin, "standard input")
    check_checkpoint(config.checkpoint, "checkpoint", config.decoder.name)
    check_input(config)
    set_up_logging()
    warn_if_unfinished(config.checkpoint)
    # The heavy imports wait until the configuration is known to be good.
    from sentence_order.inference.predict_file import predict_file
    from sentence_order.runtime.signals import Signals

    with Signals().caught():
        predict_file(config)


def main() -> None:
    """The console script `sentence-order-predict`."""
    spin_briefly()
    cli.run("predict", predict)


if __name__ == "__main__":
    main()
