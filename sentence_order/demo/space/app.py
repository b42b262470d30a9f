"""The page as a Hugging Face Space; SENTENCE_ORDER_CHECKPOINT names its checkpoint, a folder or a hub id."""

import os
import sys

from sentence_order.config.cli import exit_with_error
from sentence_order.config.commands import override
from sentence_order.demo import main

VARIABLE = "SENTENCE_ORDER_CHECKPOINT"

if __name__ == "__main__":
    if not os.environ.get(VARIABLE):
        exit_with_error(
            f"{VARIABLE}: not set; among the Space's variables, set it to a hub id or a folder beside app.py", 2
        )
    sys.argv[1:] = [override("checkpoint", os.environ[VARIABLE])]
    main()
