"""The training loop: forward, loss over the step's pair count, backward, clip, step, log, validate, save."""

import itertools
import logging
import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from rich.progress import Progress
from torch import Tensor

from sentence_order.config import TrainConfig
from sentence_order.console import progress_bar
from sentence_order.data.batching import TokenBudgetBatches, load_batches
from sentence_order.data.examples import Batch
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import TrainingError
from sentence_order.files import atomic_folder
from sentence_order.metrics import PRIMARY_METRIC
from sentence_order.model.freezing import freeze_phases
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.runtime import Runtime, choose_workers
from sentence_order.statistics import with_intervals
from sentence_order.training.card import CardFacts, write_card
from sentence_order.training.evaluation import evaluate_corpus
from sentence_order.training.optimization import (
    Schedule,
    WeightAverage,
    add_unfrozen,
    gradient_norms,
    make_optimizer,
)
from sentence_order.training.recorder import Recorder
from sentence_order.training.state import STATE_FILE, capture, restore

log = logging.getLogger(__name__)

# Validation may take this share of the time that training takes, and a document costs it about a third of a step's.
VALIDATION_SHARE = 0.2
VALIDATION_COST = 1 / 3
MOST_VALIDATIONS = 10


@dataclass
class Window:
    """What has happened since the last line of the log."""

    loss: float = 0.0
    pairs: int = 0
    documents: int = 0
    tokens: int = 0
    cells: int = 0  # tokens and padding
    seconds: float = 0.0

    def add(self, batch: Batch) -> None:
        tokens_B = batch["lengths"].sum(1)
        self.documents += len(tokens_B)
        self.tokens += int(tokens_B.sum())
        self.cells += len(tokens_B) * int(tokens_B.max())


class Trainer:
    """One training run: `fit` leaves the best model (by validation tau) and the last one in `folder/checkpoints`.

    Attributes:
        step: optimizer steps taken.
        documents, seconds: seen, and spent, in training steps; validation and checkpoints are left out.
        best: the validation metrics of the best checkpoint so far, taken at `best_step`.
        validated: the latest of them, with their intervals.
        ended: no step is left to take.
        unfreezing: the phases of `freeze.schedule` that are still to come.
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
    ) -> None:
        """Args:
        facts: for the model card of every checkpoint.
        state: where to go on (see `state.py`).
        """
        self.model, self.train, self.validation = model, train, validation
        self.config, self.runtime, self.folder = config, runtime, folder
        self.loss = model.ordering_loss
        self.workers = choose_workers(config.trainer.workers, runtime.device)
        self.total_steps = self._count_steps()
        self.eval_every = config.trainer.eval_every or self._choose_eval_every()
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.unfreezing = freeze_phases(config.freeze, len(model.blocks) - 1)[1:]
        self.optimizer = make_optimizer(model, config.optim)
        self.average = WeightAverage(self.trained, config.optim.ema)
        self.schedule = Schedule(self.optimizer, config.optim, self.total_steps)
        self.facts = facts
        self.recorder = Recorder(folder, resumed_at=state["step"] if state else None)
        self.window = Window()
        self.step = 0
        self.documents = 0
        self.seconds = 0.0
        self.best: dict[str, float] = {}
        self.best_step = 0
        self.validated: dict[str, Any] = {}
        self.ended = False
        self.last_checkpoint: Path | None = None
        if state is None:
            self.recorder.layout()
        else:
            restore(self, state)
            self.last_checkpoint = folder / "checkpoints" / "last"

    def fit(self) -> None:
        """Trains to the end.

        Raises:
            TrainingError: a loss or gradient was not finite, or `debug.overfit` did not order its documents.
        """
        for _ in self.steps():
            pass
        if self.config.debug.overfit and self.best["pmr"] < 1:
            raise TrainingError(
                f"debug=overfit: after {self.step} steps only {self.best['pmr']:.0%} of the documents that the model "
                "trains on are in order; look at the data, the learning rates and what is frozen"
            )

    def steps(self) -> Iterator[int]:
        """The run step by step: yields the number of each step when all that belongs to it is done."""
        settings = self.config.trainer
        self.model.train()
        with closing(self.recorder), progress_bar() as bar:
            task = bar.add_task("training", total=self.total_steps, completed=self.step, unit="steps", note="")
            batches = self._batches()
            while not self.ended:
                before, epoch, step_batches = next(batches)
                while self.unfreezing and before >= self.unfreezing[0].epoch:
                    self.unfreeze()
                self.step += 1
                loss, norms = self._train_step(step_batches)
                self.ended = self.step == self.total_steps
                if self.ended or self.step == 1 or self.step % settings.log_every == 0:
                    self._log(epoch, norms)
                self.schedule.step()  # after the log, which tells the rates that the step was taken with
                if self.ended or self.step % self.eval_every == 0:
                    with self.average.in_place():
                        self.ended = self._validate(epoch, bar) or self.ended
                    self._save_last()
                elif settings.save_every and self.step % settings.save_every == 0:
                    self._save_last()
                best = f", best tau {self.best[PRIMARY_METRIC]:.3f}" if self.best else ""
                bar.update(task, advance=1, note=f"loss {loss:.3f}{best}")
                yield self.step

    def _batches(self) -> Iterator[tuple[float, float, list[Batch]]]:
        """The micro-batches of every step from the next one on, with how many epochs are done before and after it."""
        settings = self.config.trainer
        skip = self.step  # steps that are to be passed over
        for epoch in itertools.count():
            total = len(TokenBudgetBatches(self.train.tokens, settings.batch_tokens, self.config.seed, epoch))
            steps = math.ceil(total / settings.accumulate)
            if skip >= steps:
                skip -= steps
                continue
            done, skip = skip * settings.accumulate, 0
            batches = load_batches(
                self.train,
                settings.batch_tokens,
                self.config.seed,
                epoch,
                self.workers,
                self.runtime.device.type == "cuda",
                skip=done,
            )
            iterator = iter(batches)
            while step_batches := list(itertools.islice(iterator, settings.accumulate)):
                before, done = done, done + len(step_batches)
                yield epoch + before / total, epoch + done / total, step_batches

    def unfreeze(self) -> None:
        """Enters the next phase of `freeze.schedule`: some blocks begin to train."""
        phase = self.unfreezing.pop(0)
        freed = self.model.frozen_blocks - phase.blocks
        self.model.freeze(phase.blocks, self.model.kept_blocks)
        known = set(self.trained)
        fresh = [weight for weight in self.model.parameters() if weight.requires_grad and weight not in known]
        self.trained += fresh
        self.average.add(fresh)
        add_unfrozen(self.optimizer, self.model, self.config.optim)
        self.schedule.apply()
        names = [name for number, name in enumerate(self.model.parts) if number in freed]
        log.info("epoch %g: %s train from here on", phase.epoch, ", ".join(names))

    def _count_steps(self) -> int:
        """How many steps the run has: `trainer.max_steps`, or what the epochs come to."""
        settings = self.config.trainer
        if settings.max_steps is not None:
            return settings.max_steps
        return sum(
            math.ceil(
                len(TokenBudgetBatches(self.train.tokens, settings.batch_tokens, self.config.seed, epoch))
                / settings.accumulate
            )
            for epoch in range(settings.epochs)
        )

    def _choose_eval_every(self) -> int:
        total = self.total_steps
        tokens = self.config.trainer.batch_tokens * self.config.trainer.accumulate * total
        validation_tokens = int(self.validation.tokens.sum())
        affordable = int(VALIDATION_SHARE * tokens / (VALIDATION_COST * validation_tokens))
        every = math.ceil(total / max(1, min(MOST_VALIDATIONS, affordable)))
        log.info(
            "validation: every %d of %d steps (auto: at most %d times; beyond one, at most %.0f %% of the time)",
            *(every, total, MOST_VALIDATIONS, 100 * VALIDATION_SHARE),
        )
        return every

    def _train_step(self, batches: list[Batch]) -> tuple[float, dict[str, float]]:
        """One optimizer step over micro-batches: the same gradient as one batch of all their documents.

        Returns:
            The loss per pair of the step, and gradient norms by tag.
        """
        started = time.perf_counter()
        # The normaliser is known before the first backward: every loss is taken per pair of real sentences.
        pairs = sum(int((n * (n - 1) // 2).sum()) for n in (batch["mask"].sum(1) for batch in batches))
        total = 0.0
        for batch in batches:
            self.window.add(batch)
            loss_sum = self._forward(batch)
            value = loss_sum.item()
            if not math.isfinite(value):
                self._stop_nonfinite(f"the loss is {value}", [batch])
            total += value
            try:
                (loss_sum / pairs).backward()
            except RuntimeError as error:
                if "nan values" not in str(error):  # what autograd's anomaly detection raises
                    raise
                self._stop_nonfinite(str(error), [batch])
        blocks = gradient_norms(self.model) if self.config.debug.anomaly else {}
        norm = torch.nn.utils.clip_grad_norm_(self.trained, self.config.optim.max_grad_norm).item()
        if not math.isfinite(norm):
            self._stop_nonfinite(f"the gradient's norm is {norm}", batches)
        norms = {
            "train/gradient_norm": norm,
            **{f"train/gradient_norm/{name}": value for name, value in blocks.items()},
        }
        self.optimizer.step()
        self.average.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.window.loss += total
        self.window.pairs += pairs
        self.window.seconds += time.perf_counter() - started
        return total / pairs, norms

    def _forward(self, batch: Batch) -> Tensor:
        inputs = {name: tensor.to(self.runtime.device, non_blocking=True) for name, tensor in batch.items()}
        with self.runtime.autocast():
            scores = self.model(inputs.get("input_ids"), inputs["lengths"], prefix=inputs.get("prefix"))
        return self.loss(scores, inputs["positions"], inputs["mask"])[0]

    def _stop_nonfinite(self, what: str, batches: list[Batch]) -> NoReturn:
        ids = self.train.documents["id"]
        documents = [ids[row] for batch in batches for row in batch["document"].tolist()]
        raise self._failure(f"{what}; documents of the batch: {', '.join(documents)}")

    def _failure(self, what: str) -> TrainingError:
        """What stops a run, with the step that it happened at and the checkpoint to go back to."""
        last = self.last_checkpoint or "none yet"
        return TrainingError(f"step {self.step}: {what}; last good checkpoint: {last}")

    def _log(self, epoch: float, norms: dict[str, float]) -> None:
        window, self.window = self.window, Window()
        self.seconds += window.seconds
        self.documents += window.documents
        rates = {f"train/lr/{group['name']}": group["lr"] for group in self.optimizer.param_groups}
        values = {
            "train/loss": window.loss / window.pairs,
            **norms,
            **rates,
            "train/documents_per_second": window.documents / window.seconds,
            "train/tokens_per_second": window.tokens / window.seconds,
            "train/padding_share": 1 - window.tokens / window.cells,
        }
        self.recorder.scalars(self.step, epoch, values)

    def _validate(self, epoch: float, bar: Progress) -> bool:
        """Evaluates, keeps the model if it is the best so far, and tells whether `debug.overfit` has what it wants."""
        task = bar.add_task("validating", total=len(self.validation), unit="documents", note="")
        try:
            evaluation = evaluate_corpus(
                self.model,
                self.validation,
                self.config.decoder,
                self.runtime,
                seed=self.config.seed,
                batch_tokens=self.config.trainer.eval_batch_tokens,
                advance=partial(bar.advance, task),
            )
        except TrainingError as error:
            raise self._failure(str(error)) from error
        bar.remove_task(task)
        self.recorder.evaluation(self.step, epoch, "validation", evaluation, self.validation)
        summary = evaluation.summary()
        self.validated = {"documents": len(self.validation), **with_intervals(evaluation.parts)}
        figures = ", ".join(f"{name} {summary[name]:.3f}" for name in ("accuracy", "pmr", "tau"))
        log.info("step %d: validation loss %.3f, %s", self.step, evaluation.loss, figures)
        if not self.best or summary[PRIMARY_METRIC] > self.best[PRIMARY_METRIC]:
            self.best, self.best_step = summary, self.step
            self._save("best")
        return self.config.debug.overfit and summary["pmr"] == 1

    def _save_last(self) -> None:
        """Saves the model as it is judged, and all that it takes to go on from here."""
        state = capture(self)
        with self.average.in_place():
            self._save("last", state)

    def _save(self, name: str, state: dict[str, Any] | None = None) -> None:
        path = self.folder / "checkpoints" / name
        broken = next((key for key, weights in self.model.named_parameters() if not weights.isfinite().all()), None)
        if broken:
            raise self._failure(f"the weights of {broken} are not finite, and are not saved")
        with atomic_folder(path) as fresh:
            self.model.save_pretrained(fresh)
            if self.facts is not None:
                write_card(fresh, self.facts, self.step, {"validation": self.validated} if self.validated else {})
            if state is not None:
                torch.save(state, fresh / STATE_FILE)
        self.last_checkpoint = path
