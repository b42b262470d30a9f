"""Linear layers whose matrix products run in oneDNN on a CPU.

PyTorch computes those of float32 tensors by MKL, which leaves the wider vector units of many processors idle. Weights,
names and results are those of `torch.nn.Linear`, up to rounding.
"""

import functools
import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

log = logging.getLogger(__name__)


class Linear(nn.Linear):
    """`nn.Linear`, computed by oneDNN if input and weight are float32 on a CPU that supports it."""

    def forward(self, x: Tensor) -> Tensor:
        plain = x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32 and x.numel()
        if not plain or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        product_XO = _Linear.apply(x.reshape(-1, self.in_features), self.weight, self.bias)
        return product_XO.view(*x.shape[:-1], self.out_features)


def use_onednn(model: nn.Module) -> None:
    """Turns every `nn.Linear` within a model into a `Linear`, if this machine supports oneDNN."""
    if not onednn_available():
        return
    for module in model.modules():
        if type(module) is nn.Linear and module.out_features > 1:  # of one column, oneDNN is slow
            module.__class__ = Linear


def log_kernel(device: torch.device) -> None:
    """Logs which kernels compute the linear layers on a CPU."""
    if device.type == "cpu":
        onednn = "oneDNN (auto: as fast as MKL on this processor, or faster)"
        log.debug(
            "linear layers: %s", onednn if onednn_available() else "PyTorch's own (auto: oneDNN is not available)"
        )


@functools.cache
def onednn_available() -> bool:
    """True if this build of PyTorch has oneDNN's linear layers for this processor."""
    if not (torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability().startswith("AVX")):
        return False
    ones = torch.ones(2, 2, device="cpu")  # also while a checkpoint is loaded, when new tensors have no content
    try:  # PyTorch has the operator for its compiler, and does not promise it
        return torch.equal(product(ones, ones), ones @ ones)
    except (AttributeError, RuntimeError, TypeError):
        return False


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_XI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.save_for_backward(x_XI, weight_OI)
        return product(x_XI, weight_OI, bias_O)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_XO: Tensor) -> tuple[Tensor | None, ...]:
        x_XI, weight_OI = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            product(gradient_XO, weight_OI.T) if of_x else None,
            product(gradient_XO.T, x_XI.T) if of_weight else None,
            gradient_XO.sum(0) if of_bias else None,
        )


def product(x_XI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias` by oneDNN; either matrix may be a transposed one."""
    if not torch.backends.mkldnn.enabled:  # it ran out of memory: see `release_memory`
        return nn.functional.linear(x_XI, weight_OI, bias_O)
    return torch.ops.mkldnn._linear_pointwise(x_XI, weight_OI, bias_O, "none", [], "")
