"""Writes the checkpoints of a run: the best one by validation, the last one, from which it can resume, and those that
`trainer.keep` keeps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentence_order.data.tokenization import Corpus
from sentence_order.errors import TrainingError
from sentence_order.evaluation.evaluator import Evaluation
from sentence_order.evaluation.results import split_results, write_json
from sentence_order.inference.calibration import Calibration, fit_calibration, fit_pair_calibration
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.files import atomic_folder, is_checkpoint, recover_interrupted_write, remove_checkpoint
from sentence_order.training.model_card import ModelCardContext, write_card
from sentence_order.training.state import TrainerState, write_state

# In the best checkpoint: its results on the validation documents, for the results.json of the run.
VALIDATION_FILE = "validation.json"
BOOTSTRAP_RESAMPLES = 1000


class CheckpointWriter:
    """Writes `folder/checkpoints/best`, `last` and the last `keep` as `step_STEP`, each complete or not at all.

    Only the main process writes.
    """

    def __init__(
        self, folder: Path, model: SentenceOrdererModel, card: ModelCardContext | None, is_main: bool, keep: int
    ) -> None:
        self.best, self.last = folder / "checkpoints" / "best", folder / "checkpoints" / "last"
        self.model, self.card, self.is_main, self.keep = model, card, is_main, keep

    def save_best(self, state: TrainerState, evaluation: Evaluation, corpus: Corpus, seed: int) -> None:
        """Saves the model with the calibration fitted to an evaluation of the validation documents, and its results."""
        orders = fit_calibration(evaluation.log_odds_D, evaluation.perfect)
        pairs = fit_pair_calibration(evaluation.pair_log_odds)
        results = (evaluation, corpus, Calibration(orders, pairs), BOOTSTRAP_RESAMPLES, seed)
        config = self.model.config
        config.calibration, config.pair_calibration = orders, pairs
        self._write(self.best, state, lambda folder: write_json(folder / VALIDATION_FILE, split_results(*results)))
        config.calibration, config.pair_calibration = None, None  # they are those of these weights only

    def save_last(self, state: TrainerState, training_state: dict[str, Any]) -> None:
        """Saves the model and what is needed to resume; and the model alone, if it is to be kept."""
        if self.keep:  # before `last`, so that a run that is killed in between keeps the same ones when it resumes
            self._write(self.last.with_name(f"step_{state.step}"), state)
        self._write(self.last, state, lambda tmp_dir: write_state(training_state, tmp_dir))
        if self.keep and self.is_main:
            self._remove_all_but_kept(state.step)

    def _remove_all_but_kept(self, step: int) -> None:
        """Removes all but the last ones, and those that the run had saved later before it resumed."""
        for leftover in self.last.parent.glob(".step_*"):
            recover_interrupted_write(leftover.with_name(leftover.name.split(".")[1]))
        found = {int(path.name[5:]): path for path in self.last.parent.glob("step_*") if path.name[5:].isdecimal()}
        steps = sorted(number for number, path in found.items() if is_checkpoint(path) and not path.is_symlink())
        kept = [number for number in steps if number <= step][-self.keep :]
        for number in set(steps).difference(kept):
            remove_checkpoint(found[number])

    def _write(
        self, path: Path, state: TrainerState, write_extra: Callable[[Path], None] = lambda folder: None
    ) -> None:
        for weight_name, weight in self.model.named_parameters():
            if not weight.isfinite().all():
                raise TrainingError(f"{weight_name} contains NaN or infinite values; checkpoint not saved")
        if not self.is_main:
            return
        with atomic_folder(path) as tmp_dir:
            self.model.save_pretrained(tmp_dir)
            if self.card is not None:
                results = {"validation": state.last_validation} if state.last_validation else {}
                write_card(tmp_dir, self.card, state.step, results)
            write_extra(tmp_dir)
