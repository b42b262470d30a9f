"""Measures what the program can do: `python -m benchmarks.MODULE` in the root of the repository."""
