"""Files are ordered in portions, of documents and of sentences."""

import pytest

from sentence_order import prediction
from sentence_order.data.readers import Document
from sentence_order.prediction import _chunks


def test_portions_are_bounded_by_documents_and_by_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "CHUNK_DOCUMENTS", 3)
    monkeypatch.setattr(prediction, "CHUNK_SENTENCES", 10)
    sizes = [2, 2, 2, 2, 9, 20, 2, 1, 1, 1]
    documents = [Document(str(n), ["a"] * size) for n, size in enumerate(sizes)]
    chunks = list(_chunks(iter(documents)))
    assert [[len(document.sentences) for document in chunk] for chunk in chunks] == [
        *([2, 2, 2], [2, 9], [20], [2, 1, 1], [1]),
    ]
    assert [document for chunk in chunks for document in chunk] == documents
