"""Numbers that are not finite: located, kept, and skipped where that is allowed."""

import json
import math
import re
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from sentence_order.config.schema import OnNonfinite
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import TrainingError
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.training.diagnose import diagnose
from sentence_order.training.loop import TrainingLoop
from sentence_order.training.state import get_rng_state
from tests.families import every_recipe
from tests.training.loops import Poison, corpus_of, loop_of, train

Command = Callable[..., subprocess.CompletedProcess[str]]


def own_tokens(corpus: Corpus, row: int) -> set[int]:
    """The tokens that stand in one document alone."""
    tokens = [{*corpus.input_ids[a:b].tolist()} for a, b in pairwise(corpus.first_token[corpus.first_sentence])]
    return tokens[row].difference(*tokens[:row], *tokens[row + 1 :])


def spoil_document(model: SentenceOrdererModel, corpus: Corpus) -> int:
    """Makes infinite what the model reads of one document alone; returns its row."""
    row = next(row for row in range(len(corpus)) if own_tokens(corpus, row))
    with torch.no_grad():
        model.encoder.get_input_embeddings().weight[min(own_tokens(corpus, row))] = math.inf
    return row


@every_recipe
def test_block_and_document_are_named_and_the_batch_is_kept(make_model, stories, tmp_path: Path) -> None:
    model = make_model()
    corpus = corpus_of(model, stories[:12])
    model.freeze({0})  # so that a step does not change the broken weights
    row = spoil_document(model, corpus)
    loop = loop_of(model, corpus, tmp_path, epochs=1, log_every=1)
    with pytest.raises(TrainingError) as caught:
        train(loop)
    step = loop.state.step
    (kept,) = (tmp_path / "nonfinite").iterdir()
    assert kept.name == f"step_{step}.safetensors"
    message = str(caught.value)
    assert message.startswith(f"step {step}: the loss is nan, first in embeddings; documents: d{row}; ")
    assert str(kept) in message
    assert message.endswith("; no checkpoint saved yet")

    batch = next(loop.plan.batches(start=step - 1)).batches[0]
    with safe_open(kept, framework="pt") as file:
        assert json.loads(file.metadata()["ids"]) == [f"d{row}" for row in batch["document"].tolist()]
        assert torch.equal(file.get_tensor("0.input_ids"), batch["input_ids"])


def test_diagnosis_leaves_no_trace(make_model, stories, tmp_path: Path) -> None:
    """The dropout of the next step is what it would have been."""
    model = make_model(dropout=0.2).train()
    corpus = corpus_of(model, stories[:12])
    row = spoil_document(model, corpus)
    loop = loop_of(model, corpus, tmp_path)
    inputs = next(step for step in loop.plan.batches(start=0) if row in step.batches[0]["document"])
    before = get_rng_state(loop.runtime.device)
    torch.rand(5)
    expected = torch.get_rng_state()
    found = diagnose(loop.stepper, inputs.batches, inputs.num_pairs, before)
    assert found is not None
    assert (found.block, found.rows) == ("embeddings", [row])
    assert torch.equal(torch.get_rng_state(), expected)
    assert all(weight.grad is None for weight in model.parameters())


def skipping(
    make_model, stories, folder: Path, most: int, record: Callable[[TrainingLoop], None] | None = None
) -> TrainingLoop:
    """A loop whose loss is NaN in steps 2 and 3."""
    model = make_model()
    poison = Poison(model, 2, 3)

    def on_step(loop: TrainingLoop) -> None:
        poison(loop)
        if record is not None:
            record(loop)

    return loop_of(
        *(model, corpus_of(model, stories), folder),
        max_steps=6,
        eval_every=6,
        log_every=1,
        on_nonfinite=OnNonfinite.skip,
        max_nonfinite=most,
        on_step=on_step,
    )


def test_steps_are_skipped_and_counted(make_model, stories, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    weights = {}

    def record(loop: TrainingLoop) -> None:
        every = torch.cat([weight.detach().flatten() for weight in loop.stepper.trainable])
        weights[loop.state.step] = every

    loop = skipping(make_model, stories, tmp_path, most=2, record=record)
    train(loop)
    assert torch.equal(weights[1], weights[3])
    assert not torch.equal(weights[3], weights[4])
    assert loop.state.num_skipped_steps == 2
    messages = [each.getMessage() for each in caplog.records if "skip" in each.getMessage()]
    assert [re.findall(r"\d+", message)[:3] for message in messages] == [["2", "1", "2"], ["3", "2", "2"]]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    training = [line for line in lines if "train/padding_share" in line]
    assert ["train/loss" in line for line in training] == [True, False, False, True, True, True]
    assert [line.get("train/skipped_steps", 0) for line in training] == [0, 1, 2, 2, 2, 2]
    assert [file.name for file in (tmp_path / "nonfinite").iterdir()] == ["step_2.safetensors"]  # the first one only


def test_too_many_skipped_steps_stop_the_run(make_model, stories, tmp_path: Path) -> None:
    loop = skipping(make_model, stories, tmp_path, most=1)
    with pytest.raises(TrainingError, match=r"step 3: .*max_nonfinite is 1"):
        train(loop)
    assert loop.state.num_skipped_steps == 2


def test_what_is_finite_when_repeated_is_reported(make_model, stories, tmp_path: Path) -> None:
    model = make_model()
    poison = Poison(model, 1, times=1)
    loop = loop_of(model, corpus_of(model, stories), tmp_path, max_steps=3, on_step=poison)
    with pytest.raises(TrainingError, match=r"^step 1: the loss is nan; .* repeated"):
        train(loop)
    assert not (tmp_path / "nonfinite").exists()


def test_a_learning_rate_that_is_far_too_high_ends_the_command_in_one_line(command: Command, tmp_path: Path) -> None:
    done = command("train", "debug=smoke", "optim.head_lr=1e18", "optim.warmup=0", "output_dir=run")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    told = re.search(r"error: step (\d+): (the loss is \w+|a gradient .*), first in \w+; documents: ", done.stderr)
    assert told, done.stderr
    assert (tmp_path / "run" / "nonfinite" / f"step_{told[1]}.safetensors").is_file()
