"""Where in a step numbers stopped being finite; the file that keeps such a step, and the look into it.

RUN/nonfinite/step_N/    the model as it was before the step, as a checkpoint, and batch.safetensors
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sentence_order.checkpoints import load_checkpoint
from sentence_order.commands import environment, shell
from sentence_order.config import Precision, TrainConfig
from sentence_order.console import log, set_up_logging
from sentence_order.data.examples import Batch, part_of
from sentence_order.errors import TrainingError, UserError, first_line
from sentence_order.files import atomic_folder
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.runtime import DTYPES, choose_runtime
from sentence_order.training.state import random_state, set_random_state
from sentence_order.training.step import Stepper

FOLDER, BATCH_FILE = "nonfinite", "batch.safetensors"


@dataclass(frozen=True)
class Finding:
    """What is wrong with a step.

    Attributes:
        what: the number that is not finite.
        block: the first part of the model whose output is not finite or, where all are, whose gradient is not; None
            where the parts' are finite.
        rows: the documents that show it each for itself, or all of the batch where none does; rows of the corpus.
    """

    what: str
    block: str | None
    rows: list[int]


def examine(stepper: Stepper, batches: Sequence[Batch], pairs: int, random: dict[str, Tensor]) -> Finding | None:
    """Runs the forward and backward passes of a step again, and finds where numbers stop being finite, if they do.

    Args:
        random: what dropout drew from when the step was taken.
    """
    after = random_state(stepper.runtime.device)
    set_random_state(random, stepper.runtime.device)
    try:
        for piece in stepper.pieces(batches):
            if (fault := _fault(stepper, piece, pairs)) is not None:
                alone = [part_of(piece, row, row + 1) for row in range(len(piece["mask"]))]
                guilty = [one for one in alone if _fault(stepper, one, pairs) is not None] or [piece]
                return replace(fault, rows=[row for one in guilty for row in one["document"].tolist()])
        return None
    finally:
        set_random_state(after, stepper.runtime.device)
        stepper.optimizer.zero_grad(set_to_none=True)


def _fault(stepper: Stepper, batch: Batch, pairs: int) -> Finding | None:
    stepper.optimizer.zero_grad(set_to_none=True)
    with _watched(stepper.model) as broken:
        try:
            value = stepper.backward(batch, pairs).item()
        except RuntimeError as error:
            if "nan values" not in str(error):  # what autograd's anomaly detection raises
                raise
            return Finding(first_line(error), next(iter(broken), None), [])
    if not torch.isfinite(torch.tensor(value)):
        return Finding(f"the loss is {value}", next(iter(broken), None), [])
    # Gradients come from above: the highest part that has a broken one is where it broke.
    for name, modules in reversed(stepper.model.parts.items()):
        gradients = [p.grad for module in modules for p in module.parameters() if p.grad is not None]
        if not all(gradient.isfinite().all() for gradient in gradients):
            return Finding("a gradient is not finite", name, [])
    return None


@contextmanager
def _watched(model: SentenceOrderer) -> Iterator[list[str]]:
    """The names of the parts whose output is not finite, in the order in which they compute it."""
    broken: list[str] = []

    def look(name: str, output: Any) -> None:
        tensors = output if isinstance(output, tuple | list) else [output]
        if not all(tensor.isfinite().all() for tensor in tensors if isinstance(tensor, Tensor)):
            broken.append(name)

    handles = [
        module.register_forward_hook(lambda _, __, output, name=name: look(name, output))
        for name, modules in model.parts.items()
        for module in modules
    ]
    try:
        yield broken
    finally:
        for handle in handles:
            handle.remove()


def keep(
    folder: Path,
    stepper: Stepper,
    batches: Sequence[Batch],
    pairs: int,
    random: dict[str, Tensor],
    step: int,
    ids: Sequence[str],
) -> Path:
    """Keeps the first such step of a run, and only that: one has the size of a checkpoint.

    Args:
        folder: the run's.
        ids: the documents', batch after batch.

    Returns:
        The file that `debug=replay` takes.

    Raises:
        OSError: it could not be written.
    """
    if kept := sorted((folder / FOLDER).glob(f"step_*/{BATCH_FILE}")):
        return kept[0]
    about = {
        "step": step,
        "pairs": pairs,
        "ids": list(ids),
        "precision": next(name for name, dtype in DTYPES.items() if dtype is stepper.runtime.precision),
        "scale": stepper.scaler.get_scale(),
        "frozen_blocks": sorted(stepper.model.frozen_blocks),
    }
    tensors = {f"{k}.{name}": tensor.clone() for k, batch in enumerate(batches) for name, tensor in batch.items()}
    tensors |= {f"random.{name}": state for name, state in random.items()}
    path = folder / FOLDER / f"step_{step}"
    with atomic_folder(path) as fresh:
        stepper.model.save_pretrained(fresh)
        save_file(tensors, fresh / BATCH_FILE, {"about": json.dumps(about)})
    return path / BATCH_FILE


def command_to_replay(file: Path) -> str:
    """What to type to look into a batch that was kept."""
    return environment() + shell("train", "debug=replay", f"batch={file}")


def replay(config: TrainConfig) -> None:
    """Takes the step again that `config.batch` keeps, and says where its numbers stop being finite.

    Raises:
        UserError: the file is no such batch, or the model that belongs to it is damaged.
        TrainingError: they are not finite: what, where, and in which documents.
    """
    set_up_logging()
    assert config.batch is not None
    file = Path(config.batch)
    about, batches, random = _read(file)
    model = load_checkpoint(str(file.parent), "batch", finite=False)
    precision = config.precision if config.precision is not Precision.auto else Precision(about["precision"])
    runtime = choose_runtime(config.device, precision)
    model.to(runtime.device)
    model.freeze(about["frozen_blocks"], to_the_end=model.config.frozen_blocks)
    model.train()
    torch.autograd.set_detect_anomaly(config.debug.anomaly)
    stepper = Stepper(model, TrainConfig(), runtime, total_steps=1)
    if stepper.scaler.is_enabled():
        stepper.scaler = torch.amp.GradScaler(runtime.device.type, init_scale=about["scale"])
    rows = [row for batch in batches for row in batch["document"].tolist()]
    log.info("replay: step %d, %d documents, from %s", about["step"], len(rows), file)
    finding = examine(stepper, batches, about["pairs"], random)
    if finding is None:
        log.info(
            "replay: the loss and all gradients are finite here; it was on another device, or in another precision?"
        )
        return
    ids = dict(zip(rows, about["ids"], strict=True))
    raise TrainingError(f"step {about['step']}: {told(finding, [ids[row] for row in finding.rows])}")


def told(finding: Finding, ids: Sequence[str], most: int = 20) -> str:
    """A finding in words."""
    block = f", first in {finding.block}" if finding.block else ""
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return f"{finding.what}{block}; documents: {', '.join(ids[:most])}{more}"


def _read(file: Path) -> tuple[dict[str, Any], list[Batch], dict[str, Tensor]]:
    try:
        with safe_open(file, framework="pt") as content:
            about = json.loads(content.metadata()["about"])
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - it is no mapping
        random = {
            name.removeprefix("random."): tensors.pop(name) for name in list(tensors) if name.startswith("random.")
        }
        count = 1 + max(int(name.split(".")[0]) for name in tensors)
        batches = [
            {name.split(".", 1)[1]: tensor for name, tensor in tensors.items() if name.startswith(f"{k}.")}
            for k in range(count)
        ]
        return about, batches, random
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"batch: {file} is no batch that a run has kept ({first_line(error)}); they lie in "
            f"RUN/{FOLDER}/step_N/{BATCH_FILE}"
        ) from error
