"""Raw splits for tests, as `load_splits` gives them."""

from collections.abc import Sequence

import pyarrow as pa
from datasets import Dataset

from sentence_order.data.identity import text_fingerprint
from sentence_order.data.sources import FEATURES


def raw_split(
    documents: Sequence[list[str]], ids: Sequence[str] | None = None, groups: Sequence[str] | None = None
) -> Dataset:
    """A split of documents, given as lists of sentences; by default their ids are d0, d1, ..., and have no group."""
    columns = {
        "id": list(ids or [f"d{number}" for number in range(len(documents))]),
        "sentences": list(documents),
        "group": list(groups or [""] * len(documents)),
        "fingerprint": [text_fingerprint(document) for document in documents],
    }
    return Dataset(pa.table(columns, schema=FEATURES.arrow_schema))
