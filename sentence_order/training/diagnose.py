"""Finds the part of the model where the numbers of a step stop being finite, and keeps the batch.

RUN/nonfinite/step_N.safetensors    the tensors of the batch, and the ids of its documents as metadata
"""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from sentence_order.data.examples import Batch, slice_batch
from sentence_order.errors import first_line
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.files import atomic_file
from sentence_order.training.plan import StepInput
from sentence_order.training.state import get_rng_state, set_rng_state
from sentence_order.training.step import StepOutput, Stepper

FOLDER = "nonfinite"
MAX_IDS = 20


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a step."""

    what: str  # is not finite
    block: str | None  # the first part of the model whose output is not finite or, if all are, whose gradient is not
    rows: list[int]  # of the corpus: documents that show it on their own, or all of the batch if none does


def describe_nonfinite(
    stepper: Stepper, inputs: StepInput, output: StepOutput, ids: Sequence[str], folder: Path, step: int
) -> str:
    """What was not finite in a step, and where, in one line; `ids` are those of the corpus. All processes take part.

    The batch of the first such step of a run is saved in its folder, and only that one.
    """
    processes = stepper.runtime.processes
    diagnosis = diagnose(stepper, inputs.batches, inputs.num_pairs, output.rng_state)
    texts = processes.gather(diagnosis and _format(diagnosis, ids))
    failing_rank = next((rank for rank, text in enumerate(texts) if text is not None), None)
    if failing_rank is None:
        return f"{output.nonfinite_reason}; when the step was repeated, everything was finite"

    saved = ""
    if processes.rank == failing_rank:
        try:
            saved = f"batch saved to {_save_batch(folder / FOLDER, inputs.batches, step, ids)}"
        except OSError as error:  # the first error is the more important one
            saved = f"the batch could not be saved ({error})"
    return f"{texts[failing_rank]}; {processes.gather(saved)[failing_rank]}"


def diagnose(
    stepper: Stepper, batches: Sequence[Batch], num_pairs: int, rng_state: dict[str, Tensor]
) -> Diagnosis | None:
    """Repeats the forward and backward passes of a step and finds where numbers stop being finite, if they do."""
    after = get_rng_state(stepper.runtime.device)
    set_rng_state(rng_state, stepper.runtime.device)
    try:
        for part in (part for batch in batches for part in stepper.limit.split(batch)):
            if fault := _find_fault(stepper, part, num_pairs):
                documents = [slice_batch(part, row, row + 1) for row in range(len(part["mask"]))]
                faulty = [one for one in documents if _find_fault(stepper, one, num_pairs)] or [part]
                return Diagnosis(*fault, rows=[row for one in faulty for row in one["document"].tolist()])
        return None
    finally:
        set_rng_state(after, stepper.runtime.device)
        stepper.optimizer.zero_grad(set_to_none=True)


def _find_fault(stepper: Stepper, batch: Batch, num_pairs: int) -> tuple[str, str | None] | None:
    """What is not finite for a batch, and in which part of the model."""
    stepper.optimizer.zero_grad(set_to_none=True)
    with _watch_outputs(stepper.model) as nonfinite_parts:
        try:
            value = stepper.backward(batch, 1 / num_pairs).item()
        except RuntimeError as error:
            if "nan values" not in str(error):  # what autograd's anomaly detection raises
                raise
            return first_line(error), next(iter(nonfinite_parts), None)
    if not math.isfinite(value):
        return f"the loss is {value}", next(iter(nonfinite_parts), None)

    # Gradients flow downwards: the fault is in the highest part that has a nonfinite one.
    for name, modules in reversed(stepper.model.parts.items()):
        gradients = [p.grad for module in modules for p in module.parameters() if p.grad is not None]
        if not all(gradient.isfinite().all() for gradient in gradients):
            return "a gradient is not finite", name
    return None


@contextmanager
def _watch_outputs(model: SentenceOrdererModel) -> Iterator[list[str]]:
    """Yields the names of the parts whose output is not finite, in the order of the forward pass."""
    nonfinite_parts: list[str] = []

    def check(name: str, output: Any) -> None:
        outputs = output.values() if isinstance(output, dict) else output if isinstance(output, tuple) else [output]
        if not all(tensor.isfinite().all() for tensor in outputs if isinstance(tensor, Tensor)):
            nonfinite_parts.append(name)

    handles = [
        module.register_forward_hook(lambda _, __, output, name=name: check(name, output))
        for name, modules in model.parts.items()
        for module in modules
    ]
    try:
        yield nonfinite_parts
    finally:
        for handle in handles:
            handle.remove()


def _save_batch(folder: Path, batches: Sequence[Batch], step: int, ids: Sequence[str]) -> Path:
    if saved := sorted(folder.glob("step_*.safetensors")):
        return saved[0]
    tensors = {f"{k}.{name}": tensor.contiguous() for k, batch in enumerate(batches) for name, tensor in batch.items()}
    names = [ids[row] for batch in batches for row in batch["document"].tolist()]
    path = folder / f"step_{step}.safetensors"
    with atomic_file(path, "wb") as stream:
        stream.write(save(tensors, {"ids": json.dumps(names)}))
    return path


def _format(diagnosis: Diagnosis, ids: Sequence[str]) -> str:
    block = f", first in {diagnosis.block}" if diagnosis.block else ""
    names = ", ".join(ids[row] for row in diagnosis.rows[:MAX_IDS])
    more = f" and {len(diagnosis.rows) - MAX_IDS} more" if len(diagnosis.rows) > MAX_IDS else ""
    return f"{diagnosis.what}{block}; documents: {names}{more}"
