"""AdamW over the trainable parameters, the learning rate, and the average of the weights."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import SchedulerType, get_scheduler

from sentence_order.config.schema import OptimConfig
from sentence_order.model.modeling import SentenceOrdererModel


def make_optimizer(model: SentenceOrdererModel, config: OptimConfig) -> torch.optim.AdamW:
    """Fused AdamW over the trainable parameters, in named groups; biases and the weights of norms do not decay.

    Encoder and heads have separate learning rates. With `optim.layer_decay` every block of the encoder has its own,
    that of the highest layer being `optim.lr` (Howard and Ruder 2018; Sun et al. 2019, "How to fine-tune BERT for text
    classification?"). The `rate` of a group is that at its peak, `lr` the present one.
    """
    return torch.optim.AdamW(_groups(model, config), betas=(config.betas[0], config.betas[1]), fused=True)


def add_unfrozen(optimizer: torch.optim.Optimizer, model: SentenceOrdererModel, config: OptimConfig) -> None:
    """Adds newly trainable parameters to their groups."""
    existing = {group["name"]: group for group in optimizer.param_groups}
    known = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    for group in _groups(model, config):
        if group["name"] not in existing:
            optimizer.add_param_group(group)
        else:
            existing[group["name"]]["params"] += [new for new in group["params"] if new not in known]


def _groups(model: SentenceOrdererModel, config: OptimConfig) -> list[dict[str, Any]]:
    top = model.num_layers
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


def make_lr_factor(config: OptimConfig, total_steps: int) -> Callable[[int], float]:
    """The learning rate as a function of the steps done, as a factor of each group's own rate.

    It rises linearly over the share `optim.warmup` of all steps and then decays as `optim.schedule` names.
    """
    placeholder = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=1.0)
    warmup = round(config.warmup * total_steps)
    scheduler = get_scheduler(SchedulerType(config.schedule.value), placeholder, warmup, total_steps)
    return scheduler.lr_lambdas[0]


def clipped_step(optimizer: torch.optim.AdamW, total_norm: Tensor, max_norm: float, is_skipped: Tensor) -> None:
    """A step with the gradients clipped to a norm, as `torch.nn.utils.clip_grad_norm_` clips them, or none.

    The fused optimizer divides gradients as it reads them, which saves writing all of them before, and looks itself
    whether the step is skipped, which the host need not know. It takes both as a `GradScaler` passes them.
    """
    optimizer.grad_scale = ((total_norm + 1e-6) / max_norm).clamp(min=1)  # type: ignore[attr-defined]
    optimizer.found_inf = is_skipped.float()  # type: ignore[attr-defined]
    optimizer.step()
    optimizer.grad_scale = optimizer.found_inf = None  # type: ignore[attr-defined]


def set_learning_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Gives every parameter group its learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group["rate"]


class WeightAverage:
    """An exponential moving average of the trainable weights, which replaces them in evaluation and in checkpoints.

    At step t a share of `min(decay, (1 + t) / (10 + t))` of it is kept, so that the initial weights are soon forgotten
    (Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging"). With a decay of 0 there is no
    average.
    """

    def __init__(self, weights: Sequence[nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.num_steps = torch.zeros((), dtype=torch.long, device=weights[0].device)
        self.weights: list[torch.Tensor] = []
        self.average: list[torch.Tensor] = []
        self.add(weights)

    def add(self, weights: Sequence[nn.Parameter]) -> None:
        """Adds newly trainable weights, whose average is as yet the weights themselves."""
        self.weights += weights
        if self.decay:
            self.average += [weight.detach().clone() for weight in weights]

    @torch.no_grad()
    def update(self, has_changed: Tensor) -> None:
        """Adds the weights to the average, if the step has changed them."""
        self.num_steps += has_changed
        if self.decay:
            kept = ((1 + self.num_steps) / (10 + self.num_steps)).clamp(max=self.decay)
            torch._foreach_lerp_(self.average, self.weights, [(1 - kept) * has_changed] * len(self.weights))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block, the model's weights are the average."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for weight, average in zip(self.weights, self.average, strict=self.decay > 0):
            weight.data, average.data = average.data, weight.data


def gradient_norms(model: SentenceOrdererModel) -> dict[str, Tensor]:
    """The norm of the gradient in every trainable block."""
    norms = {}
    for name, modules in model.parts.items():
        gradients = [p.grad for module in modules for p in module.parameters() if p.grad is not None]
        if gradients:
            norms[name] = torch.nn.utils.get_total_norm(gradients)
    return norms
