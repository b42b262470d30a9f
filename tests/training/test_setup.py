"""What a run starts from."""

from dataclasses import asdict

import pytest
import torch

from sentence_order.config.cli import compose
from sentence_order.config.schema import Precision
from sentence_order.model.linear import Linear, use_kernels
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.kernels import BF16, DEFAULT, ONEDNN, Kernels
from sentence_order.training.setup import Setup, keep_kernels, set_up


@pytest.mark.parametrize(("frozen", "warned"), [("layers", True), ("depth", False)])
def test_layers_frozen_above_embeddings_that_train_are_warned_of(
    frozen: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    set_up(compose("train", ["debug=smoke", "device=cpu", f"freeze.{frozen}=half"]))
    assert ("freeze.depth=half freezes both" in caplog.text) == warned


IN_TRAINING = Kernels(ONEDNN, ONEDNN, bf16="training")


@pytest.mark.parametrize(
    ("saved", "own", "precision", "reason"),
    [
        (IN_TRAINING, DEFAULT, "auto", "as the run has begun"),
        (Kernels(ONEDNN), IN_TRAINING, "auto", "as the run has begun"),
        (Kernels(ONEDNN), DEFAULT, "fp32", "as the run has begun"),
        (IN_TRAINING, DEFAULT, "fp32", "precision has changed"),
        (BF16, IN_TRAINING, "auto", "precision has changed"),
        (IN_TRAINING, BF16, "bf16", "precision has changed"),
        (Kernels(ONEDNN), BF16, "bf16", "precision has changed"),
    ],
)
def test_a_resumed_run_keeps_its_kernels_or_says_why_not(
    make_model,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    saved: Kernels,
    own: Kernels,
    precision: str,
    reason: str,
) -> None:
    for name in ("onednn_available", "has_bf16"):
        monkeypatch.setattr(f"sentence_order.training.setup.{name}", lambda: True)
    setup = Setup(make_model(), {}, Runtime(torch.device("cpu"), kernels=own), [], {})
    use_kernels(setup.model, own)
    with caplog.at_level("DEBUG", "sentence_order"):
        resumed = keep_kernels(setup, asdict(saved), Precision(precision))
    kept = saved if reason == "as the run has begun" else own
    assert resumed.runtime.kernels == kept
    layers = [module for module in setup.model.modules() if isinstance(module, Linear)]
    assert {layer.kernels for layer in layers} == ({kept} - {DEFAULT})
    assert reason in caplog.text


@pytest.mark.parametrize("name", ["onednn_available", "has_bf16"])
def test_kernels_that_a_machine_does_not_have_are_not_kept(
    make_model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setattr(f"sentence_order.training.setup.{name}", lambda: False)
    setup = Setup(make_model(), {}, Runtime(torch.device("cpu")), [], {})
    with caplog.at_level("INFO", "sentence_order"):
        assert keep_kernels(setup, asdict(IN_TRAINING), Precision.auto) is setup
    assert "this machine does not have them" in caplog.text


@pytest.mark.parametrize(("precision", "auto"), [("auto", True), ("fp32", False)])
def test_training_may_choose_bf16_by_itself_unless_precision_is_set(
    precision: str, auto: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(shapes: object, auto_bf16: bool) -> Kernels:
        return Kernels(bf16="training" if auto_bf16 else "nowhere")

    monkeypatch.setattr("sentence_order.model.linear.choose_kernels", choose)
    runtime = set_up(compose("train", ["debug=smoke", "device=cpu", f"precision={precision}"])).runtime
    assert runtime.precision is torch.float32
    training = ", bf16 in trained linear layers" if auto else ""
    assert runtime.describe() == f"device cpu, precision fp32{training}"


def test_precision_bf16_is_for_all_passes() -> None:
    runtime = set_up(compose("train", ["debug=smoke", "device=cpu", "precision=bf16"])).runtime
    assert runtime == Runtime(torch.device("cpu"), torch.bfloat16, kernels=BF16)
    assert runtime.describe() == "device cpu, precision bf16 in linear layers"
