"""A device without numbers, in place of a GPU that may not be waited for.

PyTorch's `meta` tensors have shapes and types alone. So what reads a number of the device, or takes a selection whose
size depends on its numbers, raises; on CUDA it would wait for all that the device still does.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sentence_order.inference import scoring
from sentence_order.model import segments
from sentence_order.model.families import relative

META = torch.device("meta")
# What copies a single number of the host to the device as well.
COPIES = ("_to_copy", "copy_", "where", "index_put_", "index_put")


class SeparateDevices(TorchDispatchMode):
    """Refuses what mixes tensors of the host and of the device, and copies from one to the other, which wait."""

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        output = function(*arguments, **(options or {}))
        is_copy = function.overloadpacket.__name__ in COPIES
        read = [x for x in tree_leaves((arguments, options)) if isinstance(x, Tensor) and (x.ndim or is_copy)]
        written = [x for x in tree_leaves(output) if isinstance(x, Tensor)]
        assert len({x.device.type for x in (*read, *written)}) < 2, f"{function}: tensors of two devices"
        return output


class NoNumbers(TorchFunctionMode):
    """Refuses to make a tensor of the device of Python's numbers, which waits too."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        output = function(*arguments, **(options or {}))
        is_new = function in (torch.tensor, torch.as_tensor, Tensor.new_tensor)
        assert not (is_new and output.device == META), f"{function.__name__} on the device"
        return output


def leave_autocast_out(patches: pytest.MonkeyPatch) -> None:
    """PyTorch has none for this device."""
    patches.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    patches.setattr(torch, "is_autocast_enabled", lambda *_: False)


@contextmanager
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within the block, whatever waits for the device `META` raises; `to_device` does not wait."""

    def to_device(array: np.ndarray, device: torch.device) -> Tensor:
        return torch.empty(array.shape, dtype=torch.from_numpy(array).dtype, device=device)

    with monkeypatch.context() as patches, SeparateDevices(), NoNumbers():
        leave_autocast_out(patches)
        for module in (scoring, segments, relative):
            patches.setattr(module, "to_device", to_device)
        yield
