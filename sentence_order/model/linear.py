"""Linear layers whose matrix products are computed, on a CPU, by the kernels that were chosen for this machine.

Weights, names and results are those of `torch.nn.Linear`, up to rounding.
"""

from collections import Counter
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.kernels import BF16, DEFAULT, Kernels, choose_kernels, has_bf16, multiply, onednn_available


class Linear(nn.Linear):
    """`nn.Linear`, computed by `kernels` if input and weight are float32 on a CPU."""

    kernels = DEFAULT

    def forward(self, x: Tensor) -> Tensor:
        float32 = x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32 and x.numel()
        records = torch.is_grad_enabled()
        bf16 = self.kernels.bf16 == "all" or (self.kernels.bf16 == "training" and records)
        onednn = self.kernels.use_onednn(records) and torch.backends.mkldnn.enabled  # off after a lack of memory
        if not float32 or torch.is_autocast_enabled("cpu") or not (bf16 or onednn):
            return super().forward(x)
        inputs = x.reshape(-1, self.in_features), self.weight, self.bias
        product_XO = _LinearBf16.apply(*inputs) if bf16 else _Linear.apply(*inputs, self.kernels)
        if len(product_XO) > len(inputs[0]):  # not within the function, whose views may not be changed in place
            product_XO = product_XO[: len(inputs[0])]
        return product_XO.view(*x.shape[:-1], self.out_features)


def linear_layers(model: nn.Module) -> list[nn.Linear]:
    """Those within a model whose products matter; with one column, oneDNN is slow."""
    linear = [m for m in model.modules() if isinstance(m, nn.Linear) and type(m) in (nn.Linear, Linear)]
    return [layer for layer in linear if layer.out_features > 1]


def count_shapes(model: nn.Module) -> dict[tuple[int, int], int]:
    """How many linear layers of a model have this number of outputs and inputs."""
    return Counter((layer.out_features, layer.in_features) for layer in linear_layers(model))


def place_model(model: SentenceOrdererModel, runtime: Runtime, *, auto_bf16: bool = False) -> Runtime:
    """Moves a model to the device and, on a CPU, chooses what computes its linear layers; returns the runtime with it.

    Args:
        auto_bf16: in fp32, multiply in bf16 where gradients are recorded, if that is faster by far.
    """
    model.to(runtime.device)
    if runtime.device.type != "cpu" or runtime.precision is torch.float16:
        return runtime
    processes, kernels = runtime.processes, DEFAULT
    if runtime.precision is torch.bfloat16:
        kernels = BF16
    elif processes.is_main:
        # Of the encoder, so that all jobs of a sweep choose alike.
        kernels = choose_kernels(count_shapes(model.encoder), auto_bf16=auto_bf16)
    found = processes.gather((kernels, onednn_available(), has_bf16()))
    kernels = found[0][0].only(all(onednn for _, onednn, _ in found), all(bf16 for _, _, bf16 in found))
    use_kernels(model, kernels)
    return replace(runtime, kernels=kernels)


def use_kernels(model: nn.Module, kernels: Kernels) -> None:
    """Makes the linear layers of a model use these kernels."""
    for layer in linear_layers(model):
        layer.__class__ = nn.Linear if kernels == DEFAULT else Linear
        if isinstance(layer, Linear):
            layer.kernels = kernels


def pad_rows(x_XI: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The same in `dtype`, with rows of zeros appended up to the next of 16, 32, ..., 512, 544, ..., 1024, 1088, ...

    For each number of rows that oneDNN meets it compiles kernels anew and keeps them, megabytes for a few layers; and
    a batch has any number of tokens.
    """
    rows = len(x_XI)
    step = max(16, 2 ** ((rows - 1).bit_length() - 5))
    if rows % step == 0:
        return x_XI.to(dtype)
    padded_XI = x_XI.new_empty(-(-rows // step) * step, x_XI.shape[1], dtype=dtype)
    padded_XI[:rows] = x_XI
    padded_XI[rows:] = 0
    return padded_XI


class _Linear(torch.autograd.Function):
    """The output has the rows of the padded input. What is saved is the input as it is, which layers may share."""

    @staticmethod
    def forward(ctx: Any, x_XI: Tensor, weight_OI: Tensor, bias_O: Tensor | None, kernels: Kernels) -> Tensor:
        ctx.save_for_backward(x_XI, weight_OI)
        ctx.kernels = kernels
        return multiply(kernels.forward, pad_rows(x_XI), weight_OI, bias_O)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_XO: Tensor) -> tuple[Tensor | None, ...]:
        x_XI, weight_OI = ctx.saved_tensors
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        return (
            multiply(ctx.kernels.input_gradient, gradient_XO, weight_OI.T)[: len(x_XI)] if of_x else None,
            multiply(ctx.kernels.weight_gradient, gradient_XO.T, pad_rows(x_XI).T) if of_weight else None,
            gradient_XO.sum(0) if of_bias else None,
            None,
        )


class _LinearBf16(torch.autograd.Function):
    """The same in bf16, as autocast computes them: inputs are rounded, once for all products, and so are results."""

    @staticmethod
    def forward(ctx: Any, x_XI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        rows, x_XI, weight_OI = len(x_XI), pad_rows(x_XI, torch.bfloat16), weight_OI.bfloat16()
        ctx.save_for_backward(x_XI, weight_OI)
        return nn.functional.linear(x_XI, weight_OI, None if bias_O is None else bias_O.bfloat16())[:rows].float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_XO: Tensor) -> tuple[Tensor | None, ...]:
        x_XI, weight_OI = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows, rounded_XO = len(gradient_XO), pad_rows(gradient_XO, torch.bfloat16)
        return (
            (rounded_XO @ weight_OI)[:rows].float() if of_x else None,
            (rounded_XO.T @ x_XI).float() if of_weight else None,
            gradient_XO.sum(0) if of_bias else None,
        )
