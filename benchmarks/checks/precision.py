"""Training steps in each precision: losses near those of the CPU, frozen weights untouched, overflow harmless."""

import math
from collections.abc import Callable

import torch

from benchmarks.checks.run import NothingToCheckError, Report
from benchmarks.checks.setup import Setup
from benchmarks.checks.steps import TrainedSteps, find_greatest_difference, train_steps
from sentence_order.model.linear import Linear
from sentence_order.runtime.device import DTYPES
from sentence_order.runtime.kernels import BF16
from sentence_order.training.loop import TrainingLoop

# How far losses in another precision may lie from those in fp32, in nats per pair.
CLOSE = {"fp32": 1e-3, "bf16": 2e-2, "fp16": 1e-2}


def check_fp32(setup: Setup, report: Report) -> None:
    """Steps in fp32, on the device and on the CPU: the same losses; what is frozen stays as it was."""
    ran = _train_in(setup, "fp32", setup.device)
    on_cpu = _train_in(setup, "fp32", "cpu")
    _compare_losses({f"on {setup.device}": ran.losses, "on the CPU": on_cpu.losses}, CLOSE["fp32"], report)
    _check_frozen(ran, report)


def check_half(precision: str, setup: Setup, report: Report) -> None:
    """Steps in bf16 or fp16: layers compute in it, weights stay in fp32, losses are near those in fp32."""
    if precision == "bf16" and not setup.small and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise NothingToCheckError("this device has no bf16")
    seen: set[torch.dtype] = set()

    def watch(loop: TrainingLoop) -> None:
        layer = loop.model.blocks[-1][0]
        next(m for m in layer.modules() if isinstance(m, torch.nn.Linear)).register_forward_hook(
            # On a CPU a layer rounds its inputs to bf16, and returns float32.
            lambda layer, _, output: seen.add(
                torch.bfloat16 if isinstance(layer, Linear) and layer.kernels == BF16 else output.dtype
            )
        )

    ran = _train_in(setup, precision, setup.device, on_start=watch)
    plain = _train_in(setup, "fp32", setup.device)
    skipped = [step for step, line in enumerate(ran.lines) if "train/gradient_norm" not in line]
    if skipped:  # the scaler lowers the scale, and the run is a step behind from there on
        report.note(f"the scaler skipped {len(skipped)} steps; losses are compared up to the first of them")
    number = skipped[0] + 1 if skipped else len(ran.losses)
    compared = {f"in {precision}": ran.losses[:number], "in fp32": plain.losses[:number]}
    _compare_losses(compared, CLOSE[precision], report)
    report.expect(seen == {DTYPES[precision]}, f"a linear layer of the encoder computed in {seen}")
    report.expect(
        all(weight.dtype is torch.float32 for weight in ran.after.values()), "weights are no longer kept in fp32"
    )
    _check_frozen(ran, report)
    if precision == "fp16":
        _check_overflow(ran.loop, report)


def _train_in(
    setup: Setup, precision: str, device: str, on_start: Callable[[TrainingLoop], object] = lambda loop: None
) -> TrainedSteps:
    own = (f"precision={precision}", f"device={device}", "freeze=bottom_half", "cache=off")
    return train_steps(setup, *own, on_start=on_start)


def _compare_losses(losses: dict[str, list[float]], close: float, report: Report) -> None:
    """Prints two runs' losses below each other."""
    for name, values in losses.items():
        text = " ".join(f"{value:.4f}" for value in values)
        report.note(f"losses {name:<10} {text}", **{f"losses_{name.replace(' ', '_')}": values})
    difference = find_greatest_difference(*losses.values())
    report.note(f"they differ by {difference:.1e} at most, and may by {close}", difference=difference)
    report.expect(difference <= close, f"the losses differ by {difference:.1e}, over {close}")


def _check_frozen(ran: TrainedSteps, report: Report) -> None:
    """Frozen weights are equal to the bit and in evaluation mode; all others have moved."""
    model, after = ran.loop.model, ran.after
    frozen = [module for number in model.frozen_blocks for module in model.blocks[number]]
    parameters = {parameter for module in frozen for parameter in module.parameters()}
    names = {name for name, parameter in model.named_parameters() if parameter in parameters}
    changed = sorted(name for name in names if not torch.equal(ran.before[name], after[name]))
    not_moved = sorted(name for name in after.keys() - names if torch.equal(ran.before[name], after[name]))
    known = {parameter for group in ran.loop.stepper.optimizer.param_groups for parameter in group["params"]}
    report.note(
        f"{len(after) - len(names) - len(not_moved)} of {len(after) - len(names)} trainable tensors moved; "
        f"{len(names) - len(changed)} of {len(names)} frozen ones are equal to the bit"
    )
    report.expect(bool(names), "nothing was frozen")
    report.expect(not changed, f"frozen weights have changed: {', '.join(changed[:3])}")
    # A key's bias shifts all scores of a softmax alike, so that its gradient is zero but for rounding.
    not_moved = [name for name in not_moved if not name.endswith(("key.bias", "k_lin.bias"))]
    report.expect(not not_moved, f"weights that train have not moved: {', '.join(not_moved[:3])}")
    report.expect(not known & parameters, "frozen weights are in the optimizer")
    training = [m for module in frozen for m in module.modules() if m.training]
    report.expect(not training, "frozen blocks are in training mode")
    report.expect(model.training and model.set_layers.training, "the rest of the model is not in training mode")


def _check_overflow(loop: TrainingLoop, report: Report) -> None:
    """A scale beyond fp16's range: the step is skipped, its weights are as before, the scale is halved."""
    stepper, device = loop.stepper, loop.runtime.device
    stepper.scaler = torch.amp.GradScaler(device.type, init_scale=2.0**40)
    stepper.scaler.scale(torch.zeros((), device=device))
    before = [weight.detach().clone() for weight in stepper.trainable]
    inputs = next(loop.plan.batches(start=0))
    output = stepper.training_step(inputs.batches, inputs.num_pairs, loop.state.step)
    unchanged = all(torch.equal(weight, old) for weight, old in zip(stepper.trainable, before, strict=True))
    scale, reason = stepper.scaler.get_scale(), output.nonfinite_reason
    report.note(f"a forced overflow: scale 2^40 became 2^{math.log2(scale):g}, weights unchanged: {unchanged}")
    report.expect(not math.isfinite(output.gradient_norms["train/gradient_norm"]), "the gradient did not overflow")
    report.expect(reason is None, f"the overflow was reported as a non-finite step: {reason}")
    report.expect(unchanged, "the skipped step has changed weights")
    report.expect(scale == 2.0**39, f"the scale is {scale}, not 2^39")
