"""The training loop: what is accumulated, what is frozen, what stops a run, what it leaves behind."""

import json
import math
import random
from itertools import islice
from pathlib import Path

import pytest
import torch

from sentence_order.config.components import METRICS
from sentence_order.config.schema import FreezeConfig, Metric, OptimConfig
from sentence_order.data.batching import load_batches
from sentence_order.data.examples import Batch
from sentence_order.errors import TrainingError
from sentence_order.model.freezing import freeze_phases
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.training.loop import TrainingLoop
from sentence_order.training.optimization import make_optimizer
from tests.families import RECIPES, every_recipe
from tests.training.loops import Poison, corpus_of, loop_of, train


def batches_of(loop: TrainingLoop, *sizes: int) -> list[Batch]:
    rows = iter(range(len(loop.train_corpus)))
    return [*load_batches(loop.train_corpus, [[*islice(rows, size)] for size in sizes], 0, 0)]


def pairs_of(batches: list[Batch]) -> int:
    return sum(int((n * (n - 1) // 2).sum()) for n in (batch["mask"].sum(1) for batch in batches))


def weights(model: SentenceOrdererModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def saved_weights(folder: Path, checkpoint: str) -> torch.Tensor:
    return weights(SentenceOrdererModel.from_pretrained(folder / "checkpoints" / checkpoint))


def test_accumulated_step_is_the_step_of_one_large_batch(make_model, stories, tmp_path: Path) -> None:
    """Documents of 4 to 8 sentences: means of micro-batch means would differ, sums over all pairs do not."""
    gradients: list[torch.Tensor] = []
    for sizes in ([8], [2, 6]):
        loop = loop_of(model := make_model(), corpus_of(model, stories), tmp_path / str(len(sizes)))
        trainable = loop.stepper.trainable
        loop.stepper.optimizer.register_step_pre_hook(
            lambda *_, trainable=trainable: gradients.append(torch.cat([p.grad.flatten() for p in trainable]))
        )
        batches = batches_of(loop, *sizes)
        loop.stepper.training_step(batches, pairs_of(batches), step=0)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-4)
    assert gradients[0].norm() > 0.01


def test_run_leaves_curves_and_checkpoints(make_model, stories, tmp_path: Path) -> None:
    model = make_model()
    before = weights(model)
    loop = loop_of(model, corpus_of(model, stories), tmp_path, max_steps=6, eval_every=3, log_every=2)
    train(loop)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train/loss" in line] == [1, 2, 4, 6]
    assert [line["step"] for line in lines if "validation/tau" in line] == [3, 6]
    rates = [line["train/lr/encoder"] for line in lines if "train/lr/encoder" in line]
    assert rates == pytest.approx([8e-5 * (1 - done / 6) for done in (0, 1, 3, 5)])
    best = max(line["validation/tau"] for line in lines if "validation/tau" in line)
    assert loop.progress.tasks[0].fields["note"].endswith(f", best tau {best:.3f}"), "also after the last validation"
    assert not torch.equal(weights(model), before)
    assert torch.equal(saved_weights(tmp_path, "last"), weights(model))
    assert (tmp_path / "checkpoints" / "best" / "model.safetensors").is_file()
    inputs = loop.plan.batches(start=0)
    assert loop.state.num_documents == sum(next(inputs).num_documents for _ in range(6))


@pytest.mark.parametrize(("metric", "patience"), [("tau", None), ("loss", 2)])
def test_best_checkpoint_is_that_of_the_best_validation(
    make_model, stories, tmp_path: Path, metric: str, patience: int | None
) -> None:
    """Also where the weights get worse afterwards, here by chance alone; then early stopping ends the run."""
    kept: dict[int, torch.Tensor] = {}

    def on_step(loop: TrainingLoop) -> None:
        kept[loop.state.step] = weights(loop.model)
        with torch.no_grad():
            for weight in loop.model.parameters():
                weight += 0.5 * torch.randn_like(weight)

    model, settings = make_model(), {"max_steps": 6, "eval_every": 1, "metric": Metric[metric], "patience": patience}
    loop = loop_of(model, corpus_of(model, stories), tmp_path, on_step=on_step, **settings)
    train(loop)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    values = [METRICS[metric] * line[f"validation/{metric}"] for line in lines if f"validation/{metric}" in line]
    best = 1 + values.index(max(values))
    assert loop.state.best_step == best < 6
    assert loop.state.num_bad_validations == (patience or 6 - best)
    assert torch.equal(saved_weights(tmp_path, "best"), kept[best])
    assert torch.equal(saved_weights(tmp_path, "last"), kept[len(values)])
    assert len(values) == loop.state.step == best + loop.state.num_bad_validations


@every_recipe
def test_frozen_weights_do_not_move(make_model, stories, tmp_path: Path) -> None:
    model = make_model()
    model.freeze({0, 1, 3})
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    train(loop_of(model, corpus_of(model, stories[:20]), tmp_path, max_steps=3, eval_every=3))
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name


@pytest.mark.parametrize(("value", "loss"), [(math.nan, "nan"), (-math.inf, "inf")])
def test_nonfinite_loss_stops_and_names_documents(make_model, stories, tmp_path: Path, value: float, loss: str) -> None:
    model = make_model()
    poison = Poison(model, 2, value=value)
    loop = loop_of(model, corpus_of(model, stories), tmp_path, max_steps=3, eval_every=1, on_step=poison)
    with pytest.raises(TrainingError) as caught:
        train(loop)
    message = str(caught.value)
    assert message.startswith(f"step 2: the loss is {loss}; documents: d")
    assert f"checkpoint: {tmp_path / 'checkpoints' / 'last'}; " in message
    assert f"resume={tmp_path}" in message
    assert torch.isfinite(saved_weights(tmp_path, "last")).all()


def test_broken_weights_are_never_saved(make_model, stories, tmp_path: Path) -> None:
    loop = loop_of(model := make_model(), corpus_of(model, stories), tmp_path, max_steps=3)
    loop.save_checkpoint()
    with torch.no_grad():
        next(loop.model.heads["pairs"].parameters())[0, 0] = float("inf")
    with pytest.raises(TrainingError, match=r"heads\.pairs.* NaN or infinite"):
        loop.save_checkpoint()
    assert torch.isfinite(saved_weights(tmp_path, "last")).all()


def test_nonfinite_gradient_never_reaches_the_weights(make_model, stories, tmp_path: Path) -> None:
    model = make_model()
    next(model.heads["pairs"].parameters()).register_hook(lambda gradient: gradient * float("nan"))
    loop = loop_of(model, corpus_of(model, stories), tmp_path, max_steps=3)
    with pytest.raises(TrainingError, match=r"step 1: .*gradient.* in heads; documents: d"):
        train(loop)
    assert torch.isfinite(weights(model)).all()


def test_the_share_of_decoding_is_logged_for_the_log_file(
    make_model, stories, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    train(loop_of(model := make_model(), corpus_of(model, stories), tmp_path, max_steps=2, eval_every=1))
    lines = [record for record in caplog.records if "decoding took" in record.getMessage()]
    assert [record.levelname for record in lines] == ["DEBUG", "DEBUG"]
    assert all(record.getMessage().startswith("validating: decoding took 0.") for record in lines)


def test_early_stopping_at_chance_is_reported(
    make_model, stories, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Documents in no order, whose first validation is far from a third of the training."""
    texts = [random.Random(number).sample(stories[number % 20], 4) for number in range(120)]
    model, rates = make_model(), OptimConfig(lr=0.0, head_lr=0.0)
    loop = loop_of(model, corpus_of(model, texts), tmp_path, rates, max_steps=99, eval_every=1, patience=1)
    train(loop)
    assert loop.state.step == 2
    assert len([message for message in caplog.messages if "no better than chance" in message]) == 1


def test_overfitting_ends_with_the_first_perfect_validation(make_model, stories, tmp_path: Path) -> None:
    """By whatever metric the best checkpoint is chosen; and fails if there is none."""
    config = {"max_steps": 60, "eval_every": 5, "epochs": 60, "metric": Metric["loss"]}
    rates = OptimConfig(lr=2e-3, head_lr=5e-3, warmup=0.0)
    model = make_model()
    loop = loop_of(model, corpus_of(model, stories[:2]), tmp_path / "able", rates, overfit=True, **config)
    train(loop)
    assert loop.state.last_validation["pmr"]["value"] == 1
    assert loop.state.step < 60

    model = make_model()
    frozen = OptimConfig(lr=0.0, head_lr=0.0)
    loop = loop_of(model, corpus_of(model, stories), tmp_path / "unable", frozen, overfit=True, max_steps=2)
    with pytest.raises(TrainingError, match="overfit"):
        train(loop)


@pytest.mark.parametrize(
    ("make_model", "layer_decay"), [("bert", 1.0), *((encoder, 0.9) for encoder in RECIPES)], indirect=["make_model"]
)
def test_blocks_move_from_their_epoch_on(make_model, stories, tmp_path: Path, layer_decay: float) -> None:
    """And then train in groups as if they always had."""
    model = make_model()
    config = OptimConfig(warmup=0.0, layer_decay=layer_decay, ema=0.5)
    schedule = FreezeConfig(schedule=["0:all", "0.5:1", "1:embeddings"])
    phases = freeze_phases(schedule, 4)
    model.freeze(phases[0].blocks, permanent=phases[-1].blocks)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    moved: dict[str, int] = {}

    def on_step(loop: TrainingLoop) -> None:
        for name, weight in model.named_parameters():
            if name not in moved and not torch.equal(weight, before[name]):
                moved[name] = loop.state.step

    corpus = corpus_of(model, stories[:20])
    loop = loop_of(model, corpus, tmp_path, optim=config, freeze=schedule, epochs=2, on_step=on_step)
    per_epoch = loop.plan.total_steps // 2
    train(loop)
    names = {weight: name for name, weight in model.named_parameters()}
    begins = [
        {moved.get(names[w]) for part in block for w in part.parameters() if w.ndim > 1} for block in model.blocks
    ]
    half = math.ceil(per_epoch / 2) + 1
    assert begins == [{None}, {per_epoch + 1}, {half}, {half}, {half}]
    assert model.config.frozen_blocks == [0]
    expected = make_optimizer(model, config).param_groups
    found = {group["name"]: group for group in loop.stepper.optimizer.param_groups}
    assert set(found) == {group["name"] for group in expected}
    for group in expected:
        assert {id(weight) for weight in group["params"]} == {id(w) for w in found[group["name"]]["params"]}
        assert group["rate"] == found[group["name"]]["rate"]
    trainable = sum(len(group["params"]) for group in expected)
    assert len(loop.stepper.average.average) == len(loop.stepper.trainable) == trainable
