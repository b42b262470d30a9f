"""Two processes sum gradients in the backward pass, and find what they would have found afterwards.

torchrun --nproc_per_node=2 -m tests.summed_gradients
"""

import torch

from sentence_order.config.schema import OptimConfig
from sentence_order.data.batching import load_batches
from sentence_order.data.examples import padded_size
from sentence_order.data.synthetic import generate
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.distributed import Processes, destroy_processes, init_processes
from sentence_order.training.step import Stepper
from tests.conftest import make_tiny
from tests.training.loops import corpus_of

STORIES = [sentences for _, sentences, _ in generate("train", 7, 40)]
# The rows of the micro-batches of each step; the last one has a single document.
STEPS = [[range(12), range(12, 20)], [range(20, 32), range(32, 40)], [range(8), range(8, 16)], [range(5, 6)]]
STANDSTILL = OptimConfig(lr=0.0, head_lr=0.0, weight_decay=0.0, warmup=0.0)


def run_steps(processes: Processes, precision: torch.dtype, again: bool, overlaps: bool) -> list[torch.Tensor]:
    """The gradients of each step, summed in the backward pass where that may be, or always afterwards."""
    torch.manual_seed(0)
    model = make_tiny(STORIES, "tiny", loss={"neighbours": 1.0}).train()
    model.freeze({0})
    model.gradient_checkpointing = again
    corpus = corpus_of(model, STORIES)
    stepper = Stepper(model, STANDSTILL, Runtime(torch.device("cpu"), precision, processes), total_steps=10)
    found: list[torch.Tensor] = []
    stepper.optimizer.register_step_pre_hook(
        lambda *_: found.append(
            torch.cat([torch.zeros(0) if w.grad is None else w.grad.flatten() for w in stepper.trainable])
        )
    )
    overlapping = 0
    for parts in STEPS:
        shards = [list(rows)[processes.rank :: processes.world_size] for rows in parts]
        is_idle = not any(shards)
        shards = [[parts[0][0]]] if is_idle else shards
        batches = [batch for batch in load_batches(corpus, shards, 0, 0) if batch]
        share = max(processes.gather(max(map(padded_size, batches)))) if overlaps else None
        if overlaps and parts is not STEPS[0]:
            share = min(share or 0, 200)  # no larger than the second one, which is summed afterwards
        overlapping += overlaps and stepper.gradients.overlaps(share or 0)
        sizes = corpus.sizes[[row for rows in parts for row in rows]]
        pairs = int((sizes * (sizes - 1) // 2).sum())
        stepper.training_step(batches, pairs, 0, largest_share=share, is_idle=is_idle)
    assert overlapping == (2 if overlaps else 0), overlapping
    assert not overlaps or stepper.gradients.unused, "all weights are read"
    return found


def main() -> None:
    processes = init_processes("cpu")
    for precision, again in ((torch.float32, False), (torch.float32, True), (torch.float16, False)):
        expected, found = (run_steps(processes, precision, again, overlaps) for overlaps in (False, True))
        for one, other in zip(found, expected, strict=True):
            assert one.norm() > 1e-3
            close = 1e-6 if precision is torch.float32 else 1e-3
            torch.testing.assert_close(one, other, atol=close, rtol=close)
    processes.barrier()
    destroy_processes()


if __name__ == "__main__":
    main()
