"""Numbers that are not finite: told, kept, looked into, and skipped where that is allowed."""

import json
import math
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sentence_order.config import OnNonfinite, TrainConfig
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import TrainingError
from sentence_order.files import damage
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.training.loop import Trainer
from sentence_order.training.nonfinite import replay
from tests.training.trainers import corpus_of, trainer_of

Command = Callable[..., subprocess.CompletedProcess[str]]


def poison(model: SentenceOrderer, corpus: Corpus, row: int) -> None:
    """Makes infinite what the model reads of one document alone: a token that stands in no other."""
    tokens = [corpus.row(k)["input_ids"].tolist() for k in range(len(corpus))]
    others = {token for k, own in enumerate(tokens) if k != row for token in own}
    alone = next(token for token in tokens[row] if token not in others)
    with torch.no_grad():
        model.encoder.embeddings.word_embeddings.weight[alone] = math.inf


@pytest.fixture
def poisoned(make_model, stories, tmp_path: Path) -> tuple[Trainer, str]:
    """A trainer that meets a document at which the loss is not finite, and the document's id."""
    model = make_model()
    corpus = corpus_of(model, stories[:12])
    row = next(row for row in range(12) if _has_own_token(corpus, row))
    model.freeze({0})  # or the broken weights would not be saved
    poison(model, corpus, row)
    return trainer_of(model, corpus, tmp_path, epochs=1, log_every=1), f"d{row}"


def _has_own_token(corpus: Corpus, row: int) -> bool:
    own = set(corpus.row(row)["input_ids"].tolist())
    return bool(own - {t for k in range(len(corpus)) if k != row for t in corpus.row(k)["input_ids"].tolist()})


def test_block_and_document_are_named_and_the_batch_is_kept(poisoned: tuple[Trainer, str], tmp_path: Path) -> None:
    trainer, guilty = poisoned
    with pytest.raises(TrainingError) as caught:
        trainer.fit()
    step = trainer.step
    message = str(caught.value)
    assert message.startswith(
        f"step {step}: the loss is nan, first in embeddings; documents: {guilty}; to look into it: "
    )
    assert message.endswith("last good checkpoint: none yet")
    kept = tmp_path / "nonfinite" / f"step_{step}"
    assert damage(kept) is None
    words = shlex.split(message.split("to look into it: ")[1].split("; last good")[0])
    assert words[-2:] == ["debug=replay", f"batch={kept / 'batch.safetensors'}"]
    with pytest.raises(
        TrainingError, match=rf"^step {step}: the loss is nan, first in embeddings; documents: {guilty}$"
    ):
        replay(TrainConfig(batch=str(kept / "batch.safetensors"), device="cpu"))


def skipping(make_model, stories, folder: Path, most: int) -> Trainer:
    model = make_model()
    trainer = trainer_of(
        *(model, corpus_of(model, stories), folder),
        max_steps=6,
        eval_every=6,
        log_every=1,
        on_nonfinite=OnNonfinite.skip,
        max_nonfinite=most,
    )
    plain = trainer.stepper.loss

    def broken(*arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        total, count = plain(*arguments)
        return total * (math.nan if trainer.step in (2, 3) else 1), count

    trainer.stepper.loss = broken
    return trainer


def test_steps_are_skipped_and_counted(make_model, stories, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    trainer = skipping(make_model, stories, tmp_path, most=2)
    weights = {}
    for step in trainer.steps():
        weights[step] = torch.cat([weight.detach().flatten() for weight in trainer.stepper.trained])
    assert torch.equal(weights[1], weights[3])
    assert not torch.equal(weights[3], weights[4])
    told = [record.getMessage() for record in caplog.records if "skipped" in record.getMessage()]
    assert [message[:42] for message in told] == [
        "step 2 is skipped (1 of at most 2): the lo",
        "step 3 is skipped (2 of at most 2): the lo",
    ]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    training = [line for line in lines if "train/padding_share" in line]
    assert ["train/loss" in line for line in training] == [True, False, False, True, True, True]
    assert [line.get("train/skipped_steps", 0) for line in training] == [0, 1, 2, 2, 2, 2]
    assert [folder.name for folder in (tmp_path / "nonfinite").iterdir()] == ["step_2"]  # the first one only


def test_too_many_skipped_steps_stop_the_run(make_model, stories, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"this would be step 2 to skip, and max_nonfinite is 1; last good"):
        skipping(make_model, stories, tmp_path, most=1).fit()


def test_what_is_finite_when_taken_again_is_said(make_model, stories, tmp_path: Path) -> None:
    model = make_model()
    trainer = trainer_of(model, corpus_of(model, stories), tmp_path, max_steps=3)
    plain, calls = trainer.stepper.loss, iter(range(100))

    def once(*arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        total, count = plain(*arguments)
        return total * (math.nan if next(calls) == 0 else 1), count

    trainer.stepper.loss = once
    with pytest.raises(
        TrainingError, match=r"^step 1: the loss is nan; when the step was taken again, all was finite; last"
    ):
        trainer.fit()


def test_commands(command: Command, tmp_path: Path) -> None:
    """Rates that blow the weights up: the run says what to type, and that finds it again."""
    done = command("train", "debug=smoke", "optim.head_lr=1e18", "optim.warmup=0", "output_dir=run")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    told = re.search(
        r"error: step (\d+): (the loss is \w+|a gradient is not finite), first in (\w+); documents: ", done.stderr
    )
    assert told, done.stderr
    batch = re.search(r"batch=(\S+\.safetensors)", done.stderr)
    assert batch
    again = command("train", "debug=replay", f"batch={batch[1]}")
    assert again.returncode == 1, again.stderr
    assert "Traceback (most recent" not in again.stderr.split("error: ")[1]
    assert f"error: step {told[1]}: " in again.stderr
    assert f"first in {told[3]}; documents: " in again.stderr
    for wrong, complaint in (("nothing", "is no batch that a run has kept"), ("run/config.yaml", "is no batch")):
        done = command("train", "debug=replay", f"batch={wrong}")
        assert (done.returncode, complaint in done.stderr) == (2, True), done.stderr
