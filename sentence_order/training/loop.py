"""The training loop: batches, steps, log, validation, checkpoints; what stops a run, and how it is to go on."""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import SIGINT, SIGTERM
from signal import Signals as SignalNames
from typing import Any, NoReturn

from rich.progress import Progress

from sentence_order.commands import command_to_go_on
from sentence_order.config import OnNonfinite, TrainConfig
from sentence_order.console import progress_bar
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import Interrupted, TrainingError, first_line
from sentence_order.files import atomic_folder
from sentence_order.metrics import PRIMARY_METRIC
from sentence_order.model.freezing import freeze_phases
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.runtime import Runtime, choose_workers, out_of_memory
from sentence_order.statistics import with_intervals
from sentence_order.training import nonfinite
from sentence_order.training.card import CardFacts, write_card
from sentence_order.training.evaluation import evaluate_corpus
from sentence_order.training.plan import Work, choose_eval_every, count_steps, steps_from
from sentence_order.training.recorder import Recorder
from sentence_order.training.signals import Signals
from sentence_order.training.state import capture, digests, restore, write_state
from sentence_order.training.step import Stepper, Taken

log = logging.getLogger(__name__)


@dataclass
class Window:
    """What has happened since the last line of the log, in all processes together."""

    loss: float = 0.0
    pairs: int = 0
    documents: int = 0
    tokens: int = 0
    cells: int = 0  # tokens and padding
    seconds: float = 0.0


class Trainer:
    """One training run: `fit` leaves the best model (by validation tau) and the last one in `folder/checkpoints`.

    Attributes:
        step: optimizer steps taken, those that were skipped included.
        epoch: how many epochs they come to.
        to_validate: the last step is to be followed by a validation, which has not been done yet.
        documents, seconds: seen, and spent, in training steps; validation and checkpoints are left out.
        nonfinite: steps that were skipped because a loss or gradient was not finite.
        best: the validation metrics of the best checkpoint so far, taken at `best_step`.
        worse: validations since.
        validated: the latest of them, with their intervals.
        ended: no step is left to take.
        earlier: seconds that the run took before it stopped and went on.
        unfreezing: the phases of `freeze.schedule` that are still to come.
        last_checkpoint: what the run can go on from, if there is anything yet.
        digests: of what the run reads and does not change.
        recorder: None in all processes but the first.
    """

    def __init__(
        self,
        model: SentenceOrderer,
        train: Corpus,
        validation: Corpus,
        config: TrainConfig,
        runtime: Runtime,
        folder: Path,
        facts: CardFacts | None = None,
        state: dict[str, Any] | None = None,
        signals: Signals | None = None,
    ) -> None:
        """Args:
        facts: for the model card of every checkpoint.
        state: where to go on (see `state.py`).
        signals: what the process is told from outside.
        """
        self.model, self.train, self.validation = model, train, validation
        self.config, self.runtime, self.folder = config, runtime, folder
        self.signals = signals or Signals()
        self.workers = choose_workers(config.trainer.workers, runtime.device)
        self.total_steps = count_steps(config, train)
        self.eval_every = config.trainer.eval_every or choose_eval_every(config, validation, self.total_steps)
        self.unfreezing = freeze_phases(config.freeze, len(model.blocks) - 1)[1:]
        self.stepper = Stepper(model, config, runtime, self.total_steps)
        self.facts = facts
        self.window = Window()
        self.step = 0
        self.epoch = 0.0
        self.to_validate = False
        self.documents = 0
        self.seconds = 0.0
        self.nonfinite = 0
        self.best: dict[str, float] = {}
        self.best_step = 0
        self.worse = 0
        self.validated: dict[str, Any] = {}
        self.ended = False
        self.started, self.earlier = time.perf_counter(), 0.0
        self.last_checkpoint: Path | None = None
        self.digests = digests(self)
        self.recorder: Recorder | None = None
        if state is not None:
            restore(self, state)
            self.last_checkpoint = folder / "checkpoints" / "last"
        if runtime.processes.first:
            self.recorder = Recorder(folder, state and state["recorded"], self.step)
            if state is None:
                self.recorder.layout()

    def fit(self) -> None:
        """Trains to the end.

        Raises:
            TrainingError: a loss or gradient was not finite, what must be written could not be, something did not fit
                in memory, another process of the run ended, or `debug.overfit` did not order its documents.
            Interrupted: a signal told it to stop; it has saved.
        """
        with self.signals.deferred():
            for _ in self.steps():
                pass
        if stop := max(stop or 0 for stop in self.runtime.processes.gather(self.signals.stop)):  # told at the very end
            self._stop(stop)
        if self.config.debug.overfit and self.best["pmr"] < 1:
            raise TrainingError(
                f"debug=overfit: after {self.step} steps only {self.best['pmr']:.0%} of the documents that the model "
                "trains on are in order; look at the data, the learning rates and what is frozen"
            )

    def steps(self) -> Iterator[int]:
        """The run step by step: yields the number of each step when all that belongs to it is done."""
        self.model.train()
        with self.recorder or nullcontext(), progress_bar() as bar, self._told():
            task = bar.add_task("training", total=self.total_steps, completed=self.step, unit="steps", note="")
            work = steps_from(self.step, self.config, self.train, self.runtime, self.workers)
            while self.to_validate or not self.ended:
                stop, save = 0, False
                if not self.to_validate:
                    stop, save, note = self._take(next(work))
                    bar.update(task, advance=1, note=note)
                validates = self.to_validate
                if validates and not stop:
                    stop = self._validate(bar)
                if validates or stop or save or self._is_due(self.config.trainer.save_every):
                    self._save_last()
                if save:
                    self.signals.save = False
                    log.info("SIGUSR1: %s holds step %d", self.last_checkpoint, self.step)
                if stop:
                    self._stop(stop)
                yield self.step

    def _take(self, work: Work) -> tuple[int, bool, str]:
        """One step and its line in the log.

        Returns:
            The signal to stop by, or 0; whether it was told to save; what the progress bar shows.
        """
        while self.unfreezing and work.before >= self.unfreezing[0].epoch:
            self.unfreeze()
        self.step += 1
        started = time.perf_counter()
        taken = self.stepper.take(work.batches, work.pairs, self._wishes())
        self.epoch = work.after
        self._add_to_window(work, taken, time.perf_counter() - started)
        if taken.broken is not None:
            self._deal_with(taken, work)
        self.ended = self.step >= self.total_steps
        if self.ended or self.step == 1 or self._is_due(self.config.trainer.log_every):
            self._log(taken.norms)
        self.stepper.schedule.step()  # after the log, which tells the rates that the step was taken with
        self.to_validate = self.ended or self._is_due(self.eval_every)
        best = f", best tau {self.best[PRIMARY_METRIC]:.3f}" if self.best else ""
        # Several processes must agree, and do so on the way; one alone also has what came during the step.
        wishes = taken.wishes if self.runtime.processes.count > 1 else self._wishes()
        stop = next((int(number) for number, wished in zip((SIGTERM, SIGINT), wishes, strict=False) if wished), 0)
        return stop, bool(wishes[2]), f"loss {taken.loss:.3f}{best}"

    def unfreeze(self) -> None:
        """Enters the next phase of `freeze.schedule`: some blocks begin to train."""
        phase = self.unfreezing.pop(0)
        freed = self.model.frozen_blocks - phase.blocks
        self.model.freeze(phase.blocks, self.model.kept_blocks)
        self.stepper.add_unfrozen()
        names = [name for number, name in enumerate(self.model.parts) if number in freed]
        log.info("epoch %g: %s train from here on", phase.epoch, ", ".join(names))

    def _is_due(self, every: int | None) -> bool:
        return every is not None and self.step % every == 0

    def _wishes(self) -> list[float]:
        """What this process was told from outside: to stop by SIGTERM, by SIGINT, to save."""
        stop = self.signals.stop
        return [float(stop == SIGTERM), float(stop == SIGINT), float(self.signals.save)]

    def _add_to_window(self, work: Work, taken: Taken, seconds: float) -> None:
        window = self.window
        if taken.broken is None:
            window.loss += taken.loss * work.pairs
            window.pairs += work.pairs
        window.documents += work.documents
        window.tokens += work.tokens
        window.cells += work.cells
        window.seconds += seconds

    def _log(self, norms: dict[str, float]) -> None:
        window, self.window = self.window, Window()
        self.seconds += window.seconds
        self.documents += window.documents
        if self.recorder is None:
            return
        values = {"train/loss": window.loss / window.pairs} if window.pairs else {}
        values |= {name: norm for name, norm in norms.items() if math.isfinite(norm)}  # else the step was skipped
        values |= {f"train/lr/{group['name']}": group["lr"] for group in self.stepper.optimizer.param_groups}
        values |= {
            "train/documents_per_second": window.documents / window.seconds,
            "train/tokens_per_second": window.tokens / window.seconds,
            "train/padding_share": 1 - window.tokens / window.cells,
        }
        if self.stepper.scaler.is_enabled():
            values["train/loss_scale"] = self.stepper.scaler.get_scale()
        if self.nonfinite:
            values["train/skipped_steps"] = self.nonfinite
        self.recorder.scalars(self.step, self.epoch, values)

    def _validate(self, bar: Progress) -> int:
        """Evaluates, and keeps the model if it is the best so far.

        Returns:
            The signal that has broken it off, to be done again; else 0.
        """
        task = bar.add_task("validating", total=len(self.validation), unit="documents", note="")
        with self.stepper.average.in_place():
            evaluation = evaluate_corpus(
                self.model,
                self.validation,
                self.config.decoder,
                self.runtime,
                seed=self.config.seed,
                batch_tokens=self.config.trainer.eval_batch_tokens,
                advance=partial(bar.advance, task),
                stop=lambda: self.signals.stop is not None,
            )
            bar.remove_task(task)
            if evaluation is None:
                return max(stop or 0 for stop in self.runtime.processes.gather(self.signals.stop))
            if self.recorder is not None:
                self.recorder.evaluation(self.step, self.epoch, "validation", evaluation, self.validation)
            summary = evaluation.summary()
            self.validated = {"documents": len(self.validation), **with_intervals(evaluation.parts)}
            figures = ", ".join(f"{name} {summary[name]:.3f}" for name in ("accuracy", "pmr", "tau"))
            log.info("step %d: validation loss %.3f, %s", self.step, evaluation.loss, figures)
            self.worse += 1
            if not self.best or summary[PRIMARY_METRIC] > self.best[PRIMARY_METRIC]:
                self.best, self.best_step, self.worse = summary, self.step, 0
                self._save("best")
        self.to_validate = False
        if self.config.debug.overfit and summary["pmr"] == 1:
            self.ended = True
        patience = self.config.trainer.patience
        if patience is not None and self.worse >= patience and not self.ended:
            log.info("step %d: no better tau in %d validations; the run ends here", self.step, self.worse)
            self.ended = True
        return 0

    def _save_last(self) -> None:
        """Saves the model as it is judged, and all that it takes to go on from here."""
        state = capture(self)
        with self.stepper.average.in_place():
            self._save("last", state)

    def _save(self, name: str, state: dict[str, Any] | None = None) -> None:
        broken = next((key for key, weights in self.model.named_parameters() if not weights.isfinite().all()), None)
        if broken:
            raise TrainingError(f"the weights of {broken} are not finite, and are not saved")
        path = self.folder / "checkpoints" / name
        if self.runtime.processes.first:
            with atomic_folder(path) as fresh:
                self.model.save_pretrained(fresh)
                if self.facts is not None:
                    write_card(fresh, self.facts, self.step, {"validation": self.validated} if self.validated else {})
                if state is not None:
                    write_state(state, fresh)
        if state is not None:
            self.last_checkpoint = path

    def _deal_with(self, taken: Taken, work: Work) -> None:
        """Says what was not finite in a step, keeps its batch, and skips it or stops."""
        processes, ids = self.runtime.processes, self.train.documents["id"]
        finding = nonfinite.examine(self.stepper, work.batches, work.pairs, taken.random)
        own = nonfinite.told(finding, [ids[row] for row in finding.rows]) if finding else None
        findings = processes.gather(own)
        guilty = next((rank for rank, told in enumerate(findings) if told is not None), None)
        kept = ""
        if processes.rank == guilty:
            names = [ids[row] for batch in work.batches for row in batch["document"].tolist()]
            step = (self.stepper, work.batches, work.pairs, taken.random, self.step, names)
            try:
                kept = f"; to look into it: {nonfinite.command_to_replay(nonfinite.keep(self.folder, *step))}"
            except OSError as error:  # what has happened is the more important news
                kept = f"; the batch could not be kept ({error})"
        if guilty is None:
            message = f"{taken.broken}; when the step was taken again, all was finite"
        else:
            message = f"{findings[guilty]}{''.join(processes.gather(kept))}"
        self.nonfinite += 1
        if self.config.on_nonfinite is OnNonfinite.stop:
            raise TrainingError(message)
        if self.nonfinite > (most := self.config.max_nonfinite):
            raise TrainingError(f"{message}; this would be step {self.nonfinite} to skip, and max_nonfinite is {most}")
        log.info("step %d is skipped (%d of at most %d): %s", self.step, self.nonfinite, most, message)

    def _stop(self, number: int) -> NoReturn:
        raise Interrupted(
            number,
            f"stopped by {SignalNames(number).name} after step {self.step}, which {self.last_checkpoint} holds",
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever stops the run within is told with the step that it happened at and the checkpoint to go back to."""
        try:
            yield
        except BrokenPipeError:  # who reads our output went away, and there is nobody to tell
            raise
        except (TrainingError, OSError, RuntimeError, MemoryError) as error:
            if isinstance(error, OSError):
                what = f"{error.filename or 'a file'} cannot be written: {error.strerror or error}"
            elif isinstance(error, TrainingError) or out_of_memory(error) or "DataLoader worker" in str(error):
                what = first_line(error)
            else:
                raise
            last = self.last_checkpoint if self.last_checkpoint and self.last_checkpoint.exists() else None
            then = f"{last}, and to go on from it: {command_to_go_on(self.folder)}" if last else "none yet"
            raise TrainingError(f"step {self.step}: {what}; last good checkpoint: {then}") from error
