"""Documents that stand in two splits, or that a model was trained on before: they are counted, and may be left out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset

from sentence_order.arrays import IntArray
from sentence_order.config.schema import Overlap
from sentence_order.data.arrow_cache import read_column
from sentence_order.errors import UserError

log = logging.getLogger(__name__)

# Which documents are left out: those of the first split that are also in the second.
PAIRS = (("train", "validation"), ("train", "test"), ("validation", "test"))


@dataclass(frozen=True)
class EarlierTraining:
    """The documents that a model was trained on before."""

    fingerprints: IntArray | None  # None if its checkpoint does not record them
    name: str  # the config key of the checkpoint, with its value


def resolve_overlap(
    splits: dict[str, Dataset], policy: Overlap, earlier: EarlierTraining | None = None, evaluated: Sequence[str] = ()
) -> tuple[dict[str, Dataset], dict[str, Any]]:
    """Counts documents with equal texts (see `text_fingerprint`) in two splits, and reports or drops them.

    They are dropped from the split that is used first: from training, and from validation if they are in the test.
    Those of an earlier training are dropped from the splits that are evaluated.

    Returns the splits; and for the record the policy, and the number of documents of each overlap, None if it is not
    known. Raises UserError if there are any and the policy is "error", or if nothing would be left of a split.
    """
    found: dict[str, Any] = {"policy": policy.value}
    for first, second in PAIRS:
        if first in splits and second in splits:
            what = f"data.{first} are also in data.{second}"
            others = read_column(splits[second], "fingerprint")
            splits, found[f"{first}_in_{second}"] = _resolve(splits, first, others, policy, what)
    if earlier is None:
        return splits, found
    if earlier.fingerprints is None:
        log.warning("overlap: not known, since %s does not record which documents it was trained on", earlier.name)
    for name in evaluated:
        count = None
        if earlier.fingerprints is not None:
            what = f"data.{name} are among those that {earlier.name} was trained on"
            splits, count = _resolve(splits, name, earlier.fingerprints, policy, what)
        found[f"{name}_in_earlier_training"] = count
    return splits, found


def _resolve(
    splits: dict[str, Dataset], name: str, others: IntArray, policy: Overlap, what: str
) -> tuple[dict[str, Dataset], int]:
    fingerprint_D = read_column(splits[name], "fingerprint")
    common_D = np.isin(fingerprint_D, others) & (fingerprint_D != 0)  # without an order they will be dropped anyway
    count = int(common_D.sum())
    if not count:
        return splits, 0
    message = f"overlap: {count:,} of {len(common_D):,} documents of {what} (equal texts)"
    if policy is Overlap.error:
        raise UserError(f"{message}; data.overlap=drop leaves them out, data.overlap=warn uses them")
    if policy is Overlap.warn:
        log.warning("%s; results on them are not those of unseen documents; data.overlap=drop leaves them out", message)
        return splits, count
    if common_D.all():
        raise UserError(f"{message}; data.overlap=drop would leave none")
    log.info("%s; they are dropped from data.%s", message, name)
    return {**splits, name: splits[name].select(np.flatnonzero(~common_D))}, count
