"""Starts what one process does alone, or several together; without torch, so that mistakes are reported at once."""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from sentence_order.errors import Interrupted
from sentence_order.runtime.console import set_up_logging
from sentence_order.runtime.environment import is_distributed
from sentence_order.runtime.signals import Signals

if TYPE_CHECKING:
    from sentence_order.runtime.distributed import Processes


def run_together(device: str, check: Callable[[], None], work: "Callable[[Processes], None]") -> None:
    """Calls `check`, which raises UserError before anything heavy is imported, and then `work` with the processes.

    If torchrun has started several, they are connected first, so that one of them reports for all; `device` is the
    config key. The main process reports a signal as well.
    """
    if not is_distributed(os.environ):
        check()
        from sentence_order.runtime.distributed import SINGLE_PROCESS

        with Signals().caught():
            work(SINGLE_PROCESS)
        return

    from sentence_order.runtime.distributed import SINGLE_PROCESS, destroy_processes, init_processes

    set_up_logging()
    processes = SINGLE_PROCESS
    try:
        with Signals().caught():
            processes = init_processes(device)
            with processes.errors_once():
                check()
            work(processes)
            processes.barrier()  # until the main process has written the results
    except Interrupted as error:
        if not processes.is_main:
            sys.exit(128 + error.signal)
        raise
    destroy_processes()  # not after an error, when this would wait for others in vain
