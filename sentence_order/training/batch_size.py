"""Resolves `trainer.batch_tokens=auto`: on CUDA, the largest batches whose steps were measured to fit in memory."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from sentence_order.config.schema import TrainConfig, TrainerConfig
from sentence_order.data.batching import load_batches, make_batches
from sentence_order.data.tokenization import Corpus
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import (
    Runtime,
    available_memory,
    out_of_memory,
    peak_memory,
    release_memory,
    reset_peak_memory,
)
from sentence_order.training.gradients import Gradients
from sentence_order.training.state import get_rng_state, set_rng_state

log = logging.getLogger(__name__)

MIN_BATCH_TOKENS: int = TrainerConfig.batch_tokens
# On an H200 a step of 4,096 tokens took 1.1 times as long as one of 512, so that twice as many should pay as well; that
# was not measured (benchmarks/cuda.md). Larger batches leave a run fewer steps to learn in. Of each process:
MAX_BATCH_TOKENS = 8192
# Of a GPU's memory, that a step may take; the rest is for batches made ahead, gaps between tensors, and documents that
# meet in a batch and need more than those that were tried.
MEMORY_SHARE = 0.8


def max_batch_tokens(setting: Any, runtime: Runtime) -> int:
    """What a value of `trainer.batch_tokens` comes to at most."""
    if setting != "auto":
        return int(setting)
    return MIN_BATCH_TOKENS if runtime.device.type == "cpu" else MAX_BATCH_TOKENS * runtime.processes.world_size


def resolve_batch_tokens(config: TrainConfig, model: SentenceOrdererModel, train: Corpus, runtime: Runtime) -> int:
    """The number that `auto` stands for; all processes of a run take part, and get the same one."""
    if runtime.device.type == "cpu":
        is_frozen = model.num_layers in model.permanently_frozen_blocks
        reason = "with a frozen encoder larger ones may be faster" if is_frozen else "larger ones are hardly faster"
        found = MIN_BATCH_TOKENS, f"on a CPU {reason}; benchmarks/speed.md"
    else:
        found = min(runtime.processes.gather(measure_batch_tokens(config, model, train, runtime)))
    log.info("batches of %d tokens (trainer.batch_tokens=auto: %s)", *found)
    return found[0]


def measure_batch_tokens(
    config: TrainConfig, model: SentenceOrdererModel, train: Corpus, runtime: Runtime
) -> tuple[int, str]:
    """The largest batches, of all processes together, whose share of this process fits in its memory; and the reason.

    Nothing of the model has changed afterwards.
    """
    limit = MEMORY_SHARE * available_memory(runtime.device)
    most = MAX_BATCH_TOKENS * runtime.processes.world_size
    notes: list[str] = []
    found = tokens = MIN_BATCH_TOKENS
    with _trains_as_at_the_end(model, runtime.device):
        lasting = _count_lasting_bytes(config, model, runtime)
        gradients = Gradients(model, runtime, anomaly=False)
        while tokens <= most:
            peak = _measure_peak(gradients, train, tokens, runtime)
            notes.append(f"{tokens:,} {'do not fit' if peak is None else f'take {(peak + lasting) / 1e9:.2f} GB'}")
            if peak is None or peak + lasting > limit:
                break
            found, tokens = tokens, 2 * tokens

    remark = ""
    if tokens == MIN_BATCH_TOKENS:
        remark = "; batches that do not fit are split"
    elif tokens > most:
        remark = f"; more than {MAX_BATCH_TOKENS:,} of a process are not tried"
    return found, f"{', '.join(notes[-2:])}, and a step may take {limit / 1e9:.2f} GB{remark}"


def find_largest_batches(train: Corpus, batch_tokens: int) -> list[list[int]]:
    """The rows of the batches that may need most memory: the one with most tokens, padding included, and those of the
    documents with most tokens, with most sentences, and with most pairs of sentences to a token."""
    tokens_D, sizes_D = train.tokens, train.sizes
    batches = [max(make_batches(tokens_D, batch_tokens), key=lambda rows: len(rows) * int(tokens_D[rows[0]]))]
    for cost_D in (tokens_D, sizes_D, sizes_D**2 / tokens_D):
        row_D = np.argsort(-cost_D, kind="stable")
        padded_D = np.arange(1, len(row_D) + 1) * np.maximum.accumulate(tokens_D[row_D])
        batches.append(row_D[: max(1, np.searchsorted(padded_D, batch_tokens, side="right"))].tolist())
    return batches


@contextmanager
def _trains_as_at_the_end(model: SentenceOrdererModel, device: torch.device) -> Iterator[None]:
    """Within the block, all weights train that `freeze.schedule` will ever unfreeze; then the model is as before."""
    frozen, permanent, was_training = model.frozen_blocks, model.permanently_frozen_blocks, model.training
    random = get_rng_state(device)
    model.freeze(permanent)
    model.train()
    try:
        with torch.autograd.set_detect_anomaly(False):  # a NaN is reported by the step that it spoils
            yield
    finally:
        model.freeze(frozen, permanent)
        model.train(was_training)
        set_rng_state(random, device)
        release_memory(device)


def _count_lasting_bytes(config: TrainConfig, model: SentenceOrdererModel, runtime: Runtime) -> int:
    """What a step takes that does not grow with the batch, beside the weights."""
    # A gradient, of which the peak of a backward pass may have most already, and AdamW's two moments; the moving
    # average; and what `DistributedDataParallel` sends gradients from, twice while it arranges that anew.
    copies = 3 + (config.optim.ema > 0) + 2 * (runtime.processes.world_size > 1)
    return copies * sum(weight.nbytes for weight in model.parameters() if weight.requires_grad)


def _measure_peak(gradients: Gradients, train: Corpus, batch_tokens: int, runtime: Runtime) -> int | None:
    """Peak memory in bytes of the forward and backward passes of this process's share of the largest batches; None if
    one does not fit."""
    one = torch.ones((), device=runtime.device)
    shards = [runtime.processes.shard(rows) or rows[:1] for rows in find_largest_batches(train, batch_tokens)]
    try:
        reset_peak_memory(runtime.device)
        for batch in load_batches(train, shards, seed=0, epoch=0):
            gradients.backward(batch, one, sums=False)
            gradients.module.zero_grad()
        return peak_memory(runtime.device)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return None
    finally:
        gradients.module.zero_grad()
