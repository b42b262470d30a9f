"""Parameter groups, learning rates by hand, and the average of the weights."""

import math

import pytest
import torch

from sentence_order.config.schema import OptimConfig, Schedule
from sentence_order.training.optimization import (
    WeightAverage,
    add_unfrozen,
    clipped_step,
    gradient_norms,
    make_lr_factor,
    make_optimizer,
    set_learning_rates,
)
from tests.families import every_recipe

CHANGED = torch.tensor(True)  # by the step


@every_recipe
def test_groups_hold_all_trainable_weights_and_biases_do_not_decay(make_model) -> None:
    model = make_model()
    model.freeze({0, 1})
    groups = {group["name"]: group for group in make_optimizer(model, OptimConfig()).param_groups}
    assert set(groups) == {"encoder", "encoder_no_decay", "head", "head_no_decay"}
    assert [groups[name]["lr"] for name in ("encoder", "head")] == [8e-5, 5e-4]
    for name, group in groups.items():
        assert group["weight_decay"] == (0 if name.endswith("no_decay") else 0.01)
        assert all((parameter.ndim == 1) == name.endswith("no_decay") for parameter in group["params"])
    inside = {id(parameter) for group in groups.values() for parameter in group["params"]}
    assert inside == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}


@every_recipe
def test_layer_decay_gives_each_layer_its_own_rate(make_model) -> None:
    model = make_model()
    model.freeze({0})
    groups = {group["name"]: group for group in make_optimizer(model, OptimConfig(layer_decay=0.5)).param_groups}
    parts = ("layer_0", "layer_1", "layer_2", "layer_3", "head")
    assert set(groups) == {name for part in parts for name in (part, f"{part}_no_decay")}
    assert [groups[part]["lr"] for part in parts] == pytest.approx([1e-5, 2e-5, 4e-5, 8e-5, 5e-4])
    model.freeze(set())
    embeddings = make_optimizer(model, OptimConfig(layer_decay=0.5)).param_groups[0]
    assert (embeddings["name"], embeddings["lr"]) == ("embeddings", pytest.approx(0.5e-5))


@every_recipe
@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_unfrozen_weights_join_the_groups_they_would_have_been_in(make_model, layer_decay: float) -> None:
    model, config = make_model(), OptimConfig(layer_decay=layer_decay)
    model.freeze({0, 1, 2, 3, 4})
    optimizer = make_optimizer(model, config)
    for blocks in ({0, 1}, {0}):
        model.freeze(blocks)
        add_unfrozen(optimizer, model, config)
        found = {group["name"]: group for group in optimizer.param_groups}
        expected = {group["name"]: group for group in make_optimizer(model, config).param_groups}
        assert found.keys() == expected.keys()
        for name, group in expected.items():
            assert {id(weight) for weight in group["params"]} == {id(weight) for weight in found[name]["params"]}
            assert group["rate"] == found[name]["rate"]


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        # Two steps up, then eight down.
        ("linear", 0.2, [0, 1 / 2, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        ("linear", 0.0, [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
        ("cosine", 0.2, [0, 1 / 2, *((1 + math.cos(math.pi * k / 8)) / 2 for k in range(8))]),
        ("constant_with_warmup", 0.4, [0, 1 / 4, 2 / 4, 3 / 4, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_learning_rates_by_hand(schedule: str, warmup: float, expected: list[float]) -> None:
    factor = make_lr_factor(OptimConfig(schedule=Schedule[schedule], warmup=warmup), total_steps=10)
    assert [factor(step) for step in range(10)] == pytest.approx(expected)


def test_each_group_keeps_its_own_share_of_the_rate(make_model) -> None:
    optimizer = make_optimizer(make_model(), OptimConfig(lr=1e-3, head_lr=4e-3))
    for factor in (0.5, 1.0, 0.25):
        set_learning_rates(optimizer, factor)
        rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
        assert (rates["encoder"], rates["head_no_decay"]) == pytest.approx((factor * 1e-3, factor * 4e-3))


def test_average_of_the_weights_by_hand() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    average = WeightAverage([weight], decay=0.9)
    for value in (1.0, 3.0):
        weight.data.fill_(value)
        average.update(CHANGED)
        average.update(~CHANGED)  # which is as if the step had not been
    # Of the average 2/11 stays at the first step, 3/12 at the second.
    with average.applied():
        assert weight.item() == pytest.approx(0.25 * 9 / 11 + 0.75 * 3)
    assert weight.item() == 3.0

    added = torch.nn.Parameter(torch.full((1,), 5.0))
    average.add([added])
    with average.applied():
        assert added.item() == 5.0  # as yet the weight itself
    added.data.fill_(9.0)
    average.update(CHANGED)
    with average.applied():
        assert added.item() == pytest.approx(4 / 13 * 5 + 9 / 13 * 9)


def test_without_a_decay_there_is_no_average() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    average = WeightAverage([weight], decay=0.0)
    average.update(CHANGED)
    with average.applied():
        assert weight.item() == 1.0
    assert average.average == []


def test_gradient_norms_of_blocks_add_up_to_that_of_all(make_model) -> None:
    model = make_model()
    model.freeze({0, 1})
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator) if weight.requires_grad else None
    norms = gradient_norms(model)
    assert list(norms) == ["layer_1", "layer_2", "layer_3", "set_layers", "heads"]
    total = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]).norm()
    assert math.hypot(*norms.values()) == pytest.approx(total.item(), rel=1e-5)


@pytest.mark.parametrize("max_norm", [0.5, 1e4, math.inf])
def test_clipped_steps_equal_clipping_and_then_stepping(make_model, max_norm: float) -> None:
    models = [make_model(), make_model()]
    optimizers = [make_optimizer(model, OptimConfig()) for model in models]
    for seed in range(3):
        for model in models:
            generator = torch.Generator().manual_seed(seed)
            for weight in model.parameters():
                weight.grad = torch.randn(weight.shape, generator=generator)
        torch.nn.utils.clip_grad_norm_(models[0].parameters(), max_norm)
        optimizers[0].step()
        total_norm = torch.nn.utils.get_total_norm([weight.grad for weight in models[1].parameters()])
        clipped_step(optimizers[1], total_norm, max_norm, ~CHANGED)
    for expected, weight in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(weight, expected)


def test_a_skipped_step_changes_nothing(make_model) -> None:
    """Not even the number of steps that AdamW corrects its moments by."""
    model = make_model()
    optimizer = make_optimizer(model, OptimConfig())
    for weight in model.parameters():
        weight.grad = torch.full_like(weight, math.nan)
    before = [weight.detach().clone() for weight in model.parameters()]
    clipped_step(optimizer, torch.tensor(math.nan), 1.0, CHANGED)
    assert all(torch.equal(weight, old) for weight, old in zip(model.parameters(), before, strict=True))
    for state in optimizer.state.values():
        assert state["step"] == 0
        assert not state["exp_avg"].any()
        assert not state["exp_avg_sq"].any()
