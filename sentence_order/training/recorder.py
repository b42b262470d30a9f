"""What a run records while it runs: metrics.jsonl and TensorBoard, under the same names."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from sentence_order.data.tokenization import Corpus
from sentence_order.files import atomic_file
from sentence_order.training.evaluation import Evaluation
from sentence_order.training.figures import pair_probability_figure, position_confusion_figure, reliability_figure

SAMPLE_DOCUMENTS = 3


METRICS_FILE = "metrics.jsonl"
# TensorBoard's page of custom scalars: what to look at first. Each chart's tags, which are regular expressions.
LAYOUT = {
    "quality": {
        "Kendall's tau": ["validation/tau$"],
        "accuracy and perfect matches": ["validation/accuracy$", "validation/pmr$"],
        "loss per pair": ["train/loss$", "validation/loss$"],
    },
    "training": {
        "learning rates": ["train/lr/.*"],
        "gradient norm": ["train/gradient_norm$"],
        "documents per second": ["train/documents_per_second$"],
    },
}


class Recorder:
    """Writes scalars to `metrics.jsonl` (an object a line, with its step) and everything to TensorBoard's event file.

    Event files lie in the run's folder itself, so that TensorBoard names the run as its folder is named.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        """Args:
        resumed_at: the step that a run goes on from; what was recorded after it is taken back.
        """
        file = folder / METRICS_FILE
        if resumed_at is not None and file.exists():
            _take_back(file, resumed_at)
        self._lines = file.open("a", encoding="utf-8")
        self.board = SummaryWriter(str(folder), purge_step=None if resumed_at is None else resumed_at + 1)

    def layout(self) -> None:
        """Tells TensorBoard which curves to show first; once a run."""
        self.board.add_custom_scalars(
            {page: {name: ["Multiline", tags] for name, tags in charts.items()} for page, charts in LAYOUT.items()}
        )

    def hparams(self, settings: dict[str, Any], recorded: Sequence[str], totals: dict[str, float], step: int) -> None:
        """The run's row in TensorBoard's table of hyper-parameters.

        The summaries are written to the run itself: `SummaryWriter.add_hparams` would make a further run of them.

        Args:
            recorded: tags that have been recorded, whose last values are metrics of the table.
            totals: further metrics, by tag.
        """
        plain = {key: value if isinstance(value, int | float | str) else str(value) for key, value in settings.items()}
        for summary in hparams(plain, dict.fromkeys([*recorded, *totals])):
            self.board._get_file_writer().add_summary(summary)
        for tag, value in totals.items():
            self.board.add_scalar(tag, value, step)

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


def _take_back(file: Path, step: int) -> None:
    """Leaves the lines up to a step in which the run was still training."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.endswith("}")]  # one may be cut
    records = [json.loads(line) for line in lines]
    kept = [record for record in records if record["step"] <= step and "test/loss" not in record]
    with atomic_file(file) as stream:
        stream.writelines(json.dumps(record) + "\n" for record in kept)


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
