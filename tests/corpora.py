"""Documents for tests: raw splits, as `load_splits` gives them, and batches of a model."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import pyarrow as pa
from datasets import Dataset

from sentence_order.data.encoding import tokenize_documents
from sentence_order.data.examples import Batch, TokenizedDocuments, make_batch
from sentence_order.data.identity import text_fingerprint
from sentence_order.data.sources import FEATURES
from sentence_order.model.modeling import SentenceOrdererModel


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


def batch_of(model: SentenceOrdererModel, documents: list[list[str]], given: list[list[int]] | None = None) -> Batch:
    """A batch of documents in their own order, or in those given."""
    columns = tokenize_documents(documents, model.tokenizer, None, 64)
    flat = TokenizedDocuments.of(*(columns[name] for name in ("key", "input_ids", "lengths", "text_rank")))
    return make_batch(flat, range(len(documents)), given and np.array([*zip_longest(*given, fillvalue=0)]).T)
