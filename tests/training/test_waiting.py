"""A step does not wait for the device, and what it computes there is read once in a while."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from benchmarks.families import make_settings
from sentence_order.config.components import HEADS, LOSSES
from sentence_order.config.schema import DebugConfig, OnNonfinite, OptimConfig
from sentence_order.data.examples import Batch, split_batch
from sentence_order.errors import TrainingError
from sentence_order.model.families import FAMILIES
from sentence_order.model.freezing import Phase
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime
from sentence_order.training import step as step_module
from sentence_order.training.loop import TrainingLoop
from sentence_order.training.step import Stepper, choose_reading
from tests.model.test_heads import MODELS
from tests.no_numbers import META, leave_autocast_out, no_waiting
from tests.records import lines_without_clock
from tests.training.loops import corpus_of, loop_of, train, train_config
from tests.training.test_diagnose import spoil_document
from tests.training.test_step import batch_of


class FusedStandIn(torch.optim.SGD):
    """Reads what the fused optimizer reads, which exists for real devices alone, and likewise asks nothing."""

    grad_scale: torch.Tensor
    found_inf: torch.Tensor

    def __init__(self, model: SentenceOrdererModel) -> None:
        super().__init__([{"params": [*model.parameters()], "rate": 1.0}])
        self.num_updates = 0

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in (weight for weight in group["params"] if weight.grad is not None):
                weight -= group["lr"] * (1 - self.found_inf) * weight.grad / self.grad_scale
                self.num_updates += 1


def backward_on_device(model: SentenceOrdererModel, batch: Batch, num_pairs: int, monkeypatch) -> None:
    """The forward and backward passes of a step on the device without numbers, where the lengths are not."""
    stepper = Stepper(model, OptimConfig(), Runtime(torch.device("cpu")), total_steps=10)
    model.to(META)
    stepper.gradients.module.runtime = Runtime(META)
    stepper.one = stepper.one.to(META)
    on_device = {name: tensor if name == "lengths" else tensor.to(META) for name, tensor in batch.items()}
    with monkeypatch.context() as patches:  # once before, since some tables are made once
        leave_autocast_out(patches)
        stepper.backward(on_device, 1 / num_pairs)
    with no_waiting(monkeypatch):
        for part in (on_device, *split_batch(on_device)):  # one that does not fit in memory is split
            assert stepper.backward(part, 1 / num_pairs).device == META
    assert any(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize("make_model", sorted(FAMILIES.keys() & make_settings().keys()), indirect=True)
def test_encoders_do_not_wait(make_model, stories, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(dropout=0.1, attention_dropout=0.1).train()
    model.freeze({0, 1})
    backward_on_device(model, *batch_of(corpus_of(model, stories), 6), monkeypatch)


@pytest.mark.parametrize("name", MODELS)
def test_heads_do_not_wait(make_model, stories, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    model = make_model(**MODELS[name]).train()
    backward_on_device(model, *batch_of(corpus_of(model, stories), 6), monkeypatch)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_do_not_wait(make_model, stories, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Of documents of 4 to 12 sentences."""
    heads = [next(head for head, own in HEADS.items() if score in own.scores) for score in LOSSES[name].scores]
    model = make_model(heads=heads, loss={name: 1.0}).train()
    documents = [*stories[:6], [*stories[6], *stories[7]][:12]]
    backward_on_device(model, *batch_of(corpus_of(model, documents), 7), monkeypatch)


def test_a_step_does_not_wait(make_model, stories, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a moving average."""
    model = make_model().train()
    batch, num_pairs = batch_of(corpus_of(model, stories), 6)
    monkeypatch.setattr(step_module, "make_optimizer", lambda model, _: FusedStandIn(model))
    on_device = {name: tensor if name == "lengths" else tensor.to(META) for name, tensor in batch.items()}
    stepper = Stepper(model.to(META), OptimConfig(ema=0.9), Runtime(META), total_steps=10)
    with monkeypatch.context() as patches:  # once before, since some tables are made once
        leave_autocast_out(patches)
        stepper.training_step([on_device], num_pairs, 0)
    with no_waiting(monkeypatch):
        output = stepper.training_step([on_device, on_device], 2 * num_pairs, 0)
    assert {output.loss.device, output.is_nonfinite.device, stepper.has_stopped.device} == {META}
    assert stepper.optimizer.num_updates == 2 * sum(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).all()),
        lambda x: x[x > 0],
        lambda x: x.masked_select(x > 0),
        lambda x: x[torch.arange(2)],
        lambda x: x.index_select(0, torch.arange(2)),
        lambda x: x.new_tensor([1.0, 2.0]),
        lambda x: torch.arange(2).to(x.device),
    ],
)
def test_what_waits_is_noticed(monkeypatch: pytest.MonkeyPatch, wait) -> None:
    with no_waiting(monkeypatch), pytest.raises((RuntimeError, NotImplementedError, AssertionError)):
        wait(torch.empty(3, 4, device=META))


def looking_away(loop: TrainingLoop) -> TrainingLoop:
    """A loop that reads the numbers of its steps as one on CUDA does."""
    loop.reads_every_step = False
    return loop


def test_steps_that_are_read_later_are_the_same_steps(make_model, stories, tmp_path: Path) -> None:
    """With a save between two lines, and a moving average."""
    loops = []
    for is_late in (False, True):
        model = make_model(dropout=0.1)
        settings = {"max_steps": 10, "log_every": 4, "save_every": 3, "eval_every": 5, "optim": OptimConfig(ema=0.9)}
        loop = loop_of(model, corpus_of(model, stories), tmp_path / str(is_late), **settings)
        train(looking_away(loop) if is_late else loop)
        loops.append(loop)
    assert lines_without_clock(loops[0].folder) == lines_without_clock(loops[1].folder)
    states = [loop.stepper.state_dict() for loop in loops]
    for one, other in zip(*([*state["weights"], *state["average"]] for state in states), strict=True):
        assert torch.equal(one, other)
    assert states[0]["average_steps"].item() == states[1]["average_steps"].item() == 10


@pytest.mark.parametrize("event", ["a line", "a validation", "a save", "a phase", "the end", "a signal", "a callback"])
def test_nothing_changes_after_a_step_that_is_not_finite(make_model, stories, tmp_path: Path, event: str) -> None:
    """Until it is read, which is reported as of that step: weights, their average, the batch that is kept.

    A phase of `freeze.schedule` would add weights that train.
    """
    model = make_model()
    corpus = corpus_of(model, stories)
    model.freeze({0})  # so that a step does not change the broken weights
    row = spoil_document(model, corpus)
    weights: list[list[torch.Tensor]] = []
    num_averaged: list[int] = []

    def record(loop: TrainingLoop) -> None:
        weights.append([weight.detach().clone() for weight in loop.stepper.trainable])
        num_averaged.append(loop.stepper.average.num_steps.item())
        if loop.state.step == broken + 1:  # so that it is heeded after the next step
            loop.signals.stop = signal.SIGTERM if event == "a signal" else None
            loop.callbacks.stop_requested = event == "a callback"

    due = {"a line": {"log_every": 1}, "a validation": {"eval_every": 1}, "a save": {"save_every": 1}}.get(event, {})
    settings = {"max_steps": 40, "log_every": 100, "eval_every": 100, "optim": OptimConfig(ema=0.9, warmup=0.0)}
    loop = looking_away(loop_of(model, corpus, tmp_path, on_step=record, **settings))
    plan = loop.plan.batches(start=0)
    broken = next(step for step, inputs in enumerate(plan, 1) if row in inputs.batches[0]["document"])
    assert broken > 1
    if event == "a phase":
        next(plan)
        loop.pending_phases = [Phase(next(plan).epoch_before, frozenset())]
    for key in due:
        setattr(loop.config.trainer, key, broken + 2)
    loop.plan.eval_every = loop.config.trainer.eval_every or 100
    with pytest.raises(TrainingError, match=f"^step {broken}: the loss is nan, first in embeddings; documents: d{row}"):
        train(loop)
    assert loop.state.step == broken
    assert len(weights) >= broken + 1
    for later in [*weights[broken - 1 :], loop.stepper.trainable]:
        assert all(torch.equal(one, other) for one, other in zip(later, weights[broken - 2], strict=True))
    assert num_averaged[broken - 2 :] == [broken - 1] * len(num_averaged[broken - 2 :])
    (kept,) = (tmp_path / "nonfinite").iterdir()
    with safe_open(kept, framework="pt") as file:
        assert f"d{row}" in json.loads(file.metadata()["ids"])


@pytest.mark.parametrize(
    ("device", "anomaly", "on_nonfinite", "expected"),
    [
        ("cpu", False, OnNonfinite.stop, True),
        ("cuda", False, OnNonfinite.stop, False),
        ("cuda", True, OnNonfinite.stop, True),
        ("cuda", False, OnNonfinite.skip, True),
    ],
)
def test_when_steps_are_read(
    device: str, anomaly: bool, on_nonfinite: OnNonfinite, expected: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Logged once, with the reason."""
    caplog.set_level("DEBUG")
    config = replace(train_config(), debug=DebugConfig(anomaly=anomaly), on_nonfinite=on_nonfinite)
    assert choose_reading(torch.device(device), config) == expected
    (message,) = (record.getMessage() for record in caplog.records)
    assert message.startswith("losses are read after each step (" if expected else "losses are read when a line is")
