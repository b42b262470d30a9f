"""The loop's arithmetic: what is accumulated, what is frozen, what stops a run, what it leaves behind."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from sentence_order.config import FreezeConfig, OptimConfig
from sentence_order.data.examples import Batch, Examples, collate
from sentence_order.errors import TrainingError
from sentence_order.model.freezing import freeze_phases
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.training.loop import Trainer
from sentence_order.training.optimization import Schedule, WeightAverage, make_optimizer
from sentence_order.training.plan import Work, steps_from
from tests.training.trainers import corpus_of, trainer_of


def batches_of(trainer: Trainer, *sizes: int) -> list[Batch]:
    examples = iter(Examples(trainer.train, 0, 0)[k] for k in range(len(trainer.train)))
    return [collate([next(examples) for _ in range(size)]) for size in sizes]


def pairs_of(batches: list[Batch]) -> int:
    return sum(int((n * (n - 1) // 2).sum()) for n in (batch["mask"].sum(1) for batch in batches))


def weights(model: SentenceOrderer) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_accumulated_step_is_the_step_of_one_large_batch(make_model, stories, tmp_path: Path) -> None:
    """Documents of 4 to 8 sentences: means of micro-batch means would differ, sums over all pairs do not."""
    gradients = []
    for sizes in ([8], [2, 6]):
        trainer = trainer_of(model := make_model(), corpus_of(model, stories), tmp_path / str(len(sizes)))
        trainer.model.eval()  # no dropout
        trainer.stepper.optimizer.zero_grad = lambda set_to_none: None  # type: ignore[method-assign]
        batches = batches_of(trainer, *sizes)
        trainer.stepper.take(batches, pairs_of(batches))
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]))
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-4)
    assert gradients[0].norm() > 0.01


def test_run_leaves_curves_and_checkpoints(make_model, stories, tmp_path: Path) -> None:
    model = make_model()
    before = weights(model)
    trainer = trainer_of(model, corpus_of(model, stories), tmp_path, max_steps=6, eval_every=3, log_every=2)
    trainer.fit()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train/loss" in line] == [1, 2, 4, 6]
    assert [line["step"] for line in lines if "validation/tau" in line] == [3, 6]
    rates = [line["train/lr/encoder"] for line in lines if "train/lr/encoder" in line]
    assert rates == pytest.approx([8e-5 * (1 - done / 6) for done in (0, 1, 3, 5)])
    assert not torch.equal(weights(model), before)
    last = SentenceOrderer.from_pretrained(tmp_path / "checkpoints" / "last")
    assert torch.equal(weights(last), weights(model))
    assert (tmp_path / "checkpoints" / "best" / "model.safetensors").is_file()
    trainer.step = 0
    assert trainer.documents == sum(len(batch["mask"]) for work in _first(trainer, 6) for batch in work.batches)


def _first(trainer: Trainer, count: int) -> list[Work]:
    work = steps_from(trainer.step, trainer.config, trainer.train, trainer.runtime, workers=0)
    return [next(work) for _ in range(count)]


def test_epochs_end_where_they_should(make_model, stories, tmp_path: Path) -> None:
    trainer = trainer_of(model := make_model(), corpus_of(model, stories), tmp_path, epochs=2, accumulate=3)
    steps = _first(trainer, trainer.total_steps)
    assert steps[-1].after == 2.0
    assert [work.before for work in steps[1:]] == [work.after for work in steps[:-1]]
    first_epoch = [batch for work in steps if work.after <= 1 for batch in work.batches]
    rows = sorted(row for batch in first_epoch for row in batch["document"].tolist())
    assert rows == list(range(len(stories)))


def test_frozen_weights_do_not_move(make_model, stories, tmp_path: Path) -> None:
    model = make_model()
    model.freeze({0, 1, 3})
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    trainer_of(model, corpus_of(model, stories), tmp_path, max_steps=3, eval_every=3).fit()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nonfinite_loss_stops_and_names_documents(make_model, stories, tmp_path: Path, value: float) -> None:
    model = make_model()
    trainer = trainer_of(model, corpus_of(model, stories), tmp_path, max_steps=3, eval_every=1)
    plain = trainer.stepper.loss

    def broken(*arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        total, count = plain(*arguments)
        return total * (value if trainer.step == 2 else 1), count

    trainer.stepper.loss = broken
    with pytest.raises(TrainingError) as caught:
        trainer.fit()
    message = str(caught.value)
    assert message.startswith(f"step 2: the loss is {value}; documents: d")
    assert f"last good checkpoint: {tmp_path / 'checkpoints' / 'last'}, and to go on from it: " in message
    assert torch.isfinite(weights(SentenceOrderer.from_pretrained(tmp_path / "checkpoints" / "last"))).all()


def test_broken_weights_are_never_saved(make_model, stories, tmp_path: Path) -> None:
    trainer = trainer_of(model := make_model(), corpus_of(model, stories), tmp_path, max_steps=3)
    trainer._save("last")
    with torch.no_grad():
        next(trainer.model.pair_head.parameters())[0, 0] = float("inf")
    with pytest.raises(TrainingError, match=r"weights of pair_head.* not finite, and are not saved"):
        trainer._save("last")
    assert torch.isfinite(weights(SentenceOrderer.from_pretrained(tmp_path / "checkpoints" / "last"))).all()


def test_nonfinite_gradient_never_reaches_the_weights(make_model, stories, tmp_path: Path) -> None:
    model = make_model()
    trainer = trainer_of(model, corpus_of(model, stories), tmp_path, max_steps=3)
    next(model.pair_head.parameters()).register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(TrainingError, match="step 1: a gradient is not finite, first in heads; documents: d"):
        trainer.fit()
    assert torch.isfinite(weights(model)).all()


def test_optimizer_groups(make_model) -> None:
    model = make_model()
    model.freeze({0, 1})
    groups = {group["name"]: group for group in make_optimizer(model, OptimConfig()).param_groups}
    assert set(groups) == {"encoder", "encoder_no_decay", "head", "head_no_decay"}
    assert [groups[name]["lr"] for name in ("encoder", "head")] == [8e-5, 5e-4]
    assert all(parameter.ndim == 1 for parameter in groups["encoder_no_decay"]["params"])
    assert groups["head_no_decay"]["weight_decay"] == 0
    inside = {id(parameter) for group in groups.values() for parameter in group["params"]}
    assert inside == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}


def test_layers_learn_at_rates_of_their_own(make_model) -> None:
    model = make_model()
    model.freeze({0})
    groups = {group["name"]: group for group in make_optimizer(model, OptimConfig(layer_decay=0.5)).param_groups}
    parts = ("layer_0", "layer_1", "layer_2", "layer_3", "head")
    assert set(groups) == {name for part in parts for name in (part, f"{part}_no_decay")}
    assert [groups[part]["lr"] for part in parts] == pytest.approx([1e-5, 2e-5, 4e-5, 8e-5, 5e-4])
    model.freeze(set())
    embeddings = make_optimizer(model, OptimConfig(layer_decay=0.5)).param_groups[0]
    assert (embeddings["name"], embeddings["lr"]) == ("embeddings", pytest.approx(0.5e-5))


def test_schedule_warms_up_and_decays(make_model) -> None:
    config = OptimConfig(lr=1.0, warmup=0.2)
    optimizer = make_optimizer(make_model(), config)
    schedule = Schedule(optimizer, config, 10)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    assert rates == pytest.approx([0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])


@pytest.mark.parametrize("layer_decay", [1.0, 0.9])
def test_unfreezing(make_model, stories, tmp_path: Path, layer_decay: float) -> None:
    """Blocks do not move before their epoch, and from then on train in groups as if they always had."""
    model = make_model()
    config = OptimConfig(warmup=0.0, layer_decay=layer_decay, ema=0.5)
    schedule = FreezeConfig(schedule=["0:all", "0.5:1", "1:embeddings"])
    phases = freeze_phases(schedule, 4)
    model.freeze(phases[0].blocks, to_the_end=phases[-1].blocks)
    trainer = trainer_of(model, corpus_of(model, stories), tmp_path, optim=config, freeze=schedule, epochs=2)
    per_epoch = trainer.total_steps // 2
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    moved: dict[str, int] = {}
    for step in trainer.steps():
        for name, weight in model.named_parameters():
            if name not in moved and not torch.equal(weight, before[name]):
                moved[name] = step
    begins = {name: step for name, step in moved.items() if name.endswith("attention.self.query.weight")}
    half = math.ceil(per_epoch / 2) + 1
    assert [begins.get(f"encoder.encoder.layer.{k}.attention.self.query.weight") for k in range(4)] == [
        *(per_epoch + 1, half, half, half)
    ]
    assert not any("embeddings" in name for name in moved)
    assert model.config.frozen_blocks == [0]
    expected = make_optimizer(model, config).param_groups
    found = {group["name"]: group for group in trainer.stepper.optimizer.param_groups}
    assert set(found) == {group["name"] for group in expected}
    for group in expected:
        assert {id(weight) for weight in group["params"]} == {id(w) for w in found[group["name"]]["params"]}
        assert group["rate"] == found[group["name"]]["rate"]
    assert (
        len(trainer.stepper.average.average)
        == len(trainer.stepper.trained)
        == sum(len(group["params"]) for group in expected)
    )


def test_the_average_of_the_weights_by_hand() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    average = WeightAverage([weight], decay=0.9)
    for value in (1.0, 3.0):
        weight.data.fill_(value)
        average.update()
    # Of the average 2/11 stays at the first step, 3/12 at the second.
    with average.in_place():
        assert weight.item() == pytest.approx(0.25 * 9 / 11 + 0.75 * 3)
    assert weight.item() == 3.0
