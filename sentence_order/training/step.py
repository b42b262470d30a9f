"""One optimizer step: forward and backward, the sum over all processes, clipping, AdamW, and the scale of fp16."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sentence_order.config.schema import OnNonfinite, OptimConfig, TrainConfig
from sentence_order.data.examples import Batch
from sentence_order.errors import TrainingError, first_line
from sentence_order.model.limits import BatchLimit
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime, out_of_memory
from sentence_order.training.gradients import Gradients
from sentence_order.training.optimization import (
    WeightAverage,
    add_unfrozen,
    clipped_step,
    gradient_norms,
    make_lr_factor,
    make_optimizer,
    set_learning_rates,
)
from sentence_order.training.state import get_rng_state, set_rng_state

log = logging.getLogger(__name__)

TOTAL_NORM = "train/gradient_norm"
ADVICE = "lower data.max_sentences or data.max_sentence_tokens, or freeze more (freeze=encoder needs the least memory)"


@dataclass(frozen=True)
class StepOutput:
    """Result of one optimizer step. Its numbers are on the device, which has to be waited for to read them."""

    step: int  # the number of steps, this one included
    loss: Tensor  # per pair, of all processes together
    gradient_norms: dict[str, Tensor]  # before clipping, by tag
    # Something was NaN or infinite, so that the weights have not changed; not if only the scale of fp16 was too large.
    is_nonfinite: Tensor
    anomaly: str | None  # what anomaly detection has raised in this process
    rng_state: dict[str, Tensor] = field(repr=False)  # of dropout, before the step

    @property
    def nonfinite_reason(self) -> str | None:
        """What was NaN or infinite."""
        if not self.is_nonfinite.item():
            return None
        for what, value in (("the loss", self.loss), ("the norm of the gradient", self.gradient_norms[TOTAL_NORM])):
            if self.anomaly is None and not math.isfinite(number := value.item()):
                return f"{what} is {number}"
        return self.anomaly or "another process has computed numbers that are not finite"


class Stepper:
    """Optimizer, learning rate and weights of a run, and the step that updates them.

    A step does not wait for the device. Whether its numbers are finite is known there alone: a step in which they are
    not changes no weight, and nor does any later one until `clear_nonfinite`.
    """

    def __init__(
        self,
        model: SentenceOrdererModel,
        config: OptimConfig,
        runtime: Runtime,
        total_steps: int,
        anomaly: bool = False,
    ) -> None:
        self.model, self.config, self.runtime = model, config, runtime
        self.anomaly = anomaly  # anomaly detection is on
        self.gradients = Gradients(model, runtime, anomaly)
        self.trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(model, config)
        self.average = WeightAverage(self.trainable, config.ema)
        self.lr_factor = make_lr_factor(config, total_steps)
        self.has_stopped = torch.zeros((), dtype=torch.bool, device=runtime.device)
        self.one = torch.ones((), device=runtime.device)
        # Of fp16 losses, which keeps small gradients from underflow; disabled in other precisions.
        self.scaler = torch.amp.GradScaler(runtime.device.type, enabled=runtime.precision is torch.float16)
        self.scaler.scale(self.one)  # creates its state on the device now
        self.limit = BatchLimit(runtime.device, ADVICE)

    def state_dict(self) -> dict[str, Any]:
        """Weights, their average, and the state of the optimizer and the scaler."""
        return {
            "weights": [weight.detach() for weight in self.trainable],
            "average": [average.detach() for average in self.average.average],
            "average_steps": self.average.num_steps,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a `state_dict`; the same weights must be trainable as when it was made."""
        targets = [*self.trainable, *self.average.average]
        for weight, saved in zip(targets, [*state["weights"], *state["average"]], strict=True):
            weight.copy_(saved)
        self.average.num_steps.fill_(state["average_steps"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])

    def add_unfrozen(self) -> None:
        """Adds the weights that have become trainable."""
        known = set(self.trainable)
        fresh = [weight for weight in self.model.parameters() if weight.requires_grad and weight not in known]
        self.trainable += fresh
        self.gradients.reset()
        self.average.add(fresh)
        add_unfrozen(self.optimizer, self.model, self.config)

    def training_step(
        self,
        batches: Sequence[Batch],
        num_pairs: int,
        step: int,
        *,
        largest_share: int | None = None,
        is_idle: bool = False,
    ) -> StepOutput:
        """One step over micro-batches, with the gradient of a single batch of all their documents.

        Raises TrainingError if a single document does not fit in memory, or another process has ended.

        Args:
            batches: this process's shard of them.
            num_pairs: pairs of sentences in the shards of all processes, by which the loss is divided.
            step: the number of steps done before, which determines the learning rate.
            largest_share: tokens, padding included, of the largest batch in any process; None if it is not known.
            is_idle: this process has no share, and its batch is one of another process, which has no weight here.
        """
        set_learning_rates(self.optimizer, self.lr_factor(step))
        before = get_rng_state(self.runtime.device)
        overlaps = largest_share is not None and self.gradients.overlaps(largest_share)
        scale = (0.0 if is_idle else 1.0) * (self.runtime.processes.world_size if overlaps else 1) / num_pairs
        total, anomaly = self._forward_backward(batches, scale, before, overlaps)
        if not overlaps:
            self.gradients.sum_afterwards(self.trainable, largest_share or 0)
        loss, num_anomalies = self._reduce(total * (not is_idle), anomaly)

        backward_failed = self.anomaly and num_anomalies.item() > 0  # in some process
        if not backward_failed:
            self.scaler.unscale_(self.optimizer)
        blocks = gradient_norms(self.model) if self.anomaly else {}
        total_norm = torch.nn.utils.get_total_norm([w.grad for w in self.trainable if w.grad is not None])

        is_unusable = ~(loss.isfinite() & total_norm.isfinite() & (num_anomalies == 0))
        # A finite loss whose scaled gradients leave the range of fp16: the scaler finds a scale that fits.
        scale_too_large = loss.isfinite() & (self.scaler.scale(self.one) > 1)
        is_nonfinite = is_unusable & ~scale_too_large
        self.has_stopped |= is_nonfinite
        is_skipped = is_unusable | self.has_stopped
        clipped_step(self.optimizer, total_norm, self.config.max_grad_norm, is_skipped)
        self.average.update(~is_skipped)
        self._update_scale(backward_failed)
        self.optimizer.zero_grad(set_to_none=True)
        norms = {TOTAL_NORM: total_norm} | {f"{TOTAL_NORM}/{name}": norm for name, norm in blocks.items()}
        return StepOutput(step + 1, loss / num_pairs, norms, is_nonfinite, anomaly, before)

    def clear_nonfinite(self) -> None:
        """Lets steps change weights again, after one in which numbers were not finite."""
        self.has_stopped.zero_()

    def _forward_backward(
        self, batches: Sequence[Batch], scale: float, before: dict[str, Tensor], overlaps: bool
    ) -> tuple[Tensor, str | None]:
        """Accumulates gradients, in parts if they do not fit in memory; returns the losses' sum, and what anomaly
        detection has raised."""
        while True:
            total, part = torch.zeros((), device=self.runtime.device), None
            try:
                parts = [part for batch in batches for part in self.limit.split(batch)]
                for number, part in enumerate(parts, 1):
                    total += self.backward(part, scale, sums=overlaps and number == len(parts))
                return total, None
            except (RuntimeError, MemoryError) as error:
                if "nan values" in str(error):  # what autograd's anomaly detection raises
                    return total, first_line(error)
                if part is None or not out_of_memory(error):
                    raise
                message = first_line(error)

            # Outside the handler, whose exception keeps the tensors that filled the memory. Start over.
            if overlaps:  # but not where other processes wait for gradients, some of which they may have already
                raise TrainingError(f"out of memory with a batch no larger than those before ({message})")
            self.limit.lower(part, message)
            self.optimizer.zero_grad(set_to_none=True)
            set_rng_state(before, self.runtime.device)

    def backward(self, batch: Batch, scale: float, sums: bool = False) -> Tensor:
        """Adds the gradient of one batch's loss, times `scale`, to those accumulated; returns the sum of its losses.

        With `sums`, what is accumulated is summed over all processes.
        """
        return self.gradients.backward(batch, self.scaler.scale(self.one * scale), sums)

    def _reduce(self, total: Tensor, anomaly: str | None) -> tuple[Tensor, Tensor]:
        """Sums over all processes the losses, and the number of anomalies."""
        numbers = torch.stack([total, total.new_full((), float(anomaly is not None))])
        self.runtime.processes.all_reduce_([numbers])
        loss, num_anomalies = numbers
        return loss, num_anomalies

    def _update_scale(self, backward_failed: bool) -> None:
        """Lowers the scale of fp16 losses if scaled gradients were not finite, and raises it after many that were."""
        if not backward_failed:
            self.scaler.update()
        elif self.scaler.is_enabled() and (scale := self.scaler.get_scale()) > 1:  # the scaler has seen no gradients
            self.scaler.update(scale * self.scaler.get_backoff_factor())


def choose_reading(device: torch.device, config: TrainConfig) -> bool:
    """Whether the host reads the numbers of every step, before it starts the next one."""
    if device.type != "cuda":
        reads_every_step, reason = True, f"on a {device.type.upper()}"
    elif config.debug.anomaly:
        reads_every_step, reason = True, "debug.anomaly"
    elif config.on_nonfinite is OnNonfinite.skip:
        reads_every_step, reason = True, "on_nonfinite=skip, for which the GPU is waited for in every step"
    else:
        reads_every_step, reason = False, "the GPU is not waited for in between"
    when = "after each step" if reads_every_step else "when a line is logged, and before validations and saves"
    log.debug("losses are read %s (%s)", when, reason)
    return reads_every_step
