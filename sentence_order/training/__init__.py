"""Training runs: set-up, the loop, its checkpoints and records."""
