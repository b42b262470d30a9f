"""A batch for which memory does not suffice: the step is split, and nothing else changes."""

import gc
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.checks.run import Report
from benchmarks.checks.setup import Setup
from sentence_order.config import TrainConfig
from sentence_order.data.examples import cells
from sentence_order.runtime import peak_memory
from sentence_order.training.plan import steps_from
from sentence_order.training.preparation import prepare
from sentence_order.training.step import Stepper


def check_memory(setup: Setup, report: Report) -> None:
    """A batch that does not fit is split: the same gradient as that of the whole, and no memory is lost.

    A GPU's memory is limited for this process to half of what the step takes. A CPU's is not: there a batch of over a
    third of the tokens raises the error that a lack of memory would.
    """
    whole = _take_large_steps(setup, None)
    split = _take_large_steps(setup, whole["cells"] // 3 if setup.small else (whole["before"] + whole["peak"]) // 2)
    apart = float((whole["gradient"] - split["gradient"]).norm() / whole["gradient"].norm())
    report.note(
        f"a batch of {whole['cells']:,} tokens was split; its gradient differs by {apart:.1e} of its norm; peak memory "
        f"{whole['peak'] / 1e9:.2f} GB",
        peak_bytes=whole["peak"],
    )
    report.expect(whole["most_cells"] is None, "the whole batch did not fit in this device's memory")
    report.expect(split["most_cells"] is not None, "the batch was not split")
    report.expect(apart <= 1e-5, f"the gradient of the split batch differs by {apart:.1e} of its norm, over 1e-5")
    if setup.small:
        return
    lost = split["after"] - split["before"]
    report.note(
        f"{whole['before'] / 1e9:.2f} GB were in use before the step, {split['peak'] / 1e9:.2f} at the peak of one "
        f"that was split, and {lost:,} bytes more after it",
        bytes_before=whole["before"],
        peak_bytes_split=split["peak"],
    )
    report.expect(lost < 2**20, f"{lost:,} bytes were not given back")


def _take_large_steps(setup: Setup, limit: int | None) -> dict[str, Any]:
    """Takes a small step, after which all that lasts is there, then two large ones within the limit."""
    own = ("precision=fp32", "freeze=none", "cache=off", "optim.max_grad_norm=inf")
    prepared = prepare(setup.compose(*own))
    runtime, train = prepared.runtime, prepared.corpora["train"]
    tokens = max(1024 if setup.small else 16384, 4 * int(train.tokens.max()))  # a third of it holds any document
    small, large = (setup.compose(*own, f"trainer.batch_tokens={count}") for count in (64, tokens))
    stepper = Stepper(prepared.model.train(), large, runtime, total_steps=10)
    gradients: list[Tensor] = []
    stepper.optimizer.register_step_pre_hook(
        lambda *_: gradients.append(torch.cat([w.grad.flatten().cpu() for w in stepper.trained if w.grad is not None]))
    )

    def take(config: TrainConfig) -> int:
        work = next(steps_from(0, config, train, runtime, workers=0))
        stepper.take(work.batches, work.pairs)
        return work.cells

    take(small)
    before = _memory_in_use(setup)
    if limit is not None:
        _limit_memory(prepared.model, limit)
    size = take(large)
    take(large)  # it would miss what the first one has not given back
    peak = _peak_memory(setup)
    memory = {"before": before, "peak": peak, "after": _memory_in_use(setup)}
    return {**memory, "gradient": gradients[1], "cells": size, "most_cells": stepper.most_cells}


def _memory_in_use(setup: Setup) -> int:
    """Bytes of a GPU that hold tensors; what was freed is given back, and the peak begins anew."""
    if setup.small:
        return 0
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def _peak_memory(setup: Setup) -> int:
    """The most bytes since `_memory_in_use`: all that PyTorch took of a GPU; on a CPU, the most of this process."""
    return peak_memory(torch.device("cpu")) if setup.small else torch.cuda.max_memory_reserved()


def _limit_memory(model: nn.Module, limit: int) -> None:
    """From here on there are so many bytes of a GPU; on a CPU, a batch may have so many tokens."""
    if next(model.parameters()).is_cuda:
        torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties().total_memory)
        return

    def raise_beyond(_: nn.Module, inputs: tuple[Tensor, ...], __: dict[str, Any]) -> None:
        if cells({"lengths": inputs[1]}) > limit:
            raise torch.OutOfMemoryError(f"more than {limit} tokens")

    model.register_forward_pre_hook(raise_beyond, with_kwargs=True)
