"""Logs a run to metrics.jsonl and TensorBoard."""

import errno
import json
import logging
import os
import re
import threading
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from sentence_order.config.schema import TrainConfig
from sentence_order.data.groups import MAX_SHOWN, group_label
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import UserError
from sentence_order.evaluation.evaluator import Evaluation
from sentence_order.evaluation.figures import pair_probability_figure, position_confusion_figure, reliability_figure
from sentence_order.evaluation.inspection import compare_orders
from sentence_order.evaluation.metrics import MAIN_METRICS
from sentence_order.evaluation.results import calibration_errors
from sentence_order.inference.calibration import Calibration
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.runtime.files import oserrors_with_path
from sentence_order.training.plan import StepInput
from sentence_order.training.run_config import read_overrides
from sentence_order.training.run_dir import EVENT_FILES, METRICS_FILE
from sentence_order.training.tensorboard import TOTALS, make_hparams, make_layout, tensorboard_tag

log = logging.getLogger(__name__)

NUM_SAMPLES = 3
# Ends the names of the event files that a run writes, beside which there may be those of other programs.
OWN_EVENTS = ".sentence_order"


def _ignore_full_disk(args: threading.ExceptHookArgs, others: Any = threading.excepthook) -> None:
    """TensorBoard's writing thread prints a traceback for an error that it then raises in ours, which reports it."""
    if not (isinstance(args.exc_value, OSError) and type(args.thread).__name__ == "_AsyncWriterThread"):
        others(args)


threading.excepthook = _ignore_full_disk


@dataclass
class Meter:
    """Sums over the training steps since the last logged line, in all processes together."""

    loss: float = 0.0
    num_pairs: int = 0
    num_documents: int = 0
    num_tokens: int = 0
    padded_size: int = 0
    seconds: float = 0.0

    def update(self, inputs: StepInput, loss: float | None) -> None:
        """Adds a step, but for its time; its loss is per pair, and None if the step was skipped."""
        if loss is not None:
            self.loss += loss * inputs.num_pairs
            self.num_pairs += inputs.num_pairs
        self.num_documents += inputs.num_documents
        self.num_tokens += inputs.num_tokens
        self.padded_size += inputs.padded_size

    def means(self) -> dict[str, float]:
        values = {"train/loss": self.loss / self.num_pairs} if self.num_pairs else {}
        return values | {
            "train/documents_per_second": self.num_documents / self.seconds,
            "train/tokens_per_second": self.num_tokens / self.seconds,
            "train/padding_share": 1 - self.num_tokens / self.padded_size,
        }


class Tracker:
    """Writes scalars to `metrics.jsonl` (an object per line, with its step) and everything to TensorBoard's event file.

    Event files are in the run's folder itself, so that TensorBoard names the run like its folder.
    """

    def __init__(self, folder: Path, logged_bytes: int | None = None, step: int = 0) -> None:
        """Args:
        logged_bytes: the length of metrics.jsonl at the checkpoint that a run resumes from, after `step` steps; what
            was logged later is removed. None for a new run.
        """
        self.path = folder / METRICS_FILE
        if logged_bytes is not None and self.path.is_file() and self.path.stat().st_size >= logged_bytes:
            os.truncate(self.path, logged_bytes)
        elif logged_bytes is not None:
            log.info("%s has been truncated or removed since the checkpoint; its earlier lines are lost", self.path)
        self._metrics_file = self.path.open("a", encoding="utf-8")
        existing = set(folder.glob(EVENT_FILES))
        purge_step = None if logged_bytes is None else step + 1
        self.writer = SummaryWriter(str(folder), purge_step=purge_step, filename_suffix=OWN_EVENTS)
        self._events = set(folder.glob(EVENT_FILES)) - existing
        if logged_bytes is None:
            self.writer._get_file_writer().add_summary(make_layout())

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Writes what is still buffered; after another error, as far as possible."""
        with suppress(OSError) if kind else nullcontext():
            self.writer.close()
        with suppress(OSError) if kind else oserrors_with_path(self.path):
            self._metrics_file.close()

    def sync(self) -> int:
        """Waits until everything logged is on the disk itself; returns the length of metrics.jsonl. Raises OSError."""
        self.writer.flush()
        for file in {self.path, *self._events}:
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        return self.path.stat().st_size

    def log_scalars(self, step: int, epoch: float, values: dict[str, float]) -> None:
        """Logs values by name (`train/loss`, `validation/tau`) at an optimizer step."""
        with oserrors_with_path(self.path):
            if os.fstat(self._metrics_file.fileno()).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "removed while the run was writing to it")
            self._metrics_file.write(json.dumps({"step": step, "epoch": round(epoch, 4), **values}) + "\n")
            self._metrics_file.flush()
        for name, value in values.items():
            self.writer.add_scalar(tensorboard_tag(name), value, step)

    def log_evaluation(
        self, step: int, epoch: float, split: str, evaluation: Evaluation, corpus: Corpus, config: SentenceOrdererConfig
    ) -> None:
        """Logs an evaluation of a model: metrics, also of the largest groups, sample documents as text, pictures."""
        reliability = evaluation.reliability(Calibration.of(config))
        values = {"loss": evaluation.loss, **calibration_errors(reliability), **evaluation.summary()}
        values = {f"{split}/{name}": value for name, value in values.items()}
        for group, summary in islice(evaluation.summary_by_group(corpus).items(), MAX_SHOWN):
            tag = re.sub(r"[^\w.-]+", "_", group_label(group))
            while f"{split}/{MAIN_METRICS[0]}/{tag}" in values:  # of another group, such as "C#" beside "C+"
                tag += "_"
            values.update({f"{split}/{name}/{tag}": summary[name] for name in MAIN_METRICS})
        self.log_scalars(step, epoch, values)

        for row in range(min(NUM_SAMPLES, len(corpus))):
            self.writer.add_text(f"{split}/document_{row}", _sample_table(corpus.documents[row], evaluation, row), step)
        confusion = position_confusion_figure(evaluation.confusion_SS, evaluation.common_documents)
        self.writer.add_figure(f"{split}/position_confusion", confusion, step)
        for name, found in reliability.items():
            tag = f"{split}/reliability" if name == "orders" else f"{split}/pair_reliability"
            self.writer.add_figure(tag, reliability_figure(found, name), step)
        if evaluation.pair_probability_SS is not None:
            picture = pair_probability_figure(evaluation.pair_probability_SS)
            self.writer.add_figure(f"{split}/pair_probability", picture, step)
        self.writer.flush()

    def log_hparams(self, config: TrainConfig, training: dict[str, Any], step: int) -> None:
        """Logs the run's row in TensorBoard's table of hyper-parameters; `training` is its record in results.json."""
        for summary in make_hparams(config, training["frozen"], read_overrides(self.path.parent)):
            # Not by `add_hparams`, which would make a sub-run.
            self.writer._get_file_writer().add_summary(summary)
        for tag in TOTALS:
            self.writer.add_scalar(tag, training[tag.removeprefix("total/")], step)


def remove_logs(folder: Path) -> None:
    """Removes what a run has logged that starts from the beginning, and no file of another program.

    Raises UserError if there is a `metrics.jsonl` of another program, where the run's own would be.
    """
    metrics = folder / METRICS_FILE
    if metrics.exists() and not _is_own(metrics):
        raise UserError(f"output_dir: {metrics} was not written by this run, which would write there; move it away")
    for file in (metrics, *folder.glob(f"{EVENT_FILES}{OWN_EVENTS}")):
        file.unlink(missing_ok=True)


def _is_own(metrics: Path) -> bool:
    """True if the first line, which a killed run may not have completed, is one of `Tracker.log_scalars`."""
    start = b'{"step": '
    with metrics.open("rb") as stream:
        line = stream.readline(10_000)
    return start.startswith(line) or (line.startswith(start) and (b'"epoch": ' in line or not line.endswith(b"\n")))


def _sample_table(document: dict[str, Any], evaluation: Evaluation, row: int) -> str:
    """A document as a Markdown table: input, prediction (with a mark for right places), true order."""
    lines = ["| | given | predicted | true |", "|---|---|---|---|"]
    for k, texts in enumerate(compare_orders(document["sentences"], evaluation.given[row], evaluation.order[row]), 1):
        cells = [text.replace("|", "\\|") for text in texts]
        lines.append(f"| {k} | {' | '.join(cells)} |")
    return "\n".join(lines)
