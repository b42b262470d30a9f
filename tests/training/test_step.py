"""One step: batches that do not fit in memory, and losses in half precision."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sentence_order.config.schema import DecoderConfig, DecoderName, OptimConfig
from sentence_order.data.batching import load_batches
from sentence_order.data.examples import Batch, CachedHiddenStates, padded_size, slice_batch, split_batch
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import TrainingError
from sentence_order.evaluation.evaluator import evaluate_corpus
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.model.linear import place_model
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime
from sentence_order.training.step import Stepper
from tests.families import OTHERS, RECIPES
from tests.training.loops import CPU, HALF, Poison, corpus_of

# The weights stay as they are, so that several steps can be compared.
STANDSTILL = OptimConfig(lr=0.0, head_lr=0.0, weight_decay=0.0, warmup=0.0)


@pytest.fixture(autouse=True)
def onednn() -> Iterator[None]:
    """What runs out of memory does without it from then on."""
    yield
    torch.backends.mkldnn.set_flags(True)


def stepper_of(model: SentenceOrdererModel, runtime: Runtime = CPU, optim: OptimConfig | None = None) -> Stepper:
    return Stepper(model, optim or OptimConfig(warmup=0.0), runtime, total_steps=10)


def batch_of(corpus: Corpus, count: int) -> tuple[Batch, int]:
    (batch,) = load_batches(corpus, [range(count)], 0, 0)
    sizes = batch["mask"].sum(1)
    return batch, int((sizes * (sizes - 1) // 2).sum())


def copies(weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in weights]


def equal(weights: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(weight, other) for weight, other in zip(weights, others, strict=True))


@pytest.mark.parametrize("cached", [None, "tokens", "sentences"])
def test_a_slice_is_a_batch_of_its_own(tiny_model, stories, cached: str | None) -> None:
    corpus = corpus_of(tiny_model, stories)
    if cached:
        count = corpus.lengths if cached == "tokens" else np.ones_like(corpus.lengths)
        states = np.random.default_rng(0).standard_normal((count.sum(), 3))
        own = CachedHiddenStates([states], np.zeros_like(count), count.cumsum() - count, count)
        corpus = replace(corpus, states=own)
    (batch,) = load_batches(corpus, [range(5)], 0, 0)
    for first, last in ((0, 5), (0, 2), (2, 5), (3, 4)):
        part, (expected,) = slice_batch(batch, first, last), load_batches(corpus, [range(first, last)], 0, 0)
        assert part.keys() == expected.keys()
        assert all(torch.equal(part[name], expected[name]) for name in expected)
    assert [len(half["mask"]) for half in split_batch(batch)] == [2, 3]


def no_room_for(most: int, error: Callable[[], Exception]) -> Callable[..., None]:
    """What stands before a model's forward pass and raises for batches of more tokens."""

    def look(module: torch.nn.Module, arguments: tuple[torch.Tensor, ...], options: dict[str, Any]) -> None:
        lengths = arguments[1] if len(arguments) > 1 else options["lengths"]
        if padded_size({"lengths": lengths}) > most:
            raise error()

    return look


def cpu_error() -> RuntimeError:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**46)
    return caught.value


@pytest.mark.parametrize(
    ("make_model", "error"),
    [
        ("bert", cpu_error),
        ("bert", lambda: torch.OutOfMemoryError("CUDA out of memory")),
        *((encoder, MemoryError) for encoder in RECIPES),
    ],
    indirect=["make_model"],
)
def test_a_batch_that_does_not_fit_is_split_to_the_same_gradient(
    make_model, stories, caplog: pytest.LogCaptureFixture, error: Callable[[], Exception]
) -> None:
    """In halves of halves, also after other batches of the step were done; from then on at once."""
    caplog.set_level(logging.INFO)
    found = []
    for most in (None, 400):
        model = make_model().train()
        corpus = corpus_of(model, stories)
        (small, some), (large, others) = batch_of(corpus, 1), batch_of(corpus, 12)
        stepper, gradients = stepper_of(model, optim=STANDSTILL), []
        stepper.optimizer.register_step_pre_hook(
            lambda *_, trainable=stepper.trainable, gradients=gradients: gradients.append(
                torch.cat([weight.grad.flatten() for weight in trainable if weight.grad is not None])
            )
        )
        if most is not None:
            assert padded_size(small) <= most < padded_size(large) / 2
            model.register_forward_pre_hook(no_room_for(most, error), with_kwargs=True)
        losses, complaints = [], []
        for step in range(2):
            losses.append(stepper.training_step([small, large], some + others, step).loss.item())
            complaints.append(caplog.text.count("out of memory"))
        found.append((losses, gradients))
    (losses, whole), (split_losses, split) = found
    assert split_losses == pytest.approx(losses, abs=1e-5)
    assert whole[0].norm() > 0.01
    torch.testing.assert_close(torch.stack(split), torch.stack(whole), atol=1e-5, rtol=1e-3)
    assert complaints[0] == complaints[1] > 0
    assert stepper.limit.max_padded_size is not None
    assert 200 < stepper.limit.max_padded_size <= 400


def gradient_of(stepper: Stepper, batch: Batch, pairs: int) -> torch.Tensor:
    """The gradient of a step, by the state of the random generators that tests begin with."""
    found: list[torch.Tensor] = []
    stepper.optimizer.register_step_pre_hook(
        lambda *_: found.append(torch.cat([weight.grad.flatten() for weight in stepper.trainable]))
    )
    torch.manual_seed(0)
    stepper.training_step([batch], pairs, 0)
    return found[0]


@pytest.mark.parametrize(
    ("make_model", "frozen", "precision"),
    [
        *(
            ("bert", frozen, precision)
            for frozen in (set(), {0, 1, 3})
            for precision in (torch.float32, torch.bfloat16)
        ),
        *((encoder, {0, 1, 3}, torch.float32) for encoder in OTHERS),
    ],
    indirect=["make_model"],
)
def test_gradient_checkpointing_gives_the_same_gradient_in_less_memory(
    make_model, stories, frozen: set[int], precision: torch.dtype
) -> None:
    """To the last bit, with dropout, and with layers that are frozen below and between."""
    gradients, sizes = [], []
    for enabled in (False, True):
        model = make_model(dropout=0.2, attention_dropout=0.2)
        model.freeze(frozen)
        model.gradient_checkpointing = enabled
        runtime = place_model(model, Runtime(torch.device("cpu"), precision))
        batch, pairs = batch_of(corpus_of(model, stories), 12)
        stored: dict[int, int] = {}

        def store(tensor: torch.Tensor, stored: dict[int, int] = stored) -> torch.Tensor:
            storage = tensor.untyped_storage()
            stored[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(store, lambda tensor: tensor):
            gradients.append(gradient_of(stepper_of(model.train(), runtime), batch, pairs))
        sizes.append(sum(stored.values()))
    assert torch.equal(*gradients)
    assert gradients[0].norm() > 0.01
    assert sizes[1] < sizes[0] * (0.6 if frozen else 0.4)


def test_a_batch_that_does_not_fit_when_it_is_computed_again_is_split(make_model, stories) -> None:
    """With gradient checkpointing, in the backward pass."""
    gradients = []
    for full in (False, True):
        model = make_model().train()
        model.gradient_checkpointing = True
        batch, pairs = batch_of(corpus_of(model, stories), 12)
        calls: list[int] = []

        def look(*_: Any, calls: list[int] = calls, full: bool = full) -> None:
            calls.append(0)
            if full and len(calls) == 2:
                raise MemoryError

        model.set_layers[0].register_forward_pre_hook(look)
        gradients.append(gradient_of(stepper_of(model, optim=STANDSTILL), batch, pairs))
        assert len(calls) == (6 if full else 2)
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-3)


def test_a_document_that_does_not_fit_is_an_error(make_model, stories) -> None:
    model = make_model()
    batch, pairs = batch_of(corpus_of(model, stories), 2)
    model.register_forward_pre_hook(no_room_for(20, MemoryError), with_kwargs=True)
    with pytest.raises(TrainingError, match="single document"):
        stepper_of(model).training_step([batch], pairs, 0)


def test_other_errors_are_not_mistaken_for_lack_of_memory(make_model, stories) -> None:
    model = make_model()
    batch, pairs = batch_of(corpus_of(model, stories), 2)
    model.register_forward_pre_hook(no_room_for(20, lambda: RuntimeError("shapes differ")), with_kwargs=True)
    with pytest.raises(RuntimeError, match="shapes differ"):
        stepper_of(model).training_step([batch], pairs, 0)


def test_what_does_not_fit_is_split_in_evaluation_and_prediction(make_model, stories) -> None:
    model = make_model()
    orderer = SentenceOrderer(model)
    corpus, decoder = corpus_of(model, stories), DecoderConfig(DecoderName["exact"], 64)
    whole = evaluate_corpus(model, corpus, decoder, CPU, seed=0, batch_tokens=2000, shuffles=2)
    ordered = orderer.predict(stories, batch_tokens=2000)
    model.register_forward_pre_hook(no_room_for(500, cpu_error), with_kwargs=True)
    split = evaluate_corpus(model, corpus, decoder, CPU, seed=0, batch_tokens=2000, shuffles=2)
    assert whole is not None
    assert split is not None
    assert split.order == whole.order
    assert split.loss == pytest.approx(whole.loss, abs=1e-6)
    assert [one.order for one in orderer.predict(stories, batch_tokens=2000)] == [one.order for one in ordered]
    with pytest.raises(TrainingError, match="single document"):
        orderer.predict([[" ".join(story) for story in stories]])


def test_half_precision_trains(make_model, stories) -> None:
    """Gradients are those of fp32, but for rounding: the scale is taken out before they are clipped."""
    norms = []
    for runtime in (CPU, HALF):
        model = make_model()
        batch, pairs = batch_of(corpus_of(model, stories), 6)
        stepper = stepper_of(model, runtime)
        before = copies(stepper.trainable)
        output = stepper.training_step([batch], pairs, 0)
        assert output.nonfinite_reason is None
        norms.append(output.gradient_norms["train/gradient_norm"].item())
        assert not equal(stepper.trainable, before)
    assert norms[1] == pytest.approx(norms[0], rel=0.03)


def test_overflow_in_half_precision_lowers_the_scale_and_nothing_else(make_model, stories) -> None:
    model = make_model()
    batch, pairs = batch_of(corpus_of(model, stories), 6)
    stepper = stepper_of(model, HALF)
    stepper.scaler.update(2.0**30)
    before = copies(stepper.trainable)
    output = stepper.training_step([batch], pairs, 0)
    assert not math.isfinite(output.gradient_norms["train/gradient_norm"])
    assert output.nonfinite_reason is None
    assert stepper.scaler.get_scale() == 2.0**29
    assert equal(stepper.trainable, before)
    for _ in range(30):
        output = stepper.training_step([batch], pairs, 1)
        if math.isfinite(output.gradient_norms["train/gradient_norm"]):
            break
    assert not equal(stepper.trainable, before)


def test_what_is_not_finite_at_any_scale_is_no_overflow(make_model, stories) -> None:
    model = make_model()
    batch, pairs = batch_of(corpus_of(model, stories), 6)
    stepper = stepper_of(model, HALF)
    stepper.scaler.update(1.0)
    handle = next(model.heads["pairs"].parameters()).register_hook(lambda gradient: gradient * math.inf)
    assert stepper.training_step([batch], pairs, 0).nonfinite_reason is not None
    handle.remove()
    stepper.scaler.update(2.0**16)
    Poison(model.train(), 1)
    reason = stepper.training_step([batch], pairs, 0).nonfinite_reason
    assert reason is not None
    assert "loss" in reason


def test_overflow_that_anomaly_detection_reports_lowers_the_scale(make_model, stories) -> None:
    """It raises in the middle of the backward pass, and the scaler cannot know of it."""
    model = make_model()
    batch, pairs = batch_of(corpus_of(model, stories), 6)
    stepper = Stepper(model, OptimConfig(warmup=0.0), HALF, total_steps=10, anomaly=True)
    bearable = 2.0**15

    def complain(gradient: torch.Tensor) -> None:
        if stepper.scaler.get_scale() > bearable:
            raise RuntimeError("Function 'MulBackward0' returned nan values in its 0th output.")

    next(model.heads["pairs"].parameters()).register_hook(complain)
    assert stepper.training_step([batch], pairs, 0).nonfinite_reason is None
    assert stepper.scaler.get_scale() == 2.0**15
    output = stepper.training_step([batch], pairs, 0)
    assert output.nonfinite_reason is None
    assert math.isfinite(output.gradient_norms["train/gradient_norm"])
    bearable = 0.0
    stepper.scaler.update(1.0)
    assert "MulBackward0" in str(stepper.training_step([batch], pairs, 0).nonfinite_reason)


def test_a_batch_of_an_idle_process_has_no_weight(make_model, stories) -> None:
    """It has a gradient of zeros, so that other processes need not wait for one."""
    for runtime in (CPU, HALF):
        model = make_model()
        batch, pairs = batch_of(corpus_of(model, stories), 1)
        stepper, gradients = stepper_of(model, runtime), []
        stepper.optimizer.register_step_pre_hook(
            lambda *_, stepper=stepper, gradients=gradients: gradients.extend(w.grad for w in stepper.trainable)
        )
        output = stepper.training_step([batch], pairs, 0, is_idle=True)
        assert output.nonfinite_reason is None
        assert output.loss == 0
        assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_a_lack_of_memory_ends_a_step_for_which_others_wait(make_model, stories, monkeypatch) -> None:
    """Its batch is not split: some gradients may have been sent already."""
    model = make_model()
    batch, pairs = batch_of(corpus_of(model, stories), 6)
    stepper = stepper_of(model)
    monkeypatch.setattr(stepper.gradients, "overlaps", lambda largest_share: True)
    model.register_forward_pre_hook(no_room_for(20, MemoryError), with_kwargs=True)
    with pytest.raises(TrainingError, match=r"out of memory with a batch no larger than those before"):
        stepper.training_step([batch], pairs, 0, largest_share=1)
