"""What a run starts from."""

from dataclasses import asdict

import pytest
import torch

from sentence_order.config.cli import compose
from sentence_order.config.schema import Precision
from sentence_order.model.linear import Linear
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.kernels import BF16, DEFAULT, ONEDNN, Kernels
from sentence_order.training.setup import Setup, keep_kernels, set_up


@pytest.mark.parametrize(("frozen", "warned"), [("layers", True), ("depth", False)])
def test_layers_frozen_above_embeddings_that_train_are_warned_of(
    frozen: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    set_up(compose("train", ["debug=smoke", "device=cpu", f"freeze.{frozen}=half"]))
    assert ("freeze.depth=half freezes both" in caplog.text) == warned


@pytest.mark.parametrize(
    ("saved", "precision", "available", "kept", "reason"),
    [
        (Kernels(ONEDNN), "auto", True, True, "as the run has begun"),
        (Kernels(ONEDNN), "auto", False, False, "this machine has no oneDNN"),
        (Kernels(ONEDNN), "fp32", True, True, "as the run has begun"),
        (Kernels(bf16=True), "auto", True, False, "bf16 is no faster on this machine"),
        (Kernels(bf16=True), "fp32", True, False, "precision has changed"),
        (BF16, "auto", True, False, "bf16 is no faster on this machine"),
    ],
)
def test_a_resumed_run_keeps_its_kernels_or_says_why_not(
    make_model,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    saved: Kernels,
    precision: str,
    available: bool,
    kept: bool,
    reason: str,
) -> None:
    monkeypatch.setattr("sentence_order.training.setup.is_available", lambda kernels: available)
    setup = Setup(make_model(), {}, Runtime(torch.device("cpu")), [], {})
    with caplog.at_level("DEBUG", "sentence_order"):
        resumed = keep_kernels(setup, asdict(saved), Precision(precision))
    assert resumed.runtime.kernels == (saved if kept else DEFAULT)
    assert any(isinstance(module, Linear) for module in setup.model.modules()) is kept
    assert reason in caplog.text


def test_a_run_begun_in_fp32_stays_in_it_where_bf16_is_faster(make_model) -> None:
    setup = Setup(make_model(), {}, Runtime(torch.device("cpu"), kernels=Kernels(bf16=True)), [], {})
    resumed = keep_kernels(setup, asdict(Kernels(ONEDNN, ONEDNN)), Precision.auto)
    assert resumed.runtime == Runtime(torch.device("cpu"), kernels=Kernels(ONEDNN, ONEDNN))


@pytest.mark.parametrize(("precision", "auto"), [("auto", True), ("fp32", False)])
def test_training_may_choose_bf16_by_itself_unless_precision_is_set(
    precision: str, auto: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(shapes: object, auto_bf16: bool) -> Kernels:
        return Kernels(bf16=auto_bf16)

    monkeypatch.setattr("sentence_order.model.linear.choose_kernels", choose)
    runtime = set_up(compose("train", ["debug=smoke", "device=cpu", f"precision={precision}"])).runtime
    assert runtime.precision is torch.float32
    training = ", bf16 in trained linear layers" if auto else ""
    assert runtime.describe() == f"device cpu, precision fp32{training}"


def test_precision_bf16_is_for_all_passes() -> None:
    runtime = set_up(compose("train", ["debug=smoke", "device=cpu", "precision=bf16"])).runtime
    assert runtime == Runtime(torch.device("cpu"), torch.bfloat16, kernels=BF16)
    assert runtime.describe() == "device cpu, precision bf16 in linear layers"
