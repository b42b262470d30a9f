"""AdamW over what trains, the learning-rate schedule, and the average of the weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from transformers import SchedulerType, get_scheduler

from sentence_order.config import OptimConfig
from sentence_order.model.modeling import SentenceOrderer


def make_optimizer(model: SentenceOrderer, config: OptimConfig) -> torch.optim.AdamW:
    """Fused AdamW over the trainable parameters only, in up to four named groups.

    The encoder and the rest have learning rates of their own; biases and the weights of norms do not decay.
    """
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for part, parameter in _trainable(model):
        groups.setdefault((part, parameter.ndim > 1), []).append(parameter)
    rates = {"encoder": config.lr, "head": config.head_lr}
    return torch.optim.AdamW(
        [
            {
                "name": part if decays else f"{part}_no_decay",
                "params": parameters,
                "lr": rates[part],
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for (part, decays), parameters in groups.items()
        ],
        betas=(config.betas[0], config.betas[1]),
        fused=True,
    )


def _trainable(model: SentenceOrderer) -> Iterator[tuple[str, nn.Parameter]]:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield "encoder" if name.startswith("encoder.") else "head", parameter


def make_schedule(optimizer: torch.optim.Optimizer, config: OptimConfig, steps: int) -> LRScheduler:
    """Warm-up over the share `optim.warmup` of all steps, then the decay that `optim.schedule` names."""
    return get_scheduler(SchedulerType(config.schedule.value), optimizer, round(config.warmup * steps), steps)


class WeightAverage:
    """An exponential moving average of the weights that train, which stands in for them where they are judged or kept.

    At step t a share of `min(decay, (1 + t) / (10 + t))` of it stays, so that it soon forgets where it began (Polyak
    and Juditsky 1992, "Acceleration of stochastic approximation by averaging"). With a decay of 0 it is the weights.
    """

    def __init__(self, weights: Sequence[nn.Parameter], decay: float) -> None:
        self.weights: list[torch.Tensor] = list(weights)
        self.decay, self.steps = decay, 0
        self.average = [weight.detach().clone() for weight in self.weights] if decay else []

    @torch.no_grad()
    def update(self) -> None:
        """Takes the weights of a step in."""
        self.steps += 1
        if self.decay:
            stays = min(self.decay, (1 + self.steps) / (10 + self.steps))
            torch._foreach_lerp_(self.average, self.weights, 1 - stays)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the average for its weights within, and its own again after."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for weight, average in zip(self.weights, self.average, strict=self.decay > 0):
            weight.data, average.data = average.data, weight.data


def gradient_norms(model: SentenceOrderer) -> dict[str, float]:
    """The norm of the gradient in every block that trains."""
    norms = {}
    for name, modules in model.parts.items():
        gradients = [p.grad for module in modules for p in module.parameters() if p.grad is not None]
        if gradients:
            norms[name] = float(torch.nn.utils.get_total_norm(gradients))
    return norms
