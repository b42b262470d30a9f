"""A batch for which memory does not suffice: the step is split, and nothing else changes; and batches that fit."""

import gc
import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.checks.run import Report
from benchmarks.checks.setup import Setup
from sentence_order.data.batching import load_batches
from sentence_order.data.examples import padded_size
from sentence_order.runtime.device import peak_memory
from sentence_order.training.batch_size import find_largest_batches, resolve_batch_tokens
from sentence_order.training.plan import TrainingPlan
from sentence_order.training.setup import set_up
from sentence_order.training.step import Stepper


def check_memory(setup: Setup, report: Report) -> None:
    """A batch that does not fit is split: the same gradient as that of the whole, and no memory is lost.

    A GPU's memory is limited for this process to half of what the step takes. A CPU's is not: there a batch of over a
    third of the tokens raises the error that a lack of memory would.
    """
    whole = _run_large_steps(setup, None)
    limit = whole["padded_size"] // 3 if setup.small else (whole["before"] + whole["peak"]) // 2
    split = _run_large_steps(setup, limit)
    apart = float((whole["gradient"] - split["gradient"]).norm() / whole["gradient"].norm())
    report.note(
        f"a batch of {whole['padded_size']:,} tokens was split; its gradient differs by {apart:.1e} of its norm; peak "
        f"memory {whole['peak'] / 1e9:.2f} GB",
        peak_bytes=whole["peak"],
    )
    report.expect(whole["limit"] is None, "the whole batch did not fit in this device's memory")
    report.expect(split["limit"] is not None, "the batch was not split")
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
    report.expect(lost < 2**20, f"{lost:,} bytes were not released")


def check_batch_tokens(setup: Setup, report: Report) -> None:
    """Steps of the size that `trainer.batch_tokens=auto` finds fit: in all memory of a GPU, and in half of what they
    took then. On a CPU it is the default.
    """
    whole, peak = _run_found_steps(setup, report, "whole")
    if setup.small:
        return
    torch.cuda.set_per_process_memory_fraction(peak / 2 / torch.cuda.get_device_properties().total_memory)
    half, _ = _run_found_steps(setup, report, "half")
    report.expect(half < whole, f"half memory: batches of {half:,} tokens were found, as in all of it")


def _run_found_steps(setup: Setup, report: Report, share: str) -> tuple[int, int]:
    """Finds how large batches fit, and runs steps of the largest ones; returns their tokens and their peak."""
    _measure_memory(setup)  # without what was left of other steps
    config = setup.compose("trainer.batch_tokens=auto", "freeze=none", "cache=off", "optim.ema=0.9")
    prepared = set_up(config)
    model, train, runtime = prepared.model, prepared.corpora["train"], prepared.runtime
    started = time.perf_counter()
    tokens = resolve_batch_tokens(config, model, train, runtime)
    seconds = time.perf_counter() - started

    _measure_memory(setup)
    stepper = Stepper(model.train(), config.optim, runtime, total_steps=10)
    batches = [*load_batches(train, find_largest_batches(train, tokens), seed=0, epoch=0)]
    for step, batch in enumerate([*batches, *batches]):  # the first step leaves the moments
        stepper.training_step([batch], num_pairs=1, step=step)
    peak = _measure_peak(setup)
    report.note(
        f"{share} memory: batches of {tokens:,} tokens, found in {seconds:.1f} s; peak {peak / 1e9:.2f} GB",
        **{f"tokens_{share}": tokens, f"seconds_{share}": seconds, f"peak_bytes_{share}": peak},
    )
    split = stepper.limit.max_padded_size
    report.expect(split is None, f"{share} memory: batches of {tokens:,} tokens were split, to {split} at most")
    return tokens, peak


def _run_large_steps(setup: Setup, limit: int | None) -> dict[str, Any]:
    """Runs a small step, which allocates all that lasts, then two large ones within the limit."""
    own = ("precision=fp32", "freeze=none", "cache=off", "optim.max_grad_norm=inf")
    config = setup.compose(*own)
    prepared = set_up(config)
    runtime, train, validation = prepared.runtime, prepared.corpora["train"], prepared.corpora["validation"]
    tokens = max(1024 if setup.small else 16384, 4 * int(train.tokens.max()))  # any document fits in a third of it
    stepper = Stepper(prepared.model.train(), config.optim, runtime, total_steps=10)
    gradients: list[Tensor] = []

    def keep_gradient(*_: object) -> None:
        parts = [weight.grad.flatten().cpu() for weight in stepper.trainable if weight.grad is not None]
        gradients.append(torch.cat(parts))

    stepper.optimizer.register_step_pre_hook(keep_gradient)

    def run_step(batch_tokens: int) -> int:
        trainer_config = replace(config.trainer, batch_tokens=batch_tokens)
        inputs = next(TrainingPlan(train, validation, trainer_config, config.seed, runtime).batches(start=0))
        stepper.training_step(inputs.batches, inputs.num_pairs, step=len(gradients))
        return inputs.padded_size

    run_step(64)
    before = _measure_memory(setup)
    if limit is not None:
        _limit_memory(prepared.model, limit)
    size = run_step(tokens)
    run_step(tokens)  # it would not fit if the first one had not released its memory
    peak = _measure_peak(setup)
    memory = {"before": before, "peak": peak, "after": _measure_memory(setup)}
    return {**memory, "gradient": gradients[1], "padded_size": size, "limit": stepper.limit.max_padded_size}


def _measure_memory(setup: Setup) -> int:
    """Bytes of a GPU in use by tensors; releases freed memory, and resets the peak."""
    if setup.small:
        return 0
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def _measure_peak(setup: Setup) -> int:
    """The most bytes since `_measure_memory`: all that PyTorch has of a GPU; on a CPU, the peak of this process."""
    return peak_memory(torch.device("cpu")) if setup.small else torch.cuda.max_memory_reserved()


def _limit_memory(model: nn.Module, limit: int) -> None:
    """Limits the bytes of a GPU from here on; on a CPU, the tokens of a batch."""
    if next(model.parameters()).is_cuda:
        torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties().total_memory)
        return

    def raise_beyond(_: nn.Module, inputs: tuple[Tensor, ...], __: dict[str, Any]) -> None:
        if padded_size({"lengths": inputs[1]}) > limit:
            raise torch.OutOfMemoryError(f"more than {limit} tokens")

    model.register_forward_pre_hook(raise_beyond, with_kwargs=True)
