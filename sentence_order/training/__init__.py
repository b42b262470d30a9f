"""The training loop and what it needs: optimizer, evaluation, the run's records."""
