"""Documents that stand in two splits, or that a model was trained on before: they are counted, and may be left out."""

import logging

import numpy as np
from datasets import Dataset

from sentence_order.arrays import IntArray
from sentence_order.config.schema import Overlap
from sentence_order.data.arrow_cache import read_column
from sentence_order.errors import UserError

log = logging.getLogger(__name__)

# Which documents are left out: those of the first split that are also in the second.
PAIRS = (("train", "validation"), ("train", "test"), ("validation", "test"))


def resolve_overlap(
    splits: dict[str, Dataset], policy: Overlap, trained_on: IntArray | None = None, trained_by: str = ""
) -> tuple[dict[str, Dataset], dict[str, int]]:
    """Counts documents with equal texts (see `text_fingerprint`) in two splits, and reports or drops them.

    They are dropped from the split that is used first: from training, and from validation if they are in the test.

    Args:
        trained_on: fingerprints of the documents that a model was trained on, by what `trained_by` names: a config key
            with its value. Those documents are dropped from validation and test, since their training is done.

    Returns the splits, and the number of documents of each overlap. Raises UserError if there are any and the policy is
    "error", or if nothing would be left of a split.
    """
    found = {}
    for first, second in PAIRS:
        if first in splits and second in splits:
            first_D, second_D = (read_column(splits[name], "fingerprint") for name in (first, second))
            common_D = np.isin(first_D, second_D)
            what = f"data.{first} that are also in data.{second}"
            splits = _resolve(splits, first, common_D, policy, what)
            found[f"{first} in {second}"] = int(common_D.sum())
    for name in ("validation", "test"):
        if trained_on is not None and name in splits:
            common_D = np.isin(read_column(splits[name], "fingerprint"), trained_on)
            splits = _resolve(splits, name, common_D, policy, f"data.{name} that {trained_by} was trained on")
            found[f"{name} in earlier training"] = int(common_D.sum())
    return splits, found


def _resolve(
    splits: dict[str, Dataset], name: str, common_D: np.ndarray, policy: Overlap, what: str
) -> dict[str, Dataset]:
    if not common_D.any():
        return splits
    message = f"overlap: {common_D.sum():,} of {len(common_D):,} documents of {what}, by their texts"
    if policy is Overlap.error:
        raise UserError(f"{message}; data.overlap=drop leaves them out, data.overlap=warn uses them")
    if policy is Overlap.warn:
        log.warning("%s; results on them are not those of unseen documents; data.overlap=drop leaves them out", message)
        return splits
    if common_D.all():
        raise UserError(f"{message}; data.overlap=drop would leave none")
    log.info("%s, are dropped from data.%s", message, name)
    return {**splits, name: splits[name].select(np.flatnonzero(~common_D))}
