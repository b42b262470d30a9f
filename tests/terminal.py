"""Runs a command of the package whose standard output is a terminal: python -m tests.terminal NAME [arguments]."""

import os
import runpy
import sys
from contextlib import suppress

if __name__ == "__main__":
    controller, terminal = os.openpty()
    if (child := os.fork()) == 0:
        os.dup2(terminal, 1)
        name, *sys.argv[1:] = sys.argv[1:]
        runpy.run_module(f"sentence_order.{name}", run_name="__main__")
        sys.exit()
    os.close(terminal)
    with suppress(OSError):  # when the command has ended
        while shown := os.read(controller, 4096):
            os.write(1, shown.replace(b"\r\n", b"\n"))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
