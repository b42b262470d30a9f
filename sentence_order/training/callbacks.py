"""Callbacks: how a tracker such as W&B, a progress widget or a stopping rule of one's own attaches to a run."""

import copy
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from sentence_order.runtime.device import Runtime
from sentence_order.training.state import TrainerState, get_rng_state, set_rng_state


class Callback:
    """Sees the progress of a run, and may end it: derive from it, and define the methods that you need.

    Each gets the `TrainerState`, as a copy, in the main process alone. A callback changes no number of the run, not
    even if it draws random numbers. A method that returns True ends the run after this step, or the next one, as early
    stopping does: it validates and tests the best checkpoint. What a method raises stops the run; it can be resumed.

    Example:
        >>> class Impatient(Callback):
        ...     def on_validation(self, state):
        ...         print(state.step, state.metrics["validation/tau"])
        ...         return state.metrics["validation/tau"] > 0.9
    """

    def __init_subclass__(cls) -> None:
        if unknown := [name for name in vars(cls) if name.startswith("on_") and not hasattr(Callback, name)]:
            known = [name for name in vars(Callback) if name.startswith("on_")]
            raise TypeError(f"{cls.__name__}.{unknown[0]} would never be called; there are {', '.join(known)}")

    def on_step(self, state: TrainerState) -> bool | None:
        """After each optimizer step; every `trainer.log_every` steps, `state.metrics` has new `train/...` values."""

    def on_validation(self, state: TrainerState) -> bool | None:
        """After each validation, whose values are in `state.metrics` as `validation/...`."""

    def on_save(self, state: TrainerState) -> bool | None:
        """After each save of `checkpoints/last`."""

    def on_end(self, state: TrainerState) -> None:
        """After the test of the best checkpoint, whose values are in `state.metrics` as `test/...`."""


def check_callbacks(callbacks: Sequence[Callback]) -> list[Callback]:
    """The callbacks. Raises TypeError if one is none."""
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks: a list is due, such as [callback], not {type(callbacks).__name__}")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks: a list of instances of sentence_order.Callback is due, not of {callback!r}")
    return [*callbacks]


class CallbackList:
    """The callbacks of a run, called one after the other.

    Attributes:
        stop_requested: whether one of them has asked to stop.
    """

    def __init__(self, callbacks: Sequence[Callback], runtime: Runtime) -> None:
        self.callbacks = [*callbacks] if runtime.processes.is_main else []
        self.device, self.stop_requested = runtime.device, False

    def call(self, name: str, state: TrainerState) -> None:
        """Calls a method of each of them. Raises RuntimeError if one fails."""
        if not self.callbacks:
            return
        random, dtype, threads = get_rng_state(self.device), torch.get_default_dtype(), torch.get_num_threads()
        for callback in self.callbacks:
            try:
                answer = getattr(callback, name)(copy.deepcopy(state))
            except Exception as error:
                where = f"{type(callback).__name__}.{name}"
                raise RuntimeError(f"{where} failed at step {state.step}: {type(error).__name__}: {error}") from error
            self.stop_requested |= isinstance(answer, bool | np.bool_) and bool(answer)
        set_rng_state(random, self.device)
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
