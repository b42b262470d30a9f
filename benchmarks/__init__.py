"""Measures what the program can do: `python -m benchmarks.MODULE` in the root of the repository."""

from sentence_order.runtime.threads import spin_briefly

spin_briefly()  # as the commands do, and before a module imports torch
