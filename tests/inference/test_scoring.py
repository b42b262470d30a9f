"""On CUDA the next batch has been started when scores are read, and all results are those of a CPU to the last bit."""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch
from torch import Tensor

from sentence_order.config.schema import DecoderConfig, DecoderName
from sentence_order.data.batching import load_batches, make_batches
from sentence_order.data.tokenization import Corpus
from sentence_order.decoding import decode
from sentence_order.decoding.distribution import OrderDistribution
from sentence_order.decoding.exact import exact_order
from sentence_order.decoding.scores import Scores
from sentence_order.evaluation import evaluator
from sentence_order.evaluation.evaluator import Evaluation, evaluate_corpus
from sentence_order.inference import ordering, scoring
from sentence_order.inference.calibration import log_odds
from sentence_order.inference.ordering import order_documents
from sentence_order.inference.scoring import decode_batch, one_ahead, score_batch
from sentence_order.model import limits
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime
from tests.model.test_heads import MODELS
from tests.no_numbers import META, leave_autocast_out, no_waiting
from tests.training.loops import CPU, corpus_of
from tests.training.test_step import batch_of

CUDA = Runtime(torch.device("cuda"))
SETTINGS: dict[str, Any] = {"seed": 3, "batch_tokens": 1300}


class Device:
    """A stand-in for CUDA, whose scores reach the host when they are waited for; before, NaN is there.

    Attributes:
        done: what has been done, in order: `start N`, `read N` and `decode N`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch, self.on_cpu = monkeypatch, Scores.on_cpu
        self.done: list[str] = []
        self.copies: list[tuple[Tensor, Tensor]] = []  # of scores, and what they will be
        monkeypatch.setattr(scoring, "to_device", lambda array, device: torch.from_numpy(array))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self)
        monkeypatch.setattr(Scores, "on_cpu", lambda scores: self.copy_scores(scores))
        for module in (evaluator, ordering):
            monkeypatch.setattr(module, "decode_batch", self.decode)

    def count(self, event: str) -> int:
        return sum(own.startswith(event) for own in self.done)

    def copy_scores(self, scores: Scores) -> Scores:
        with self.monkeypatch.context() as patches:
            patches.setattr(Tensor, "to", lambda tensor, *device, **options: self.copy(tensor, *device, **options))
            return self.on_cpu(scores)

    def copy(self, tensor: Tensor, device: str, non_blocking: bool) -> Tensor:
        assert (device, non_blocking) == ("cpu", True)
        self.copies.append((torch.full_like(tensor, torch.nan), tensor))
        return self.copies[-1][0]

    def record_event(self) -> "Event":
        self.done.append(f"start {(number := self.count('start'))}")
        copies, self.copies = self.copies, []
        return Event(self, number, copies)

    def decode(self, *arguments: Any, **options: Any) -> Any:
        self.done.append(f"decode {self.count('decode')}")
        return decode_batch(*arguments, **options)


class Event:
    def __init__(self, device: Device, number: int, copies: list[tuple[Tensor, Tensor]]) -> None:
        self.device, self.number, self.copies = device, number, copies

    def synchronize(self) -> None:
        self.device.done.append(f"read {self.number}")
        for copy, scores in self.copies:
            copy.copy_(scores)


@pytest.fixture(autouse=True)
def _without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lack of memory does not switch oneDNN off, which would round otherwise."""
    monkeypatch.setattr(limits, "release_memory", lambda device: None)


@pytest.fixture
def corpus(tiny_model: SentenceOrdererModel, stories) -> Corpus:
    return corpus_of(tiny_model, stories[:23])


def evaluate(
    model: SentenceOrdererModel, corpus: Corpus, runtime: Runtime, decoder: str = "exact", **options: Any
) -> Evaluation | None:
    scoring._limits = WeakKeyDictionary()
    return evaluate_corpus(model, corpus, DecoderConfig(DecoderName[decoder], 64), runtime, **SETTINGS, **options)


def order(model: SentenceOrdererModel, stories: list[list[str]], runtime: Runtime, **options: Any) -> Any:
    scoring._limits = WeakKeyDictionary()
    return order_documents(model, stories, runtime, batch_tokens=1300, **options)


def assert_equal(one: Evaluation | None, other: Evaluation | None) -> None:
    """To the last bit."""
    assert one is not None
    assert other is not None
    assert (one.rows, one.order, one.given, one.total_loss) == (other.rows, other.order, other.given, other.total_loss)
    assert np.array_equal(one.log_odds_D, other.log_odds_D)
    assert all(np.array_equal(one.counts[name], expected) for name, expected in other.counts.items())
    assert one.changed_D is None or np.array_equal(one.changed_D, other.changed_D)
    assert one.total_probability_SS is not None
    assert other.total_probability_SS is not None
    assert torch.equal(one.total_probability_SS, other.total_probability_SS)


def ahead(count: int) -> list[str]:
    """What is done with some batches, in order."""
    done = ["start 0"]
    for number in range(count):
        done += [f"start {number + 1}"] * (number + 1 < count) + [f"read {number}", f"decode {number}"]
    return done


def no_room_in(calls: set[int]) -> Callable[..., None]:
    """A hook by which some forward passes run out of memory, counted from 1."""
    numbers = iter(range(1, 1000))

    def forward(*_: Any) -> None:
        if next(numbers) in calls:
            raise torch.OutOfMemoryError("no room")

    return forward


def test_the_next_batch_has_been_started_when_scores_are_read(
    tiny_model: SentenceOrdererModel, corpus: Corpus, stories, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = len(make_batches(corpus.tokens, 1300))
    assert count > 3
    expected, predicted = evaluate(tiny_model, corpus, CPU), order(tiny_model, stories[:23], CPU)
    device, counts = Device(monkeypatch), list[int]()
    assert_equal(evaluate(tiny_model, corpus, CUDA, advance=counts.append), expected)
    assert device.done == ahead(count)
    assert counts == [len(rows) for rows in make_batches(corpus.tokens, 1300)]

    device.done, counts = [], []
    assert order(tiny_model, stories[:23], CUDA, advance=counts.append) == predicted
    assert device.done == ahead(count)
    assert sum(counts) == 23


def test_a_plain_loop_gives_the_same_evaluation(tiny_model: SentenceOrdererModel, corpus: Corpus) -> None:
    evaluation = evaluate(tiny_model, corpus, CPU)
    assert evaluation is not None
    orders, log_odds_of, total_loss = {}, {}, 0.0
    for batch in load_batches(corpus, make_batches(corpus.tokens, 1300), seed=3, epoch=None):
        with torch.no_grad():
            scores = tiny_model(batch["input_ids"], batch["lengths"])
        mask_BS, rank_BS = batch["mask"], batch["text_rank"]
        order_BS, _ = decode(exact_order, scores, mask_BS, rank_BS)
        total_loss += tiny_model.ordering_loss(scores, batch["positions"], mask_BS).item()
        rows = batch["document"].tolist()
        log_probs_B = OrderDistribution(scores, mask_BS, rank_BS).log_probs(order_BS[:, None])[:, 0]
        log_odds_of |= dict(zip(rows, log_odds(log_probs_B).tolist(), strict=True))
        orders |= {row: own_S[own].tolist() for row, own_S, own in zip(rows, order_BS, mask_BS, strict=True)}
    assert evaluation.order == [orders[row] for row in range(len(corpus))]
    assert evaluation.log_odds_D.tolist() == [log_odds_of[row] for row in range(len(corpus))]
    assert evaluation.total_loss == total_loss


@pytest.mark.parametrize("shuffles", [1, 3])
@pytest.mark.parametrize("lack", [{1}, {2, 3}, {5}])
def test_what_does_not_fit_while_another_batch_is_computed_is_split(
    make_model, stories, monkeypatch: pytest.MonkeyPatch, shuffles: int, lack: set[int]
) -> None:
    """No document is lost or doubled; the parts and their order are those of a CPU."""
    model = make_model()
    corpus = corpus_of(model, stories[:23])

    def results(runtime: Runtime) -> tuple[Evaluation | None, Any, list[int]]:
        counts: list[int] = []
        found: list[Any] = []
        for run in (
            lambda: evaluate(model, corpus, runtime, shuffles=shuffles, advance=counts.append),
            lambda: order(model, stories[:23], runtime, shuffles=shuffles),
        ):
            hook = model.register_forward_pre_hook(no_room_in(lack))
            found.append(run())
            hook.remove()
        return found[0], found[1], counts

    evaluation, predicted, counts = results(CPU)
    device = Device(monkeypatch)
    split, split_predicted, split_counts = results(CUDA)
    assert_equal(split, evaluation)
    assert split_predicted == predicted
    assert split_counts == counts == [len(rows) for rows in make_batches(corpus.tokens, 1300)]
    assert device.done[:3] == ["start 0", "start 1", "read 0"]
    assert device.count("start") == device.count("read") > 2 * len(counts)


def test_a_stop_evaluates_no_more_than_what_was_started(
    tiny_model: SentenceOrdererModel, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(monkeypatch)
    assert evaluate(tiny_model, corpus, CUDA, stop=lambda: device.count("decode") > 0) is None
    assert device.done == ["start 0", "start 1", "read 0", "decode 0", "read 1", "decode 1"]
    device.done = []
    assert evaluate(tiny_model, corpus, CUDA, stop=lambda: True) is None
    assert device.done == []


def test_a_pointer_is_decoded_before_the_next_batch(make_model, stories, monkeypatch: pytest.MonkeyPatch) -> None:
    """It computes on the device itself."""
    model = make_model(**MODELS["pointer"])
    device = Device(monkeypatch)
    evaluate(model, corpus_of(model, stories[:9]), CUDA, decoder="pointer")
    assert device.done[:4] == ["start 0", "read 0", "decode 0", "start 1"]


@pytest.mark.parametrize("name", MODELS)
def test_starting_a_batch_does_not_wait(make_model, stories, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    model = make_model(**MODELS[name]).eval()
    batch, _ = batch_of(corpus_of(model, stories), 6)
    model.to(META)
    monkeypatch.setattr(Scores, "on_cpu", lambda scores: scores)  # there are no numbers to copy
    leave_autocast_out(monkeypatch)
    score_batch(model, batch, Runtime(META))  # once before, since some tables are made once
    with no_waiting(monkeypatch):
        scores = score_batch(model, batch, Runtime(META))
    assert {value.device for value in scores.values() if isinstance(value, Tensor)} <= {META}


@pytest.mark.parametrize("count", range(4))
def test_one_ahead(count: int) -> None:
    made: list[int] = []
    items = one_ahead(made.append(number) or number for number in range(count))
    assert [(item, len(made)) for item in items] == [(n, min(n + 2, count)) for n in range(count)]


def test_the_share_of_decoding_is_logged(
    tiny_model: SentenceOrdererModel, corpus: Corpus, stories, caplog: pytest.LogCaptureFixture
) -> None:
    evaluation = evaluate(tiny_model, corpus, CPU, shuffles=2, compare=["borda"])
    assert evaluation is not None
    assert 0 < evaluation.decoders["borda"].seconds < evaluation.decoding_seconds < evaluation.seconds
    caplog.set_level("DEBUG")
    order(tiny_model, stories[:2], CPU)
    (line,) = (message for message in caplog.messages if "decoding" in message)
    assert line.startswith("decoding took 0.")
    assert scoring.describe_decoding(1.5, 60.0) == "decoding took 1.50 of 60.0 s (2.5%)"
