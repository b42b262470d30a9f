"""Experiments: sweeps over settings and seeds, and the report that compares runs."""
