"""One step: batches that do not fit in memory, and losses in half precision."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from sentence_order.config import DecoderConfig, DecoderName
from sentence_order.data.examples import Batch, Examples, cells, collate, halves, part_of
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import TrainingError
from sentence_order.processes import Processes
from sentence_order.training.evaluation import evaluate_corpus
from sentence_order.training.step import Stepper
from tests.training.trainers import CPU, HALF, corpus_of, train_config


@pytest.fixture(autouse=True)
def _onednn() -> Iterator[None]:
    """What runs out of memory does without it from then on."""
    yield
    torch.backends.mkldnn.set_flags(True)


def batch_of(corpus: Corpus, count: int) -> tuple[Batch, int]:
    batch = collate([Examples(corpus, 0, 0)[row] for row in range(count)])
    sizes = batch["mask"].sum(1)
    return batch, int((sizes * (sizes - 1) // 2).sum())


@pytest.mark.parametrize("cached", [None, "tokens", "sentences"])
def test_parts_are_what_would_have_been_stacked_alone(tiny_model, stories, cached: str | None) -> None:
    examples = [Examples(corpus_of(tiny_model, stories), 0, 0)[row] for row in range(5)]
    if cached:
        for example in examples:
            rows = int(example["lengths"].sum()) if cached == "tokens" else len(example["lengths"])
            example["prefix"] = torch.randn(rows, 3)
            del example["input_ids"]
    batch = collate(examples)
    for first, last in ((0, 5), (0, 2), (2, 5), (3, 4)):
        part, expected = part_of(batch, first, last), collate(examples[first:last])
        assert part.keys() == expected.keys()
        assert all(torch.equal(part[name], expected[name]) for name in expected)
    assert [len(half["mask"]) for half in halves(batch)] == [2, 3]


def no_room_for(most: int, error: Callable[[], Exception]) -> Callable[..., None]:
    """What stands before a model's forward pass and raises for batches of more tokens."""

    def look(module: torch.nn.Module, arguments: tuple[torch.Tensor, ...], options: dict[str, Any]) -> None:
        lengths = arguments[1] if arguments else options["lengths"]
        if cells({"lengths": lengths}) > most:
            raise error()

    return look


def cpu_error() -> RuntimeError:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**46)
    return caught.value


@pytest.mark.parametrize("error", [cpu_error, lambda: torch.OutOfMemoryError("CUDA out of memory"), MemoryError])
def test_a_batch_that_does_not_fit_is_split(
    make_model, stories, caplog: pytest.LogCaptureFixture, error: Callable[[], Exception]
) -> None:
    """To the same gradient, in halves of halves, also after other batches of the step were done; and said once."""
    caplog.set_level(logging.INFO)
    found = []
    for most in (None, 400):
        model = make_model().train()
        corpus = corpus_of(model, stories)
        (small, some), (large, others) = batch_of(corpus, 1), batch_of(corpus, 12)
        if most is not None:
            assert cells(small) <= most < cells(large) / 2
            model.register_forward_pre_hook(no_room_for(most, error), with_kwargs=True)
        stepper = Stepper(model, train_config(), CPU, total_steps=10)
        gradients: list[torch.Tensor] = []

        def keep(stepper: Stepper = stepper, gradients: list[torch.Tensor] = gradients) -> None:
            every = [weight.grad.flatten() for weight in stepper.trained if weight.grad is not None]
            gradients.append(torch.cat(every))

        stepper.optimizer.step = keep  # type: ignore[method-assign, assignment]
        losses = [stepper.take([small, large], some + others).loss for _ in range(2)]
        found.append((losses, gradients))
    (losses, whole), (split_losses, split) = found
    assert split_losses == pytest.approx(losses, abs=1e-5)
    assert whole[0].norm() > 0.01
    torch.testing.assert_close(torch.stack(split), torch.stack(whole), atol=1e-5, rtol=1e-3)
    (told,) = [record.getMessage() for record in caplog.records if "out of memory" in record.getMessage()]
    assert "a batch of 12 documents did not fit; from here on those of more than 382 tokens are split" in told


def test_a_document_that_does_not_fit_is_told(make_model, stories) -> None:
    model = make_model()
    batch, pairs = batch_of(corpus_of(model, stories), 2)
    model.register_forward_pre_hook(no_room_for(20, MemoryError), with_kwargs=True)
    stepper = Stepper(model, train_config(), CPU, total_steps=10)
    with pytest.raises(
        TrainingError, match=r"out of memory with a single document, of \d sentences and \d+ tokens; lower"
    ):
        stepper.take([batch], pairs)


def test_other_errors_are_not_mistaken_for_it(make_model, stories) -> None:
    model = make_model()
    batch, pairs = batch_of(corpus_of(model, stories), 2)
    model.register_forward_pre_hook(no_room_for(20, lambda: RuntimeError("shapes differ")), with_kwargs=True)
    with pytest.raises(RuntimeError, match="shapes differ"):
        Stepper(model, train_config(), CPU, total_steps=10).take([batch], pairs)


def test_what_does_not_fit_is_split_in_evaluation_and_prediction(make_model, stories) -> None:
    model = make_model()
    corpus, decoder = corpus_of(model, stories), DecoderConfig(DecoderName.exact, 64)
    whole = evaluate_corpus(model, corpus, decoder, CPU, seed=0, batch_tokens=2000, shuffles=2)
    ordered = model.predict(stories, batch_tokens=2000)
    model.register_forward_pre_hook(no_room_for(500, cpu_error), with_kwargs=True)
    split = evaluate_corpus(model, corpus, decoder, CPU, seed=0, batch_tokens=2000, shuffles=2)
    assert whole is not None
    assert split is not None
    assert split.order == whole.order
    assert split.loss == pytest.approx(whole.loss, abs=1e-6)
    assert [one.order for one in model.predict(stories, batch_tokens=2000)] == [one.order for one in ordered]
    with pytest.raises(TrainingError, match=r"out of memory with a single document, of .* tokens; leave it out"):
        model.predict([[" ".join(story) for story in stories]])


def test_half_precision_trains(make_model, stories) -> None:
    """Gradients are those of fp32, but for rounding: the scale is taken out before they are clipped."""
    norms = []
    for runtime in (CPU, HALF):
        model = make_model()
        batch, pairs = batch_of(corpus_of(model, stories), 6)
        stepper = Stepper(model, train_config(), runtime, total_steps=10)
        before = [weight.detach().clone() for weight in stepper.trained]
        taken = stepper.take([batch], pairs)
        assert taken.broken is None
        norms.append(taken.norms["train/gradient_norm"])
        assert any(not torch.equal(weight, old) for weight, old in zip(stepper.trained, before, strict=True))
    assert norms[1] == pytest.approx(norms[0], rel=0.03)


def test_overflow_in_half_precision_lowers_the_scale_and_nothing_else(make_model, stories) -> None:
    model = make_model()
    batch, pairs = batch_of(corpus_of(model, stories), 6)
    stepper = Stepper(model, train_config(), HALF, total_steps=10)
    stepper.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30)
    before = [weight.detach().clone() for weight in stepper.trained]
    taken = stepper.take([batch], pairs)
    assert not math.isfinite(taken.norms["train/gradient_norm"])
    assert taken.broken is None
    assert stepper.scaler.get_scale() == 2.0**29
    assert all(torch.equal(weight, old) for weight, old in zip(stepper.trained, before, strict=True))
    steps = 1
    while not math.isfinite(stepper.take([batch], pairs).norms["train/gradient_norm"]):
        steps += 1
        assert steps < 30
    assert any(not torch.equal(weight, old) for weight, old in zip(stepper.trained, before, strict=True))


def test_what_is_not_finite_at_any_scale_is_no_overflow(make_model, stories) -> None:
    model = make_model()
    batch, pairs = batch_of(corpus_of(model, stories), 6)
    stepper = Stepper(model, train_config(), HALF, total_steps=10)
    stepper.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    next(model.pair_head.parameters()).register_hook(lambda gradient: gradient * math.inf)
    assert stepper.take([batch], pairs).broken is not None
    plain = stepper.loss
    stepper.loss = lambda *arguments: (plain(*arguments)[0] * math.nan, plain(*arguments)[1])
    stepper.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    assert stepper.take([batch], pairs).broken == "the loss is nan"


def test_half_precision_with_anomaly_detection(make_model, stories) -> None:
    """It complains of overflow in the middle of the backward pass, of which the scaler cannot know."""
    model = make_model()
    batch, pairs = batch_of(corpus_of(model, stories), 6)
    stepper = Stepper(model, train_config(), HALF, total_steps=10)
    plain = stepper.backward

    def complains(piece: Batch, count: int) -> torch.Tensor:
        return _complain() if stepper.scaler.get_scale() > 2.0**15 else plain(piece, count)

    stepper.backward = complains  # type: ignore[method-assign]
    assert stepper.take([batch], pairs).broken is None
    assert stepper.scaler.get_scale() == 2.0**15
    assert math.isfinite(stepper.take([batch], pairs).norms["train/gradient_norm"])
    stepper.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    stepper.backward = lambda piece, count: _complain()  # type: ignore[method-assign]
    assert stepper.take([batch], pairs).broken == "Function 'MulBackward0' returned nan values in its 0th output."


def _complain() -> torch.Tensor:
    raise RuntimeError("Function 'MulBackward0' returned nan values in its 0th output.")


def test_a_share_without_documents_takes_its_part(make_model, stories) -> None:
    """In half precision too, and in the first step."""
    for runtime in (CPU, HALF):
        model = make_model()
        stepper = Stepper(model, train_config(), replace(runtime, processes=TwoOfWhichOneIsIdle(0, 2)), total_steps=10)
        assert stepper.take([], 10).broken is None
        assert all(weight.grad is None for weight in stepper.trained)


class TwoOfWhichOneIsIdle(Processes):
    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """The other one has none either."""
