"""AdamW over what trains, and the learning-rate schedule."""

from collections.abc import Iterator

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


def gradient_norms(model: SentenceOrderer) -> dict[str, float]:
    """The norm of the gradient in every block that trains."""
    norms = {}
    for name, modules in model.parts.items():
        gradients = [p.grad for module in modules for p in module.parameters() if p.grad is not None]
        if gradients:
            norms[name] = float(torch.nn.utils.get_total_norm(gradients))
    return norms
