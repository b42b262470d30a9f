"""Runs `benchmarks.cuda` on a program that is broken on purpose: python -m tests.faulty_cuda FAULT [options]."""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partialmethod
from pathlib import Path
from typing import Any

import torch

from benchmarks import cuda
from sentence_order import losses, prediction
from sentence_order.decoding import DECODERS
from sentence_order.inference import Prediction
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.runtime import Runtime
from sentence_order.training import nonfinite, state, step


def keep_frozen_dropout() -> None:
    """Frozen blocks are in training mode with the rest."""
    plain = SentenceOrderer.train

    def train(self: SentenceOrderer, mode: bool = True) -> SentenceOrderer:
        plain(self, mode)
        self.encoder.train(mode)
        return self

    SentenceOrderer.train = train


def move_frozen_weights() -> None:
    """A step changes what is frozen."""
    plain = step.Stepper.take

    @torch.no_grad()
    def take(self: step.Stepper, *arguments: Any) -> step.Taken:
        for weight in self.model.parameters():
            if not weight.requires_grad:
                weight += 1e-3
        with torch.enable_grad():
            return plain(self, *arguments)

    step.Stepper.take = take


def take_no_steps() -> None:
    """The optimizer does nothing."""
    torch.optim.AdamW.step = lambda self: None


def quarter_scale() -> None:
    """The scale of fp16 losses goes down by another factor than it should."""
    torch.amp.GradScaler.__init__ = partialmethod(torch.amp.GradScaler.__init__, backoff_factor=0.25)


def name_no_block() -> None:
    """What is not finite is reported without the block where it began."""
    plain = nonfinite.examine

    def examine(*arguments: Any) -> nonfinite.Finding | None:
        finding = plain(*arguments)
        return finding and nonfinite.Finding(finding.what, None, finding.rows)

    nonfinite.examine = examine


def forget_random_state() -> None:
    """A resumed run draws other dropout."""
    state.set_random_state = lambda *_: None


def spoil_cache() -> None:
    """The prefix cache holds the states of other tokens."""
    plain = SentenceOrderer.encode_prefix
    SentenceOrderer.encode_prefix = lambda self, *inputs: plain(self, *inputs).flip(0)


def lose_half() -> None:
    """One half of a batch that does not fit is taken twice."""
    plain = step.halves
    step.halves = lambda batch: [plain(batch)[0]] * 2


def make_nan() -> None:
    """A loss is NaN."""
    plain = losses.LOSSES["ranknet"]
    broken = plain._replace(function=lambda *inputs: (plain.function(*inputs)[0] * float("nan"), torch.tensor(1)))
    losses.LOSSES["ranknet"] = broken


def break_gradients() -> None:
    """A loss is right, and its gradient is NaN."""
    plain = losses.LOSSES["ranknet"]

    def broken(*inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total, count = plain.function(*inputs)
        total.register_hook(lambda gradient: gradient * float("nan"))
        return total, count

    losses.LOSSES["ranknet"] = plain._replace(function=broken)


def leave_out_autocast() -> None:
    """Layers compute in fp32, whatever the precision."""
    Runtime.autocast = lambda self: nullcontext()


def repeat_sentences() -> None:
    """A decoder returns what is no permutation."""
    DECODERS["borda"] = lambda clean, width: torch.zeros(clean.pairs_GNN.shape[:2], dtype=torch.long)


def order_otherwise() -> None:
    """Orders depend on the size of the batch."""
    plain = prediction.predict

    def predict(*arguments: Any, batch_tokens: int, **options: Any) -> list[Prediction]:
        found = plain(*arguments, batch_tokens=batch_tokens, **options)
        if batch_tokens == 512:
            found = [Prediction(one.order[::-1], one.sentences[::-1], one.confidence) for one in found]
        return found

    prediction.predict = predict


def fail_to_decode() -> None:
    """A decoder fails."""
    del DECODERS["borda"]


def die() -> None:
    """A check's process is killed."""
    _replace_device_check(lambda *_: os.kill(os.getpid(), signal.SIGKILL))


def stall() -> None:
    """A check does not end, and the time is up two seconds after it has started."""
    plain = cuda.run_lines
    cuda.run_lines = lambda *inputs, deadline: plain(*inputs, deadline=time.monotonic() + 2)
    _replace_device_check(lambda *_: time.sleep(1000))


def hang() -> None:
    """A check does not end, and is not waited for."""
    cuda.PATIENCE["cpu"] = 1
    _replace_device_check(lambda *_: time.sleep(1000))


def stop_all() -> None:
    """A check makes its parent end, and does not end itself."""

    def check(*_: Any) -> None:
        Path("pid").write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(1000)

    _replace_device_check(check)


def _replace_device_check(check: Callable[..., object]) -> None:
    plain = cuda.all_lines
    cuda.all_lines = lambda: {**plain(), "device": check}


if __name__ == "__main__":
    globals()[sys.argv.pop(1)]()  # the function of this name
    cuda.main()
