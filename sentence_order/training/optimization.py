"""AdamW over what trains, the learning-rate schedule, and the average of the weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import SchedulerType, get_scheduler

from sentence_order.config import OptimConfig
from sentence_order.model.modeling import SentenceOrderer


def make_optimizer(model: SentenceOrderer, config: OptimConfig) -> torch.optim.AdamW:
    """Fused AdamW over the parameters that train only, in named groups; biases and the weights of norms do not decay.

    The encoder and the rest have learning rates of their own. With `optim.layer_decay` every block of the encoder has
    one, the highest layer's being `optim.lr` (Howard and Ruder 2018; Sun et al. 2019, "How to fine-tune BERT for text
    classification?"). A group keeps its rate as `rate`; `lr` is what the schedule makes of it.
    """
    return torch.optim.AdamW(_groups(model, config), betas=(config.betas[0], config.betas[1]), fused=True)


def add_unfrozen(optimizer: torch.optim.Optimizer, model: SentenceOrderer, config: OptimConfig) -> None:
    """Adds the parameters that have begun to train to the groups that they belong to."""
    there = {group["name"]: group for group in optimizer.param_groups}
    known = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    for group in _groups(model, config):
        if group["name"] not in there:
            optimizer.add_param_group(group)
        else:
            there[group["name"]]["params"] += [new for new in group["params"] if new not in known]


def _groups(model: SentenceOrderer, config: OptimConfig) -> list[dict[str, Any]]:
    top = len(model.blocks) - 1
    groups: dict[str, dict[str, Any]] = {}
    for number, (block, modules) in enumerate(model.parts.items()):
        if number > top:
            part, rate = "head", config.head_lr
        elif config.layer_decay == 1:
            part, rate = "encoder", config.lr
        else:
            part, rate = block, config.lr * config.layer_decay ** (top - number)
        for parameter in (parameter for module in modules for parameter in module.parameters()):
            if parameter.requires_grad:
                decays = parameter.ndim > 1
                name = part if decays else f"{part}_no_decay"
                weight_decay = config.weight_decay if decays else 0.0
                fresh = {"name": name, "params": [], "lr": rate, "rate": rate, "weight_decay": weight_decay}
                groups.setdefault(name, fresh)["params"].append(parameter)
    return list(groups.values())


class Schedule:
    """Sets the rate of every group: warm-up over the share `optim.warmup` of all steps, then the decay that
    `optim.schedule` names.

    It is the library's, which runs on a stand-in, so that an optimizer's groups may grow and join later.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, config: OptimConfig, steps: int) -> None:
        self.optimizer = optimizer
        self._stand_in = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=1.0)
        warmup = round(config.warmup * steps)
        self._shares = get_scheduler(SchedulerType(config.schedule.value), self._stand_in, warmup, steps)
        self.apply()

    def step(self) -> None:
        """Goes on to the rates of the next step."""
        self._stand_in.step()
        self._shares.step()
        self.apply()

    def apply(self) -> None:
        """Gives all groups, new ones too, the rate of this step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._shares.get_last_lr()[0] * group["rate"]

    def go_to(self, step: int) -> None:
        """Sets the rates that hold after so many steps."""
        for _ in range(step):
            self.step()


class WeightAverage:
    """An exponential moving average of the weights that train, which stands in for them where they are judged or kept.

    At step t a share of `min(decay, (1 + t) / (10 + t))` of it stays, so that it soon forgets where it began (Polyak
    and Juditsky 1992, "Acceleration of stochastic approximation by averaging"). With a decay of 0 it is the weights.
    """

    def __init__(self, weights: Sequence[nn.Parameter], decay: float) -> None:
        self.weights: list[torch.Tensor] = list(weights)
        self.decay, self.steps = decay, 0
        self.average = self._copies(self.weights)

    def _copies(self, weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [weight.detach().clone() for weight in weights] if self.decay else []

    def add(self, weights: Sequence[nn.Parameter]) -> None:
        """Takes weights in that have begun to train; so far their average is themselves."""
        self.weights += weights
        self.average += self._copies(weights)

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
