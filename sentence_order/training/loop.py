"""The training loop, of one process or of several."""

import logging
import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from sentence_order.config.components import METRICS
from sentence_order.config.schema import OnNonfinite, TrainConfig
from sentence_order.data.groups import group_label
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import Interrupted, TrainingError, UserError, first_line
from sentence_order.evaluation.evaluator import Evaluation, evaluate_corpus
from sentence_order.evaluation.inspection import find_problem
from sentence_order.evaluation.metrics import MAIN_METRICS
from sentence_order.evaluation.statistics import with_intervals
from sentence_order.inference.scoring import describe_decoding
from sentence_order.model.freezing import freeze_phases
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.console import progress_bar
from sentence_order.runtime.device import Runtime, out_of_memory
from sentence_order.runtime.signals import Signals
from sentence_order.training.callbacks import Callback, CallbackList
from sentence_order.training.checkpoints import CheckpointWriter
from sentence_order.training.diagnose import describe_nonfinite
from sentence_order.training.model_card import ModelCardContext
from sentence_order.training.plan import StepInput, TrainingPlan
from sentence_order.training.run_config import how_to_resume
from sentence_order.training.state import TrainerState, get_rng_state, set_rng_state
from sentence_order.training.step import StepOutput, Stepper, choose_reading
from sentence_order.training.tracker import Meter, Tracker

log = logging.getLogger(__name__)

MIN_SEEN = 200  # documents, before which it says nothing that a model is no better than chance


class TrainingLoop:
    """The loop of a run; it leaves the best model (by `trainer.metric`) and the last one in `folder/checkpoints`."""

    def __init__(
        self,
        model: SentenceOrdererModel,
        train: Corpus,
        validation: Corpus,
        config: TrainConfig,
        runtime: Runtime,
        folder: Path,
        *,
        tracker: Tracker | None = None,
        card: ModelCardContext | None = None,
        signals: Signals | None = None,
        digests: dict[str, str] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """Args:
        tracker: logs the run; None in all processes but the main one.
        digests: of what a run reads and must not change when it resumes, by config key (see `digest_inputs`).
        """
        self.model, self.train_corpus, self.validation_corpus = model, train, validation
        self.config, self.runtime, self.folder = config, runtime, folder
        self.tracker, self.callbacks = tracker, CallbackList(callbacks, runtime)
        self.signals = signals or Signals()
        self.metric = config.trainer.metric.value
        self.plan = TrainingPlan(train, validation, config.trainer, config.seed, runtime)
        self.stepper = Stepper(model, config.optim, runtime, self.plan.total_steps, config.debug.anomaly)
        self.pending_phases = freeze_phases(config.freeze, model.num_layers)[1:]  # of `freeze.schedule`
        self.checkpoints = CheckpointWriter(folder, model, card, runtime.processes.is_main, config.trainer.keep)

        self.state, self.meter = TrainerState(total_steps=self.plan.total_steps), Meter()
        self.loss: float | None = None  # of the last step that was read
        self.unread: list[tuple[StepInput, StepOutput]] = []  # without batches
        self.reads_every_step = choose_reading(runtime.device, config)
        self.stop_signal, self.save_requested = 0, False  # signals that have arrived in any process
        self.digests = digests or {}
        self.started = time.perf_counter()
        self.progress = progress_bar()

    def train(self) -> None:
        """Trains to the end. Raises Interrupted if a signal has stopped the run, which is then saved.

        Raises TrainingError if a loss or gradient is not finite, a file cannot be written, something does not fit in
        memory, another process of the run has ended, or `debug.overfit` has not ordered its documents.
        """
        self.model.train()
        inputs = self.plan.batches(start=self.state.step)
        with self.signals.deferred(), self.progress, self._add_run_context_to_errors(), closing(inputs):
            total = self.plan.total_steps
            task = self.progress.add_task("training", total=total, completed=self.state.step, unit="steps", note="")
            if self.state.validation_pending:  # a signal had interrupted it
                self.validate()
                self.save_checkpoint()
                self.progress.update(task, note=self._progress_note())

            while not self.check_stop():  # max_steps, early stopping, overfit, a signal in any process
                started = time.perf_counter()
                step_input = next(inputs)
                self._count_seconds(started)
                self.maybe_unfreeze(step_input.epoch_before)  # freeze.schedule

                output = self.training_step(step_input)  # forward, backward, all-reduce, clip, optimizer
                if self.should_read():  # every step on a CPU, when a line is logged on CUDA
                    self.read_steps()  # skips or raises for a step that is not finite, naming block and documents
                self.progress.update(task, advance=1, note=self._progress_note())

                # Once in a while: log, validate, save.
                if self.should_log():
                    self.log_training(output)
                self.callbacks.call("on_step", self.state)
                if self.should_read() or self.runtime.processes.world_size == 1:
                    self.sync_requests()  # signals, and callbacks that ask to stop, of any process
                if self.should_validate():
                    self.validate()  # keeps the best, counts num_bad_validations
                    self.progress.update(task, note=self._progress_note())
                if self.should_save():
                    self.save_checkpoint()

        self.sync_requests()  # a signal may have arrived since the last step
        self.check_stop()
        if self.config.debug.overfit and (pmr := self.state.last_validation["pmr"]["value"]) < 1:
            raise TrainingError(
                f"debug=overfit: after {self.state.step} steps only {pmr:.0%} of the documents that the model trains "
                "on are in order; check the data, the learning rates and what is frozen"
            )

    def check_stop(self) -> bool:
        """True if no step is left. Raises Interrupted if a signal to stop has arrived in any process."""
        if self.stop_signal:
            message = f"stopped by {signal.Signals(self.stop_signal).name} after step {self.state.step}"
            raise Interrupted(self.stop_signal, f"{message}, saved in {self.checkpoints.last}")
        return self.state.done

    def maybe_unfreeze(self, epoch: float) -> None:
        """Enters the phases of `freeze.schedule` that begin up to this epoch."""
        while self.pending_phases and epoch >= self.pending_phases[0].epoch:
            self.read_steps()  # a step that was not finite is reported with the weights that trained in it
            phase = self.pending_phases.pop(0)
            unfrozen = self.model.frozen_blocks - phase.blocks
            self.model.freeze(phase.blocks, self.model.permanently_frozen_blocks)
            self.stepper.add_unfrozen()
            names = [name for number, name in enumerate(self.model.parts) if number in unfrozen]
            log.info("epoch %g: unfreezing %s", phase.epoch, ", ".join(names))

    def training_step(self, inputs: StepInput) -> StepOutput:
        """One optimizer step, whose result is still to be read, and the progress that it makes."""
        started = time.perf_counter()
        output = self.stepper.training_step(
            *(inputs.batches, inputs.num_pairs, self.state.step),
            largest_share=inputs.largest_share,
            is_idle=inputs.is_idle,
        )
        self.unread.append((replace(inputs, batches=[]), output))
        self._count_seconds(started)

        state = self.state
        state.step += 1
        state.num_documents += inputs.num_documents
        state.epoch = inputs.epoch_after
        state.done = state.step >= self.plan.total_steps
        state.validation_pending = state.done or self._is_due(self.plan.eval_every)
        return output

    def should_read(self) -> bool:
        """Every step or, where a GPU goes on computing meanwhile, before a line is logged, a validation and a save."""
        due = self.state.validation_pending or self.should_log() or self._is_due(self.config.trainer.save_every)
        return self.reads_every_step or due

    def read_steps(self) -> None:
        """Waits for the device, and reads the losses of all steps since the last time.

        Skips a step whose loss or gradient was not finite, or raises TrainingError, as of the moment after that step:
        no later one has changed anything.
        """
        if not self.unread:
            return
        started, steps = time.perf_counter(), self.unread
        self.unread = []
        numbers = torch.stack([torch.stack([output.loss, output.is_nonfinite.float()]) for _, output in steps])
        for (inputs, output), (loss, is_nonfinite) in zip(steps, numbers.tolist(), strict=True):
            self.meter.update(inputs, None if is_nonfinite else loss)
            self.loss = loss
            if is_nonfinite:
                self.handle_nonfinite(output, inputs)
        self._count_seconds(started)

    def handle_nonfinite(self, output: StepOutput, inputs: StepInput) -> None:
        """Skips a step whose loss or gradient was not finite, or raises TrainingError; saves its batch."""
        state, ids = self.state, self.train_corpus.documents["id"]
        state.step, state.epoch = output.step, inputs.epoch_after
        inputs = replace(inputs, batches=self.plan.load(inputs.epoch, inputs.shards))
        message = describe_nonfinite(self.stepper, inputs, output, ids, self.folder, state.step)
        state.num_skipped_steps += 1
        skipped, limit = state.num_skipped_steps, self.config.max_nonfinite
        if self.config.on_nonfinite is OnNonfinite.stop:
            raise TrainingError(message)
        if skipped > limit:
            raise TrainingError(f"{message}; {skipped} steps would be skipped, and max_nonfinite is {limit}")
        self.stepper.clear_nonfinite()
        log.info("skipping step %d (%d of at most %d): %s", state.step, skipped, limit, message)

    def should_log(self) -> bool:
        """After the first step, the last one, and every `trainer.log_every`."""
        return self.state.done or self.state.step == 1 or self._is_due(self.config.trainer.log_every)

    def should_validate(self) -> bool:
        """If a validation is due; while a signal to stop waits, it stays pending for the resumed run."""
        return self.state.validation_pending and not self.stop_signal

    def should_save(self) -> bool:
        """After a validation, when a signal waits, and every `trainer.save_every`."""
        validated = self.state.validated_step == self.state.step
        signalled = self.stop_signal or self.save_requested
        return bool(validated or signalled or self._is_due(self.config.trainer.save_every))

    def log_training(self, output: StepOutput) -> None:
        """Logs the means since the last line, and the learning rates and gradient norms of the step."""
        values, self.meter = self.meter.means(), Meter()
        values |= {name: number for name, norm in output.gradient_norms.items() if math.isfinite(number := norm.item())}
        values |= {f"train/lr/{group['name']}": group["lr"] for group in self.stepper.optimizer.param_groups}
        if self.stepper.scaler.is_enabled():
            values["train/loss_scale"] = self.stepper.scaler.get_scale()
        if self.state.num_skipped_steps:
            values["train/skipped_steps"] = self.state.num_skipped_steps
        self.state.metrics |= values
        if self.tracker is not None:
            self.tracker.log_scalars(self.state.step, self.state.epoch, values)

    def validate(self) -> None:
        """Evaluates on the validation documents, saves the best model, and decides on early stopping.

        If a signal to stop interrupts it, it stays pending.
        """
        self.read_steps()  # which a callback that ends the run may have left unread
        with self.stepper.average.applied():
            evaluation = self.evaluate(self.model, self.validation_corpus, "validation", self.progress)
            self.progress.remove_task(self.progress.task_ids[-1])
            if evaluation is None:
                self.sync_requests()
                return
            self._log_validation(evaluation)

            found, state, metric = {**evaluation.summary(), "loss": evaluation.loss}, self.state, self.metric
            is_first = state.validated_step == 0 and not self.config.debug.overfit
            is_late = state.validated_step < self.plan.total_steps / 3 <= state.step  # the first one after a third
            is_late &= state.num_documents >= MIN_SEEN
            state.last_validation = {"documents": len(evaluation.order), **with_intervals(evaluation.ratios)}
            state.num_bad_validations += 1
            if not state.best_metrics or METRICS[metric] * (found[metric] - state.best_metrics[metric]) > 0:
                state.best_metrics, state.best_step, state.num_bad_validations = found, state.step, 0
                self.checkpoints.save_best(state, evaluation, self.validation_corpus, self.config.seed)
        state.validation_pending, state.validated_step = False, state.step
        self.callbacks.call("on_validation", state)

        if self.config.debug.overfit and found["pmr"] == 1:
            state.done = True
        patience = self.config.trainer.patience
        if patience is not None and state.num_bad_validations >= patience and not state.done:
            log.info(
                "Early stopping at step %d: %s has not improved for %d validations",
                *(state.step, metric, state.num_bad_validations),
            )
            state.done = is_late = True
        if problem := find_problem(evaluation, self.validation_corpus, is_first, is_late):
            log.warning("%s", problem)
        self.sync_requests()

    def evaluate(
        self, model: SentenceOrdererModel, corpus: Corpus, split: str, progress: Progress
    ) -> Evaluation | None:
        """Evaluates a model and logs the result; None if a signal to stop has interrupted it."""
        title = {"validation": "validating", "test": "testing"}[split]
        task = progress.add_task(title, total=len(corpus), unit="documents", note="")
        evaluation = evaluate_corpus(
            model,
            corpus,
            self.config.decoder,
            self.runtime,
            seed=self.config.seed,
            batch_tokens=self.config.trainer.eval_batch_tokens,
            advance=partial(progress.advance, task),
            stop=lambda: self.signals.stop is not None,
        )
        if evaluation is None:
            return None
        log.debug("%s: %s", title, describe_decoding(evaluation.decoding_seconds, evaluation.seconds))
        values = {"loss": evaluation.loss, **evaluation.summary()}
        self.state.metrics |= {f"{split}/{name}": float(value) for name, value in values.items()}
        if self.tracker is not None:
            self.tracker.log_evaluation(self.state.step, self.state.epoch, split, evaluation, corpus, model.config)
        return evaluation

    def _log_validation(self, evaluation: Evaluation) -> None:
        summary = evaluation.summary()
        names = [*({self.metric} & summary.keys() - {*MAIN_METRICS}), *MAIN_METRICS]
        metrics = ", ".join(f"{name} {summary[name]:.3f}" for name in names)
        groups = evaluation.summary_by_group(self.validation_corpus)
        if 2 <= len(groups) <= 3:  # of tau, which is the last of the metrics
            taus = (f"{group_label(group)} {own['tau']:.3f}" for group, own in groups.items())
            metrics += f" ({', '.join(taus)})"
        step = f"{self.state.step:{len(str(self.plan.total_steps))}}"
        log.info("step %s: validation loss %.3f, %s", step, evaluation.loss, metrics)

    def save_checkpoint(self) -> None:
        """Saves the model as it is evaluated, and everything that is needed to resume."""
        state = self.state_dict()
        with self.stepper.average.applied():
            self.checkpoints.save_last(self.state, state)
        if self.save_requested:
            self.save_requested = self.signals.save = False
            log.info("SIGUSR1: saved step %d in %s", self.state.step, self.checkpoints.last)
        self.callbacks.call("on_save", self.state)

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to resume after this step; all processes of a run take part."""
        self.read_steps()
        seconds = self.state.previous_seconds + time.perf_counter() - self.started
        return {
            "trainer": {**asdict(self.state), "previous_seconds": seconds},
            "meter": asdict(self.meter),
            "stepper": self.stepper.state_dict(),
            "num_pending_phases": len(self.pending_phases),
            "digests": self.digests,
            "threads": torch.get_num_threads(),
            "kernels": asdict(self.runtime.kernels) if self.runtime.device.type == "cpu" else None,
            "logged_bytes": self.tracker.sync() if self.tracker else 0,
            "random": self.runtime.processes.gather(get_rng_state(self.runtime.device)),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a state: this trainer must be as its config makes it.

        Raises UserError if its texts or frozen weights are not those of the saved run.
        """
        for key, digest in self.digests.items():
            if digest != state["digests"].get(key):
                raise UserError(f"{key}: has changed since the run was saved; restore it, or start a run elsewhere")
        threads = torch.get_num_threads()
        if (before := state.get("threads", threads)) != threads:
            log.info("resuming with %d threads, and %d before: sums are rounded differently", threads, before)
        while len(self.pending_phases) > state["num_pending_phases"]:
            self.maybe_unfreeze(self.pending_phases[0].epoch)
        self.state = replace(TrainerState(**state["trainer"]), total_steps=self.plan.total_steps)
        self.meter = Meter(**state["meter"])
        self.stepper.load_state_dict(state["stepper"])
        if (rank := self.runtime.processes.rank) < len(state["random"]):  # a further process has drawn nothing yet
            set_rng_state(state["random"][rank], self.runtime.device)

    def _is_due(self, every: int | None) -> bool:
        return every is not None and self.state.step % every == 0

    def _count_seconds(self, started: float) -> None:
        """Adds the time since then to that of the training steps."""
        seconds = time.perf_counter() - started
        self.state.seconds += seconds
        self.meter.seconds += seconds

    def _progress_note(self) -> str:
        best, metric = self.state.best_metrics, self.metric
        notes = [] if self.loss is None else [f"loss {self.loss:.3f}"]
        return ", ".join([*notes, f"best {metric} {best[metric]:.3f}"] if best else notes)

    def sync_requests(self) -> None:
        """Agrees with the other processes on the signals that have arrived, and on whether a callback asks to stop."""
        stop, any_of = self.signals.stop, self.runtime.processes.any_of
        terminate, interrupt, self.save_requested, ends = any_of(
            [stop == signal.SIGTERM, stop == signal.SIGINT, self.signals.save, self.callbacks.stop_requested]
        )
        self.stop_signal = int(signal.SIGTERM) if terminate else int(signal.SIGINT) if interrupt else 0
        if ends and not self.state.done:
            log.info("a callback ends the run at step %d", self.state.step)
            self.state.done, self.state.validation_pending = True, self.state.validated_step < self.state.step

    @contextmanager
    def _add_run_context_to_errors(self) -> Iterator[None]:
        """Adds the step and the checkpoint to resume from to every error that stops the run."""
        try:
            yield
        except BrokenPipeError:  # the reader of our output went away, and there is nobody to report to
            raise
        except (TrainingError, OSError, RuntimeError, MemoryError) as error:
            if isinstance(error, OSError):
                what = f"{error.filename or 'a file'} cannot be written: {error.strerror or error}"
            elif isinstance(error, TrainingError) or out_of_memory(error):
                what = first_line(error)
            else:
                raise
            then = "no checkpoint saved yet"
            if (last := self.checkpoints.last).exists():
                then = f"last checkpoint: {last}; to resume: {how_to_resume(self.config)}"
            raise TrainingError(f"step {self.state.step}: {what}; {then}") from error
