"""Evaluation: the metrics of predicted orders, intervals and tests, the record and the pictures of results."""
