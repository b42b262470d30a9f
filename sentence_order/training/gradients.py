"""The gradient of a step, summed over the processes that train together."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sentence_order.data.examples import READ_ON_DEVICE, Batch
from sentence_order.errors import TrainingError
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.model.segments import Layout
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.distributed import connection_errors


class LossModule(nn.Module):
    """A model and its loss in one module, which is what `DistributedDataParallel` wraps."""

    def __init__(self, model: SentenceOrdererModel, runtime: Runtime) -> None:
        super().__init__()
        self.model, self.runtime, self.loss = model, runtime, model.ordering_loss

    def forward(self, batch: Batch) -> Tensor:
        """The sum of the losses of a batch."""
        read = [name for name in READ_ON_DEVICE if name in batch]
        inputs = {name: batch[name].to(self.runtime.device, non_blocking=True) for name in read}
        with self.runtime.autocast():
            scores = self.model(inputs.get("input_ids"), batch["lengths"], prefix=inputs.get("prefix"))
        return self.loss(scores, inputs["positions"], inputs["mask"], Layout(batch["lengths"]).sizes)


class Gradients:
    """Sums the gradients of trainable weights over all processes: while they are computed, or afterwards.

    While they are computed, `DistributedDataParallel` sends those of the upper layers during the backward pass of the
    lower ones. Then a process that fails leaves the others waiting. So a step whose largest share is larger than that
    of any step before, which may not fit in memory, is summed afterwards, when each process has finished its own.
    """

    def __init__(self, model: SentenceOrdererModel, runtime: Runtime, anomaly: bool) -> None:
        self.module, self.processes, self.anomaly = LossModule(model, runtime), runtime.processes, anomaly
        self.parallel: DistributedDataParallel | None = None  # made in the first step, with memory for all gradients
        self.unused: list[nn.Parameter] = []  # weights that no loss reads, in any process
        self.largest_finished_share = 0

    def reset(self) -> None:
        """Begins anew, after other weights have become trainable."""
        self.parallel, self.unused, self.largest_finished_share = None, [], 0

    def overlaps(self, largest_share: int) -> bool:
        """Whether the gradients of a step are summed while they are computed: the same in all processes.

        Args:
            largest_share: tokens, padding included, of the largest batch of the step in any process.
        """
        return self.parallel is not None and not self.anomaly and largest_share <= self.largest_finished_share

    def backward(self, batch: Batch, scale: Tensor, sums: bool) -> Tensor:
        """Adds the gradient of a batch's loss, times `scale`, to what is accumulated; returns the sum of its losses.

        Args:
            sums: sums what is accumulated over all processes meanwhile. `DistributedDataParallel` takes their mean.
        """
        with connection_errors() if sums else self._no_sync():
            total: Tensor = (self.parallel or self.module)(batch)
            (total * scale).backward()
        if sums and any(weight.grad is not None for weight in self.unused):
            raise TrainingError("a weight is used in some steps only, which several processes cannot train")
        return total.detach().float()

    def sum_afterwards(self, weights: list[nn.Parameter], largest_share: int) -> None:
        """Sums what a step has accumulated over all processes, all of which have finished its backward pass then."""
        if self.processes.world_size == 1:
            return
        is_used = self.processes.any_of([weight.grad is not None for weight in weights])
        used = [weight for weight, one in zip(weights, is_used, strict=True) if one]
        for weight in used:
            if weight.grad is None:  # in this process
                weight.grad = torch.zeros_like(weight)
        self.processes.all_reduce_([weight.grad for weight in used if weight.grad is not None])

        unused = [weight for weight, one in zip(weights, is_used, strict=True) if not one]
        if self.parallel is not None and set(unused) == set(self.unused):
            self.largest_finished_share = max(self.largest_finished_share, largest_share)
        elif not self.anomaly:
            self._wrap(unused)

    def _wrap(self, unused: list[nn.Parameter]) -> None:
        """Lets `DistributedDataParallel` sum all other weights from now on."""
        self.unused, self.largest_finished_share = unused, 0
        names = [name for name, weight in self.module.named_parameters() if weight in set(unused)]
        names += [name for name, _ in self.module.named_buffers()]  # which no step changes
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self.module, names)
        with connection_errors():
            self.parallel = DistributedDataParallel(
                self.module,
                gradient_as_bucket_view=True,
                # Such as the experts of some encoders that are run as a whole.
                find_unused_parameters=not self.module.model.family.by_layer,
            )

    def _no_sync(self) -> AbstractContextManager[None]:
        return nullcontext() if self.parallel is None else self.parallel.no_sync()
