"""The predicted orders of an evaluation, to look for what the model gets wrong."""

import json
from collections.abc import Sequence
from pathlib import Path

from sentence_order.data.tokenization import Corpus
from sentence_order.evaluation.evaluator import Evaluation
from sentence_order.runtime.files import atomic_file


def write_predictions(path: Path, evaluation: Evaluation, corpus: Corpus, calibration: Sequence[float] | None) -> None:
    """Writes a JSON object per document, as the key `predictions` says, with the names that `predict` uses."""
    confidences = evaluation.confidence(calibration).round(6).tolist()
    documents = zip(corpus.documents, evaluation.given, evaluation.order, confidences, strict=True)
    with atomic_file(path) as stream:
        for document, positions, order, confidence in documents:
            gold = document["sentences"]
            given = [gold[position] for position in positions]
            record = {"id": document["id"], "given": given, "order": order, "predicted": [given[k] for k in order]}
            record |= {"gold": gold, "confidence": confidence}
            record |= {"group": document["group"]} if document.get("group") else {}
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
