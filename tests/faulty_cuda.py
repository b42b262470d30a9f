"""Runs `benchmarks.cuda` on a program that is broken on purpose: python -m tests.faulty_cuda FAULT [options]."""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import cuda
from benchmarks.forks import fork, wait_for_exit
from sentence_order.decoding import borda
from sentence_order.decoding.scores import CleanScores
from sentence_order.inference import predict_file
from sentence_order.inference.ordering import Prediction
from sentence_order.losses import ranknet
from sentence_order.model import limits
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime
from sentence_order.training import diagnose, loop
from sentence_order.training.diagnose import Diagnosis
from sentence_order.training.step import StepOutput, Stepper


def keep_frozen_dropout() -> None:
    """Frozen blocks are in training mode with the rest."""
    plain = SentenceOrdererModel.train

    def train(self: SentenceOrdererModel, mode: bool = True) -> SentenceOrdererModel:
        plain(self, mode)
        self.encoder.train(mode)
        return self

    SentenceOrdererModel.train = train


def move_frozen_weights() -> None:
    """A step changes what is frozen."""
    plain = Stepper.training_step

    @torch.no_grad()
    def training_step(self: Stepper, *arguments: Any, **options: Any) -> StepOutput:
        for weight in self.model.parameters():
            if not weight.requires_grad:
                weight += 1e-3
        with torch.enable_grad():
            return plain(self, *arguments, **options)

    Stepper.training_step = training_step


def skip_steps() -> None:
    """The optimizer does nothing."""
    torch.optim.AdamW.step = lambda self: None


def quarter_scale() -> None:
    """The scale of fp16 losses is lowered by another factor than it should be."""
    torch.amp.GradScaler.__init__ = partialmethod(torch.amp.GradScaler.__init__, backoff_factor=0.25)


def name_no_block() -> None:
    """What is not finite is reported without the block where it started."""
    plain = diagnose.diagnose

    def name_none(*arguments: Any) -> Diagnosis | None:
        diagnosis = plain(*arguments)
        return diagnosis and Diagnosis(diagnosis.what, None, diagnosis.rows)

    diagnose.diagnose = name_none


def forget_random_state() -> None:
    """A resumed run draws other dropout."""
    loop.set_rng_state = lambda *_: None


def spoil_cache() -> None:
    """The prefix cache has the states of other tokens."""
    plain = SentenceOrdererModel.encode_prefix
    SentenceOrdererModel.encode_prefix = lambda self, *inputs: plain(self, *inputs).flip(0)


def lose_half() -> None:
    """One half of a batch that does not fit is read twice, the other never."""
    plain = limits.split_batch
    limits.split_batch = lambda batch: [plain(batch)[0]] * 2


def make_nan() -> None:
    """A loss is NaN."""
    plain = ranknet.ranknet
    ranknet.ranknet = lambda *inputs: plain(*inputs) * float("nan")


def break_gradients() -> None:
    """A loss is right, and its gradient is NaN."""
    plain = ranknet.ranknet

    def broken(*inputs: Tensor) -> Tensor:
        total = plain(*inputs)
        total.register_hook(lambda gradient: gradient * float("nan"))
        return total

    ranknet.ranknet = broken


def leave_out_autocast() -> None:
    """Layers compute in fp32, whatever the precision."""
    Runtime.autocast = lambda self: nullcontext()


def repeat_sentences() -> None:
    """A decoder returns what is no permutation."""
    borda.borda_order = lambda scores, beam_width: torch.zeros(scores.pairs_GSS.shape[:2], dtype=torch.long)


def reverse_orders() -> None:
    """Orders depend on the size of the batch."""
    plain = predict_file.order_documents

    def predict(*arguments: Any, batch_tokens: int, **options: Any) -> list[Prediction]:
        found = plain(*arguments, batch_tokens=batch_tokens, **options)
        if batch_tokens == 512:
            found = [replace(one, order=one.order[::-1], sentences=one.sentences[::-1]) for one in found]
        return found

    predict_file.order_documents = predict


def fail_to_decode() -> None:
    """A decoder fails."""

    def fail(scores: CleanScores, beam_width: int) -> Tensor:
        raise RuntimeError("no order")

    borda.borda_order = fail


def die() -> None:
    """A check's process is killed."""
    _replace_device_check(lambda *_: os.kill(os.getpid(), signal.SIGKILL))


def stall() -> None:
    """A check does not end, and the time is up two seconds after it has started."""
    plain = cuda.run_lines
    cuda.run_lines = lambda *inputs, deadline: plain(*inputs, deadline=time.monotonic() + 2)
    _replace_device_check(lambda *_: time.sleep(1000))


def hang() -> None:
    """A check waits for a process that does not end, and is killed early."""
    cuda.PATIENCE["cpu"] = 1

    def wait() -> None:
        print("waiting", flush=True)
        time.sleep(1000)

    _replace_device_check(lambda setup, _: wait_for_exit(fork(wait, setup.folder / "train.log")))


def stop_all() -> None:
    """A check makes its parent end, and does not end itself."""

    def check(*_: Any) -> None:
        Path("pid").write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(1000)

    _replace_device_check(check)


def _replace_device_check(check: Callable[..., object]) -> None:
    plain = cuda.make_lines
    cuda.make_lines = lambda: {**plain(), "device": check}


if __name__ == "__main__":
    globals()[sys.argv.pop(1)]()  # the function of this name
    cuda.main()
