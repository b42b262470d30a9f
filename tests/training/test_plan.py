"""How many steps a run has, what each of them reads, and after which of them it validates."""

import itertools
import logging
import re
import threading
from contextlib import closing
from dataclasses import replace

import pytest
import torch

from sentence_order.config.schema import TrainerConfig
from sentence_order.data.examples import padded_size
from sentence_order.data.tokenization import Corpus
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.distributed import Processes
from sentence_order.training.plan import FEW_STEPS, SAVE_COST, USUAL_STEPS, StepInput, TrainingPlan
from tests.streams import Streams
from tests.training.loops import corpus_of


@pytest.fixture(scope="module")
def corpus(make_model, stories) -> Corpus:
    model: SentenceOrdererModel = make_model()
    return corpus_of(model, stories)


def plan_of(
    corpus: Corpus, seed: int = 0, processes: Processes | None = None, device: str = "cpu", **settings: object
) -> TrainingPlan:
    runtime = Runtime(torch.device(device), processes=processes or Processes())
    config = TrainerConfig(**{"batch_tokens": 400, **settings})
    return TrainingPlan(corpus, corpus, config, seed, runtime)


def first(plan: TrainingPlan, count: int, start: int = 0) -> list[StepInput]:
    return list(itertools.islice(plan.batches(start), count))


def rows_of(step: StepInput) -> list[int]:
    return [row for batch in step.batches for row in batch["document"].tolist()]


def assert_equal(one: StepInput, other: StepInput) -> None:
    assert replace(one, batches=[]) == replace(other, batches=[])
    assert len(one.batches) == len(other.batches)
    for batch, expected in zip(one.batches, other.batches, strict=True):
        assert batch.keys() == expected.keys()
        assert all(torch.equal(batch[name], expected[name]) for name in expected)


def test_every_document_is_read_once_an_epoch(corpus: Corpus) -> None:
    plan = plan_of(corpus, epochs=2, accumulate=3)
    steps = first(plan, plan.total_steps)
    assert (steps[0].epoch_before, steps[-1].epoch_after) == (0.0, 2.0)
    assert [step.epoch_before for step in steps[1:]] == [step.epoch_after for step in steps[:-1]]
    for epoch in (0, 1):
        own = [batch for step in steps if epoch < step.epoch_after <= epoch + 1 for batch in step.batches]
        assert sorted(row for batch in own for row in batch["document"].tolist()) == list(range(len(corpus)))
    assert sum(step.num_documents for step in steps) == 2 * len(corpus)


def test_inputs_are_counted_as_they_are(corpus: Corpus) -> None:
    for step in first(plan_of(corpus, accumulate=2), 5):
        lengths = [batch["lengths"] for batch in step.batches]
        sizes = torch.cat([(each > 0).sum(1) for each in lengths])
        assert step.num_documents == len(sizes)
        assert step.num_pairs == int((sizes * (sizes - 1) // 2).sum())
        assert step.num_tokens == sum(int(each.sum()) for each in lengths)
        assert step.padded_size == sum(batch["input_ids"].numel() for batch in step.batches)


def test_resuming_at_any_step_gives_the_same_inputs(corpus: Corpus) -> None:
    """Within an epoch, at its end, and in a later one."""
    plan = plan_of(corpus, epochs=3, accumulate=2)
    straight = first(plan, plan.total_steps + 2)
    per_epoch = plan.total_steps // 3
    for start in (1, per_epoch - 1, per_epoch, per_epoch + 1, 2 * per_epoch, plan.total_steps):
        for one, other in zip(first(plan, 2, start), straight[start : start + 2], strict=True):
            assert_equal(one, other)


def test_batches_can_be_made_again(corpus: Corpus) -> None:
    """From what a step's input says of them, by each process."""
    plan = plan_of(corpus, processes=Processes(1, 3, 1), epochs=2, accumulate=2)
    for step in first(plan, 4, start=plan.total_steps // 2 - 1):
        assert len(step.shards) <= 2
        assert [row for shard in step.shards for row in shard] == rows_of(step)
        assert_equal(replace(step, batches=plan.load(step.epoch, step.shards)), step)


def test_on_cuda_batches_are_those_of_a_cpu(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made ahead by a thread, which ends with them."""
    streams = Streams(monkeypatch)
    plan, on_cpu = (plan_of(corpus, device=device, accumulate=2) for device in ("cuda", "cpu"))
    before = threading.active_count()
    with closing(plan.batches(start=3)) as batches:
        for expected in first(on_cpu, 4, start=3):
            assert_equal(next(batches), expected)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    assert streams.done.count("wait") == 4


def test_number_of_steps(corpus: Corpus) -> None:
    plan = plan_of(corpus)
    assert plan.total_steps == len([step for step in first(plan, 200) if step.epoch_after <= 1])
    assert plan_of(corpus, max_steps=7, epochs=5).total_steps == 7
    by_three = plan_of(corpus, accumulate=3)
    assert by_three.total_steps == -(-plan.total_steps // 3)
    assert len(first(by_three, by_three.total_steps)[-1].batches) == (plan.total_steps - 1) % 3 + 1


def test_inputs_depend_on_seed_and_epoch_alone(corpus: Corpus) -> None:
    per_epoch = plan_of(corpus).total_steps
    one, other, seeded = (first(plan_of(corpus, seed), per_epoch + 1) for seed in (0, 0, 1))
    assert_equal(one[0], other[0])
    rows = [[batch["document"].tolist() for step in steps for batch in step.batches] for steps in (one, seeded)]
    assert rows[0] != rows[1]
    again = first(plan_of(corpus), 1, start=per_epoch)[0]
    assert again.batches[0]["document"].tolist() != one[0].batches[0]["document"].tolist()


def test_processes_share_the_documents_of_every_step(corpus: Corpus) -> None:
    """More of them than some batches, or all of a step, have documents: one without any gets one of another."""
    single = first(plan_of(corpus, accumulate=2), 4)
    shards = [first(plan_of(corpus, processes=Processes(rank, 9, rank), accumulate=2), 4) for rank in range(9)]
    own_fields = {"batches": [], "shards": [], "is_idle": False, "largest_share": 0}
    for number, step in enumerate(single):
        own = [steps[number] for steps in shards]
        assert all(replace(each, **own_fields) == replace(step, **own_fields) for each in own)
        busy = [each for each in own if not each.is_idle]
        assert sorted(row for each in busy for row in rows_of(each)) == sorted(rows_of(step))
        assert all(len(rows_of(each)) == 1 for each in own if each.is_idle)
        assert {each.largest_share for each in own} == {
            max(padded_size(batch) for each in busy for batch in each.batches)
        }
        assert step.largest_share == max(padded_size(batch) for batch in step.batches)
    assert any(each.is_idle for steps in shards for each in steps)


def test_validations_are_as_many_as_the_time_allows(corpus: Corpus) -> None:
    """At most ten, at a fifth of the training time: a third of a training step's for each document, and a save."""
    assert plan_of(corpus, eval_every=3).eval_every == 3
    assert plan_of(corpus, max_steps=100_000).eval_every == 10_000
    assert plan_of(corpus, max_steps=1).eval_every == 1
    tokens = int(corpus.tokens.sum())
    steps = round(5 * (tokens / 3 + SAVE_COST) / (0.2 * 400)) + 1  # enough for five
    assert plan_of(corpus, max_steps=steps).eval_every == -(-steps // 5)


def test_short_runs_name_the_epochs_of_a_usual_one(corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    steps = plan_of(corpus, epochs=2, accumulate=4).total_steps
    (line,) = [message for message in caplog.messages if message.startswith("steps in all")]
    found = re.fullmatch(r"steps in all: (\d+), which is few; trainer.epochs=(\d+) would be about (\d+)", line)
    assert found is not None
    few, epochs, usual = map(int, found.groups())
    assert few == steps < FEW_STEPS
    assert plan_of(corpus, epochs=epochs, accumulate=4).total_steps == pytest.approx(usual, rel=0.05)
    assert usual >= USUAL_STEPS
    caplog.clear()
    plan_of(corpus, max_steps=2)
    plan_of(corpus, epochs=epochs, accumulate=4)
    assert not [message for message in caplog.messages if message.startswith("steps in all")]
