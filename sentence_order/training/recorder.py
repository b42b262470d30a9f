"""What a run records while it runs: metrics.jsonl and TensorBoard, under the same names."""

import errno
import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from sentence_order.data.tokenization import Corpus
from sentence_order.files import naming
from sentence_order.training.evaluation import Evaluation
from sentence_order.training.figures import pair_probability_figure, position_confusion_figure, reliability_figure

log = logging.getLogger(__name__)

SAMPLE_DOCUMENTS = 3
METRICS_FILE, EVENT_FILES = "metrics.jsonl", "events.out.tfevents.*"
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


def _but_for_full_disks(args: threading.ExceptHookArgs, others: Any = threading.excepthook) -> None:
    """TensorBoard's writing thread prints a traceback of what it raises again in ours, where it is told in one line."""
    if not (isinstance(args.exc_value, OSError) and type(args.thread).__name__ == "_AsyncWriterThread"):
        others(args)


threading.excepthook = _but_for_full_disks


class Recorder:
    """Writes scalars to `metrics.jsonl` (an object a line, with its step) and everything to TensorBoard's event file.

    Event files lie in the run's folder itself, so that TensorBoard names the run as its folder is named.
    """

    def __init__(self, folder: Path, recorded: Mapping[str, int] | None = None, step: int = 0) -> None:
        """Args:
        recorded: how many bytes of each file belong to the run that goes on (see `sync`), at which `step`; what was
            recorded after it is taken back. None for a run that begins or is finished.
        """
        self.folder = folder
        if recorded is not None:
            _take_back(folder, recorded)
        self._lines = (folder / METRICS_FILE).open("a", encoding="utf-8")
        others = set(folder.glob(EVENT_FILES))
        self.board = SummaryWriter(str(folder), purge_step=None if recorded is None else step + 1)
        self._events = set(folder.glob(EVENT_FILES)) - others

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Writes what is still held back; where something else has failed already, as far as that goes."""
        with suppress(OSError) if kind else nullcontext():
            self.board.close()
        with suppress(OSError) if kind else naming(self.folder / METRICS_FILE):
            self._lines.close()

    def sync(self) -> dict[str, int]:
        """Waits until all that was recorded is on the disk itself.

        Returns:
            The size of each of the files.

        Raises:
            OSError: it cannot be written, or a file was removed.
        """
        self.board.flush()
        sizes = {}
        for file in {self.folder / METRICS_FILE, *self._events, *self.folder.glob(EVENT_FILES)}:
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
                sizes[file.name] = os.fstat(stream.fileno()).st_size
        return sizes

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
        with naming(self.folder / METRICS_FILE):
            if os.fstat(self._lines.fileno()).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "removed while the run was writing to it")
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


def forget(folder: Path) -> None:
    """Removes what a run has recorded that begins anew."""
    _take_back(folder, {})


def _take_back(folder: Path, recorded: Mapping[str, int]) -> None:
    """Cuts every file to its size in `recorded`, and removes those that are not in it."""
    for name in {METRICS_FILE, *recorded, *(file.name for file in folder.glob(EVENT_FILES))}:
        file = folder / name
        if name not in recorded:
            file.unlink(missing_ok=True)
        elif not file.is_file() or file.stat().st_size < recorded[name]:
            log.info("resumed: %s has been cut or removed since; what it held is lost", file)
        else:
            os.truncate(file, recorded[name])


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
