"""One optimizer step: forward and backward, the sum over all processes, clipping, AdamW, and the scale of fp16."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sentence_order.config.schema import OptimConfig
from sentence_order.data.examples import Batch
from sentence_order.errors import first_line
from sentence_order.model.limits import BatchLimit
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime, out_of_memory
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

ADVICE = "lower data.max_sentences or data.max_sentence_tokens, or freeze more (freeze=encoder needs the least memory)"


@dataclass(frozen=True)
class StepOutput:
    """Result of one optimizer step."""

    loss: float  # per pair, of all processes together
    gradient_norms: dict[str, float]  # before clipping, by tag
    # What was NaN or infinite, so that the weights have not changed; None also if only the scale of fp16 was too large.
    nonfinite_reason: str | None
    rng_state: dict[str, Tensor] = field(repr=False)  # of dropout, before the step


class Stepper:
    """Optimizer, learning rate and weights of a run, and the step that updates them."""

    def __init__(
        self,
        model: SentenceOrdererModel,
        config: OptimConfig,
        runtime: Runtime,
        total_steps: int,
        norms_per_block: bool = False,
    ) -> None:
        self.model, self.config, self.runtime = model, config, runtime
        self.norms_per_block = norms_per_block
        self.loss = model.ordering_loss
        self.trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(model, config)
        self.average = WeightAverage(self.trainable, config.ema)
        self.lr_factor = make_lr_factor(config, total_steps)
        # Of fp16 losses, which keeps small gradients from underflow; disabled in other precisions.
        self.scaler = torch.amp.GradScaler(runtime.device.type, enabled=runtime.precision is torch.float16)
        self.scaler.scale(torch.zeros((), device=runtime.device))  # creates its state on the device now
        self.limit = BatchLimit(runtime.device, ADVICE)

    def state_dict(self) -> dict[str, Any]:
        """Weights, their average, and the state of the optimizer and the scaler."""
        return {
            "weights": [weight.detach() for weight in self.trainable],
            "average": [average.detach() for average in self.average.average],
            "average_steps": self.average.steps,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a `state_dict`; the same weights must be trainable as when it was made."""
        targets = [*self.trainable, *self.average.average]
        for weight, saved in zip(targets, [*state["weights"], *state["average"]], strict=True):
            weight.copy_(saved)
        self.average.steps = state["average_steps"]
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])

    def add_unfrozen(self) -> None:
        """Adds the weights that have become trainable."""
        known = set(self.trainable)
        fresh = [weight for weight in self.model.parameters() if weight.requires_grad and weight not in known]
        self.trainable += fresh
        self.average.add(fresh)
        add_unfrozen(self.optimizer, self.model, self.config)

    def training_step(self, batches: Sequence[Batch], num_pairs: int, step: int) -> StepOutput:
        """One step over micro-batches, with the gradient of a single batch of all their documents.

        Raises TrainingError if a single document does not fit in memory, or another process has ended.

        Args:
            batches: this process's shard of them.
            num_pairs: pairs of sentences in the shards of all processes, by which the loss is divided.
            step: the number of steps done before, which determines the learning rate.
        """
        set_learning_rates(self.optimizer, self.lr_factor(step))
        before = get_rng_state(self.runtime.device)
        total, anomaly = self._forward_backward(batches, num_pairs, before)
        loss, num_anomalies = self._reduce(total, anomaly)

        reason = None
        if num_anomalies:
            reason = anomaly or "another process has computed numbers that are not finite"
        elif not math.isfinite(loss):
            reason = f"the loss is {loss}"
        # A finite loss whose scaled gradients leave the range of fp16: the scaler finds a scale that fits.
        scale_too_large = self.scaler.is_enabled() and self.scaler.get_scale() > 1 and math.isfinite(loss)

        norms, reason = self._clip_and_step(reason)
        self._update_scaler(bool(num_anomalies), loss, scale_too_large)
        self.optimizer.zero_grad(set_to_none=True)
        return StepOutput(loss / num_pairs, norms, None if scale_too_large else reason, before)

    def _forward_backward(
        self, batches: Sequence[Batch], num_pairs: int, before: dict[str, Tensor]
    ) -> tuple[Tensor, str | None]:
        """Accumulates gradients, in parts if they do not fit in memory; returns the losses' sum, and what anomaly
        detection has raised."""
        while True:
            total, part = torch.zeros((), device=self.runtime.device), None
            try:
                for batch in batches:
                    for part in self.limit.split(batch):
                        total += self.backward(part, num_pairs)
                return total, None
            except (RuntimeError, MemoryError) as error:
                if "nan values" in str(error):  # what autograd's anomaly detection raises
                    return total, first_line(error)
                if part is None or not out_of_memory(error):
                    raise
                message = first_line(error)

            # Outside the handler, whose exception keeps the tensors that filled the memory. Start over.
            self.limit.lower(part, message)
            self.optimizer.zero_grad(set_to_none=True)
            set_rng_state(before, self.runtime.device)

    def backward(self, batch: Batch, num_pairs: int) -> Tensor:
        """Adds the gradient of one batch to those accumulated; returns the sum of its losses."""
        inputs = {name: value.to(self.runtime.device, non_blocking=True) for name, value in batch.items()}
        with self.runtime.autocast():
            scores = self.model(inputs.get("input_ids"), batch["lengths"], prefix=inputs.get("prefix"))
        sizes = (batch["lengths"] > 0).sum(1).tolist()
        total = self.loss(scores, inputs["positions"], inputs["mask"], sizes)
        self.scaler.scale(total / num_pairs).backward()
        return total.detach().float()

    def _reduce(self, total: Tensor, anomaly: str | None) -> tuple[float, float]:
        """Sums the gradients over all processes; returns the sum of the losses and the number of anomalies."""
        numbers = torch.stack([total, total.new_tensor(float(anomaly is not None))])
        if self.runtime.processes.world_size > 1:
            for weight in self.trainable:
                if weight.grad is None:  # no document in this process's shard
                    weight.grad = torch.zeros_like(weight)
        self.runtime.processes.all_reduce_([numbers, *(w.grad for w in self.trainable if w.grad is not None)])
        loss, num_anomalies = numbers.tolist()
        return loss, num_anomalies

    def _clip_and_step(self, reason: str | None) -> tuple[dict[str, float], str | None]:
        """Updates the weights, unless something is not finite; returns the gradient norms, and what is not finite."""
        if reason is None:
            self.scaler.unscale_(self.optimizer)
        blocks = gradient_norms(self.model) if self.norms_per_block else {}
        total_norm = torch.nn.utils.get_total_norm([w.grad for w in self.trainable if w.grad is not None])
        norm = total_norm.item()
        if reason is None and not math.isfinite(norm):
            reason = f"the norm of the gradient is {norm}"
        if reason is None:
            clipped_step(self.optimizer, total_norm, self.config.max_grad_norm)
            self.average.update()
        tags = {f"train/gradient_norm/{name}": value for name, value in blocks.items()}
        return {"train/gradient_norm": norm, **tags}, reason

    def _update_scaler(self, anomaly: bool, loss: float, scale_too_large: bool) -> None:
        if not self.scaler.is_enabled():
            return
        if anomaly and scale_too_large:  # which the scaler has not seen
            self.scaler.update(self.scaler.get_scale() * self.scaler.get_backoff_factor())
        elif not anomaly and math.isfinite(loss):
            self.scaler.update()
