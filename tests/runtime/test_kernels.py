"""What computes linear layers is measured once per machine, and the choice has its reasons."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import torch

from sentence_order.runtime import kernels
from sentence_order.runtime.kernels import BF16, DEFAULT, ONEDNN, PYTORCH, Kernels, Measurement, choose_kernels

SHAPES = {(384, 384): 4, (1536, 384): 1}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SENTENCE_ORDER_CACHE", str(tmp_path))
    kernels._measure_once.cache_clear()
    kernels.has_bf16.cache_clear()
    yield
    kernels.has_bf16.cache_clear()


def returns(monkeypatch: pytest.MonkeyPatch, *gains: float, bf16: float = 1.0) -> list[object]:
    """Replaces measuring; returns the shapes that are measured."""
    measured: list[object] = []

    def measure(shapes: kernels.Shapes) -> Measurement:
        measured.append(shapes)
        return Measurement(dict(zip(kernels.PRODUCTS, gains, strict=False)), bf16)

    monkeypatch.setattr(kernels, "measure", measure)
    return measured


def test_another_kernel_is_taken_where_it_wins_by_five_percent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    returns(monkeypatch, 1.06, 1.04, 0.9, bf16=3.0)
    with caplog.at_level("DEBUG", "sentence_order"):
        assert choose_kernels(SHAPES) == Kernels(ONEDNN, PYTORCH, PYTORCH)
    assert "forward 1.06, input gradient 1.04, weight gradient 0.90 times as fast as PyTorch's own" in caplog.text


@pytest.mark.parametrize(("gain", "bf16"), [(1.2, "nowhere"), (1.5, "training")])
def test_bf16_is_taken_where_it_may_and_pays(
    monkeypatch: pytest.MonkeyPatch, gain: float, bf16: Literal["nowhere", "training"]
) -> None:
    returns(monkeypatch, bf16=gain)
    assert choose_kernels(SHAPES, auto_bf16=True) == Kernels(bf16=bf16)
    assert choose_kernels(SHAPES) == DEFAULT


def test_it_is_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured = returns(monkeypatch, 1.5)
    first = choose_kernels(SHAPES)
    returns(monkeypatch, 0.5)
    assert choose_kernels(SHAPES) == first
    kernels._measure_once.cache_clear()  # as in another process
    assert choose_kernels(SHAPES) == first
    assert len(measured) == 1
    (file,) = (tmp_path / "kernels").glob("*.json")
    assert json.loads(file.read_text())["torch"] == torch.__version__

    file.write_text("{")  # as after a full disk
    kernels._measure_once.cache_clear()
    assert choose_kernels(SHAPES) == DEFAULT
    assert choose_kernels({(768, 768): 4}) == DEFAULT
    assert len([*(tmp_path / "kernels").glob("*.json")]) == 2


def test_what_cannot_be_kept_is_measured_once_per_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SENTENCE_ORDER_CACHE", str(tmp_path / "file" / "folder"))
    (tmp_path / "file").touch()
    measured = returns(monkeypatch, 1.5)
    assert choose_kernels(SHAPES) == choose_kernels(SHAPES) == Kernels(ONEDNN)
    assert len(measured) == 1


def test_machines_that_train_together_use_what_all_have() -> None:
    chosen = Kernels(ONEDNN, ONEDNN, PYTORCH, bf16="training")
    assert chosen.only(onednn=True, bf16=True) == chosen
    assert chosen.only(onednn=True, bf16=False) == Kernels(ONEDNN, ONEDNN, PYTORCH)
    assert chosen.only(onednn=False, bf16=True) == Kernels(bf16="training")
    assert BF16.only(onednn=False, bf16=False) == BF16  # as set


def test_small_layers_and_deterministic_runs_use_pytorchs(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = returns(monkeypatch, 2.0)
    assert choose_kernels({(64, 64): 4}) == DEFAULT
    torch.use_deterministic_algorithms(True)
    try:
        assert choose_kernels(SHAPES, auto_bf16=True) == DEFAULT
    finally:
        torch.use_deterministic_algorithms(False)
    assert not measured


def test_bf16_is_not_tried_where_it_would_take_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_cpu_info", lambda: "model name\t: Old\nflags\t\t: fpu avx2")
    measurement = kernels.measure({(96, 48): 2})
    assert measurement.bf16 == 0
    assert str(measurement).endswith("this processor has no bf16")


def test_measuring_times_every_kernel() -> None:
    threads, random_state = torch.get_num_threads(), torch.get_rng_state()
    measurement = kernels.measure({(96, 48): 2, (48, 96): 1})
    assert set(measurement.onednn) == ({*kernels.PRODUCTS} if kernels.onednn_available() else set())
    assert all(gain > 0 for gain in measurement.onednn.values())
    assert (measurement.bf16 > 0) == kernels.has_bf16()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), random_state)
