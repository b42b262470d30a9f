"""Refuses on a CPU what `debug=anomaly` refuses on CUDA: operations without a deterministic implementation there."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Those of `torch.use_deterministic_algorithms` that take numbers of the kind we compute with.
REFUSED = {"aten::bincount", "aten::cumsum", "aten::histc", "aten::median", "aten::nll_loss_forward", "aten::put_"}
REFUSED |= {"aten::nll_loss2d_forward", "aten::median.dim", "aten::put"}


class CudaDeterminism(TorchDispatchMode):
    """Within, such an operation on fractions raises."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        fractions = any(isinstance(value, torch.Tensor) and value.is_floating_point() for value in args)
        assert not (fractions and func.name() in REFUSED), f"{func.name()} has no deterministic form on CUDA"
        return func(*args, **(kwargs or {}))
