"""Finds the part of the model where the numbers of a step stop being finite, and keeps the batch.

RUN/nonfinite/step_N.safetensors    the tensors of the batch, and the ids of its documents as metadata
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from sentence_order.data.examples import Batch, slice_batch
from sentence_order.errors import first_line
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.files import atomic_file
from sentence_order.training.state import random_state, set_random_state
from sentence_order.training.step import Stepper

FOLDER = "nonfinite"
MAX_IDS = 20


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a step.

    Attributes:
        what: the number that is not finite.
        block: the first part of the model whose output is not finite or, if all are, whose gradient is not; None if
            all parts are finite.
        rows: the documents that show it on their own, or all of the batch if none does; rows of the corpus.
    """

    what: str
    block: str | None
    rows: list[int]


def diagnose(stepper: Stepper, batches: Sequence[Batch], num_pairs: int, before: dict[str, Tensor]) -> Diagnosis | None:
    """Repeats the forward and backward passes of a step and finds where numbers stop being finite, if they do.

    Args:
        before: the random state of dropout at the step.
    """
    after = random_state(stepper.runtime.device)
    set_random_state(before, stepper.runtime.device)
    try:
        for batch in batches:
            for part in stepper.limit.split(batch):
                if (fault := _find_fault(stepper, part, num_pairs)) is None:
                    continue
                documents = [slice_batch(part, row, row + 1) for row in range(len(part["mask"]))]
                faulty = [one for one in documents if _find_fault(stepper, one, num_pairs) is not None] or [part]
                return replace(fault, rows=[row for one in faulty for row in one["document"].tolist()])
        return None
    finally:
        set_random_state(after, stepper.runtime.device)
        stepper.optimizer.zero_grad(set_to_none=True)


def _find_fault(stepper: Stepper, batch: Batch, num_pairs: int) -> Diagnosis | None:
    stepper.optimizer.zero_grad(set_to_none=True)
    with _watch_outputs(stepper.model) as nonfinite_parts:
        try:
            value = stepper.backward(batch, num_pairs).item()
        except RuntimeError as error:
            if "nan values" not in str(error):  # what autograd's anomaly detection raises
                raise
            return Diagnosis(first_line(error), next(iter(nonfinite_parts), None), [])
    if not torch.isfinite(torch.tensor(value)):
        return Diagnosis(f"the loss is {value}", next(iter(nonfinite_parts), None), [])

    # Gradients flow downwards: the fault is in the highest part that has a nonfinite one.
    for name, modules in reversed(stepper.model.parts.items()):
        gradients = [p.grad for module in modules for p in module.parameters() if p.grad is not None]
        if not all(gradient.isfinite().all() for gradient in gradients):
            return Diagnosis("a gradient is not finite", name, [])
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


def save_batch(folder: Path, batches: Sequence[Batch], step: int, ids: Sequence[str]) -> Path:
    """Keeps the batch of the first nonfinite step of a run, and only that one.

    Args:
        folder: the run's.
        ids: of the documents, batch after batch.

    Returns:
        The file.

    Raises:
        OSError: it could not be written.
    """
    if kept := sorted((folder / FOLDER).glob("step_*.safetensors")):
        return kept[0]
    tensors = {f"{k}.{name}": tensor.contiguous() for k, batch in enumerate(batches) for name, tensor in batch.items()}
    path = folder / FOLDER / f"step_{step}.safetensors"
    with atomic_file(path) as stream:
        assert isinstance(stream, TextIOWrapper)
        stream.buffer.write(save(tensors, {"ids": json.dumps(list(ids))}))
    return path


def format_diagnosis(diagnosis: Diagnosis, ids: Sequence[str]) -> str:
    """A diagnosis in one line; `ids` are those of its documents."""
    block = f", first in {diagnosis.block}" if diagnosis.block else ""
    more = f" and {len(ids) - MAX_IDS} more" if len(ids) > MAX_IDS else ""
    return f"{diagnosis.what}{block}; documents: {', '.join(ids[:MAX_IDS])}{more}"
