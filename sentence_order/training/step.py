"""One optimizer step: forward, backward, the sum over all processes, clipping, AdamW; and what may go wrong in it."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sentence_order.config import TrainConfig
from sentence_order.data.examples import Batch, cells, halves
from sentence_order.errors import TrainingError, first_line
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.runtime import Runtime, give_back_memory, out_of_memory
from sentence_order.training.optimization import (
    Schedule,
    WeightAverage,
    add_unfrozen,
    gradient_norms,
    make_optimizer,
)
from sentence_order.training.state import random_state, set_random_state

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Taken:
    """What came of a step.

    Attributes:
        loss: per pair, of all processes together.
        norms: of the gradient before it was clipped, by tag.
        wishes: what the processes wished, added up.
        broken: what was not finite, so that the weights are as they were before; None where they have moved, or where
            only the scale of fp16 losses was too large.
        random: what dropout drew from.
    """

    loss: float
    norms: dict[str, float]
    wishes: list[float]
    broken: str | None
    random: dict[str, Tensor] = field(repr=False)


class Stepper:
    """Takes the steps of a run.

    Attributes:
        trained: the weights that train.
        scaler: of fp16's losses, which keeps small gradients from vanishing; in other precisions it does nothing.
        most_cells: the most tokens, padding included, that a batch may have to fit in memory, as far as that is known.
    """

    def __init__(self, model: SentenceOrderer, config: TrainConfig, runtime: Runtime, total_steps: int) -> None:
        self.model, self.config, self.runtime = model, config, runtime
        self.loss = model.ordering_loss
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(model, config.optim)
        self.average = WeightAverage(self.trained, config.optim.ema)
        self.schedule = Schedule(self.optimizer, config.optim, total_steps)
        self.scaler = torch.amp.GradScaler(runtime.device.type, enabled=runtime.precision is torch.float16)
        self.scaler.scale(torch.zeros((), device=runtime.device))  # it takes its place there now, documents or not
        self.most_cells: int | None = None

    def add_unfrozen(self) -> None:
        """Takes in the weights that have begun to train."""
        known = set(self.trained)
        fresh = [weight for weight in self.model.parameters() if weight.requires_grad and weight not in known]
        self.trained += fresh
        self.average.add(fresh)
        add_unfrozen(self.optimizer, self.model, self.config.optim)
        self.schedule.apply()

    def take(self, batches: Sequence[Batch], pairs: int, wishes: Sequence[float] = ()) -> Taken:
        """One step over micro-batches: the same gradient as one batch of all their documents.

        Args:
            batches: this process's share of them.
            pairs: of real sentences, in all processes' shares: every loss is taken per pair.
            wishes: numbers to be added up over the processes on the way.

        Raises:
            TrainingError: a single document does not fit in memory, or another process has ended.
        """
        random = random_state(self.runtime.device)
        total, complaint = self._backward_all(batches, pairs, random)
        told = torch.stack([total, *(total.new_tensor(number) for number in (float(complaint is not None), *wishes))])
        self._add_up(told)
        loss, complaints, *wished = told.tolist()
        # Gradients that are scaled up may leave fp16's range: the scaler finds what fits.
        scaled = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        broken = None
        if complaints:
            broken = complaint or "what another process computes is not finite"
        elif not math.isfinite(loss):
            broken, scaled = f"the loss is {loss}", False
        else:
            self.scaler.unscale_(self.optimizer)
        blocks = gradient_norms(self.model) if self.config.debug.anomaly else {}
        norm = torch.nn.utils.clip_grad_norm_(self.trained, self.config.optim.max_grad_norm).item()
        if broken is None and not math.isfinite(norm):
            broken = f"the gradient's norm is {norm}"
        if broken is None:
            self.optimizer.step()
            self.average.update()
        if self.scaler.is_enabled():
            if complaints and scaled:  # of which the scaler does not know
                self.scaler.update(self.scaler.get_scale() * self.scaler.get_backoff_factor())
            elif not complaints and math.isfinite(loss):
                self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        norms = {
            "train/gradient_norm": norm,
            **{f"train/gradient_norm/{name}": value for name, value in blocks.items()},
        }
        return Taken(loss / pairs, norms, wished, None if scaled else broken, random)

    def _add_up(self, told: Tensor) -> None:
        """The sums over all processes, of the gradients and of some numbers."""
        if self.runtime.processes.count > 1:
            for weight in self.trained:
                if weight.grad is None:  # no document of this process's share
                    weight.grad = torch.zeros_like(weight)
        self.runtime.processes.add_up([told, *(w.grad for w in self.trained if w.grad is not None)])

    def _backward_all(
        self, batches: Sequence[Batch], pairs: int, random: dict[str, Tensor]
    ) -> tuple[Tensor, str | None]:
        """Adds up the gradients of batches, in smaller pieces where they do not fit in memory.

        Returns:
            The sum of the losses; what autograd's anomaly detection complains about.
        """
        known = self.most_cells
        while True:
            total, piece = torch.zeros((), device=self.runtime.device), None
            try:
                for piece in self.pieces(batches):
                    total += self.backward(piece, pairs)
                break
            except (RuntimeError, MemoryError) as error:
                if "nan values" in str(error):  # what autograd's anomaly detection raises
                    return total, first_line(error)
                if piece is None or not out_of_memory(error):
                    raise
                complaint = first_line(error)
            # Out of the handler, whose exception keeps hold of what filled the memory.
            self._make_smaller(piece, complaint)
            self.optimizer.zero_grad(set_to_none=True)
            set_random_state(random, self.runtime.device)
        if self.most_cells != known:
            log.info(
                "out of memory: a batch of %d documents did not fit; from here on those of more than %d tokens are "
                "split, to the same gradient",
                *(max(len(batch["mask"]) for batch in batches), self.most_cells),
            )
        return total, None

    def backward(self, batch: Batch, pairs: int) -> Tensor:
        """Adds the gradient of one batch to what there is; returns the sum of its losses."""
        inputs = {name: tensor.to(self.runtime.device, non_blocking=True) for name, tensor in batch.items()}
        with self.runtime.autocast():
            scores = self.model(inputs.get("input_ids"), inputs["lengths"], prefix=inputs.get("prefix"))
        total: Tensor = self.loss(scores, inputs["positions"], inputs["mask"])[0]
        self.scaler.scale(total / pairs).backward()
        return total.detach().float()

    def _make_smaller(self, piece: Batch, complaint: str) -> None:
        documents, size = len(piece["mask"]), cells(piece)
        if documents == 1:
            raise TrainingError(
                f"out of memory with a single document, of {int(piece['mask'].sum())} sentences and {size} tokens; "
                "lower data.max_sentences or data.max_sentence_tokens, or freeze more (freeze=encoder needs least); "
                f"what was said: {complaint}"
            )
        self.most_cells = size // 2
        give_back_memory(self.runtime.device)

    def pieces(self, batches: Sequence[Batch]) -> Iterator[Batch]:
        """The batches, those that do not fit in memory in halves, or halves of these."""
        for batch in batches:
            if self.most_cells is None or cells(batch) <= self.most_cells or len(batch["mask"]) == 1:
                yield batch
            else:
                yield from self.pieces(halves(batch))
