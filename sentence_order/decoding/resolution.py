"""The resolution in which decoders compare scores: finer differences are rounding."""

from torch import Tensor

RESOLUTION = 2.0**-16


def quantise(scores: Tensor) -> Tensor:
    """Multiples of `RESOLUTION`, in place. Rounding is to even, the same on both sides of zero: antisymmetry stays."""
    return scores.div_(RESOLUTION).round_().mul_(RESOLUTION)
