"""A training loop that calls a function behind every step, for benchmarks and tests."""

from collections.abc import Callable
from typing import Any

from sentence_order.training.loop import TrainingLoop


class HookedLoop(TrainingLoop):
    """Calls `on_step` with itself after each step and everything that follows it; callbacks see a copy of its state."""

    def __init__(
        self, *inputs: Any, on_step: Callable[[TrainingLoop], None] = lambda loop: None, **settings: Any
    ) -> None:
        super().__init__(*inputs, **settings)
        self.on_step, self.hooked_step = on_step, 0

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.hooked_step = self.state.step

    def check_stop(self) -> bool:
        if self.state.step > self.hooked_step:
            self.hooked_step = self.state.step
            self.on_step(self)
        return super().check_stop()
