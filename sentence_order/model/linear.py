"""Linear layers whose matrix products run in oneDNN on a CPU.

PyTorch takes those of float32 tensors from MKL, which leaves the wider vector units of many processors idle. Weights,
names and results are those of `torch.nn.Linear`, up to rounding.

Shape suffixes: N rows, I and O width of the input and of the output.
"""

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Linear(nn.Linear):
    """`nn.Linear`, by way of oneDNN where input and weight are float32 on a CPU that has it."""

    def forward(self, x: Tensor) -> Tensor:
        plain = x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32 and x.numel()
        if not plain or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        product_NO = _Linear.apply(x.reshape(-1, self.in_features), self.weight, self.bias)
        return product_NO.view(*x.shape[:-1], self.out_features)


def use_onednn(model: nn.Module) -> None:
    """Turns every `nn.Linear` within a model into a `Linear`, where this machine has oneDNN."""
    if not onednn_is_there():
        return
    for module in model.modules():
        if type(module) is nn.Linear and module.out_features > 1:  # of one column, oneDNN is slow
            module.__class__ = Linear


@functools.cache
def onednn_is_there() -> bool:
    """Whether this build of PyTorch brings oneDNN's linear layers for this processor."""
    if not (torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability().startswith("AVX")):
        return False
    ones = torch.ones(2, 2, device="cpu")  # also while a checkpoint is loaded, when tensors are made without content
    try:  # PyTorch has the operator for its compiler, and does not promise it
        return torch.equal(product(ones, ones), ones @ ones)
    except (AttributeError, RuntimeError, TypeError):
        return False


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.save_for_backward(x_NI, weight_OI)
        return product(x_NI, weight_OI, bias_O)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_NO: Tensor) -> tuple[Tensor | None, ...]:
        x_NI, weight_OI = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            product(gradient_NO, weight_OI.T) if of_x else None,
            product(gradient_NO.T, x_NI.T) if of_weight else None,
            gradient_NO.sum(0) if of_bias else None,
        )


def product(x_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias` by oneDNN; either matrix may be a transposed one."""
    if not torch.backends.mkldnn.enabled:  # it has found no memory for itself: see `runtime.give_back_memory`
        return nn.functional.linear(x_NI, weight_OI, bias_O)
    return torch.ops.mkldnn._linear_pointwise(x_NI, weight_OI, bias_O, "none", [], "")
