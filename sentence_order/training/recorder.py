"""What a run leaves behind while it runs: metrics.jsonl and TensorBoard, under the same names."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from sentence_order.data.tokenization import Corpus
from sentence_order.training.evaluation import Evaluation
from sentence_order.training.figures import pair_probability_figure, position_confusion_figure, reliability_figure

SAMPLE_DOCUMENTS = 3


class Recorder:
    """Writes scalars to `metrics.jsonl` (an object a line, with its step) and everything to `tensorboard/`."""

    def __init__(self, folder: Path) -> None:
        self._lines = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        self.board = SummaryWriter(str(folder / "tensorboard"))

    def scalars(self, step: int, epoch: float, values: dict[str, float]) -> None:
        """Records values by tag (`train/loss`, `validation/tau`) at an optimizer step."""
        self._lines.write(json.dumps({"step": step, "epoch": round(epoch, 4), **values}) + "\n")
        self._lines.flush()
        for tag, value in values.items():
            self.board.add_scalar(tag, value, step)

    def evaluation(
        self,
        step: int,
        epoch: float,
        split: str,
        evaluation: Evaluation,
        corpus: Corpus,
        calibration: Sequence[float] | None = None,
    ) -> None:
        """Records an evaluation: its metrics, sample documents as text, pictures."""
        sure = evaluation.reliability(calibration)
        values = {f"{split}/loss": evaluation.loss, f"{split}/calibration_error": sure.error}
        values.update({f"{split}/{name}": value for name, value in evaluation.summary().items()})
        self.scalars(step, epoch, values)
        for row in range(min(SAMPLE_DOCUMENTS, len(corpus))):
            self.board.add_text(f"{split}/document_{row}", _sample_table(corpus.documents[row], evaluation, row), step)
        confusion = position_confusion_figure(evaluation.confusion_NN, evaluation.common_documents)
        self.board.add_figure(f"{split}/position_confusion", confusion, step)
        self.board.add_figure(f"{split}/reliability", reliability_figure(sure), step)
        if evaluation.pair_probability_NN is not None:
            picture = pair_probability_figure(evaluation.pair_probability_NN)
            self.board.add_figure(f"{split}/pair_probability", picture, step)
        self.board.flush()

    def close(self) -> None:
        """Writes what is still held back."""
        self.board.close()
        self._lines.close()


def _sample_table(document: dict[str, Any], evaluation: Evaluation, row: int) -> str:
    """A document as a Markdown table: as given, as predicted (a mark where the place is right), as it is."""
    sentences, given, order = document["sentences"], evaluation.given[row], evaluation.order[row]
    lines = ["| | given | predicted | true |", "|---|---|---|---|"]
    for k, true in enumerate(sentences):
        predicted = sentences[given[order[k]]]
        mark = "✓ " if predicted == true else "✗ "
        cells = [text.replace("|", "\\|") for text in (sentences[given[k]], mark + predicted, true)]
        lines.append(f"| {k + 1} | {' | '.join(cells)} |")
    return "\n".join(lines)
