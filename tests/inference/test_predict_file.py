"""Files are ordered in chunks, of documents and of sentences."""

import json
from pathlib import Path
from typing import Any

import pytest

from sentence_order.config.schema import PredictConfig
from sentence_order.inference import predict_file as module
from sentence_order.inference.orderer import Prediction, SentenceOrderer
from sentence_order.inference.predict_file import predict_file
from sentence_order.model.modeling import SentenceOrdererModel


@pytest.mark.usefixtures("console_log")
def test_chunks_are_bounded_by_documents_and_by_sentences(
    tiny_model: SentenceOrdererModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And change nothing about the predictions."""
    chunks: list[list[int]] = []

    class Recorder(SentenceOrderer):
        def predict(self, documents: list[list[str]], **options: Any) -> list[Prediction]:
            chunks.append([len(document) for document in documents])
            return super().predict(documents, **options)

    SentenceOrderer(tiny_model).save_pretrained(tmp_path / "checkpoint")
    monkeypatch.setattr(module, "SentenceOrderer", Recorder)
    sizes = [2, 2, 2, 2, 9, 20, 2, 1, 1, 1]
    lines = [json.dumps({"id": str(n), "sentences": [f"{n} {k}." for k in range(s)]}) for n, s in enumerate(sizes)]
    (tmp_path / "input.jsonl").write_text("\n".join(lines))

    def predictions() -> list[dict[str, Any]]:
        chunks.clear()
        output = tmp_path / "output.jsonl"
        config = PredictConfig(str(tmp_path / "checkpoint"), str(tmp_path / "input.jsonl"), str(output), device="cpu")
        predict_file(config)
        return [json.loads(line) for line in output.read_text().splitlines()]

    expected = predictions()
    assert chunks == [sizes]
    assert [record["id"] for record in expected] == [str(n) for n in range(len(sizes))]
    monkeypatch.setattr(module, "CHUNK_DOCUMENTS", 3)
    monkeypatch.setattr(module, "CHUNK_SENTENCES", 10)
    found = predictions()
    assert chunks == [[2, 2, 2], [2, 9], [20], [2, 1, 1], [1]]
    for record, other in zip(found, expected, strict=True):
        assert record["confidence"] == pytest.approx(other.pop("confidence"), abs=1e-4)
        assert record == {**other, "confidence": record["confidence"]}
