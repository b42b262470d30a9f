"""`trainer.batch_tokens=auto`: what it comes to, by a stand-in for a GPU's memory; and what a run keeps of it."""

import copy
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sentence_order.config.schema import FreezeConfig, OptimConfig
from sentence_order.data.examples import padded_size
from sentence_order.data.tokenization import Corpus
from sentence_order.errors import TrainingError, UserError
from sentence_order.model.freezing import freeze_phases
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime, available_memory
from sentence_order.runtime.distributed import Processes
from sentence_order.training import batch_size, run
from sentence_order.training.batch_size import (
    MAX_BATCH_TOKENS,
    MEMORY_SHARE,
    find_largest_batches,
    max_batch_tokens,
    measure_batch_tokens,
    resolve_batch_tokens,
)
from sentence_order.training.run_config import read_config, read_overrides
from sentence_order.training.run_dir import RunStatus, check_run_dir, check_unchanged, load_config
from sentence_order.training.state import get_rng_state
from tests.training.loops import CPU, corpus_of, train_config

TYPED = (
    *("debug=smoke", "data.limit_train=60", "data.limit_validation=20", "data.limit_test=20", "encoder.tiny_width=24"),
    *("trainer.max_steps=2", "device=cpu", "trainer.batch_tokens=auto"),
)


@dataclass
class Memory:
    """Stands in for a GPU's memory, on the CPU: a token of a batch, padding included, takes a byte."""

    available: float
    largest: int = 0  # of the batches since the last reset
    fits: int = 2**62  # tokens, beyond which a batch runs out of memory

    def read(self, _: torch.nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
        size = padded_size({"lengths": inputs[1]})
        self.largest = max(self.largest, size)
        if size > self.fits:
            raise torch.OutOfMemoryError(f"more than {self.fits} tokens")

    def reset(self, _: torch.device) -> None:
        self.largest = 0


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch, tiny_model: SentenceOrdererModel) -> Memory:
    found = Memory(available=2**62)
    tiny_model.register_forward_pre_hook(found.read, with_kwargs=True)
    monkeypatch.setattr(batch_size, "available_memory", lambda _: found.available)
    monkeypatch.setattr(batch_size, "reset_peak_memory", found.reset)
    monkeypatch.setattr(batch_size, "peak_memory", lambda _: found.largest)
    monkeypatch.setattr(batch_size, "release_memory", lambda _: None)
    return found


@pytest.fixture
def corpus(tiny_model: SentenceOrdererModel, stories: list[list[str]]) -> Corpus:
    return corpus_of(tiny_model, [[*story[1:], f"{story[0]} {number}"] for number in range(9) for story in stories])


def lasting_bytes(model: SentenceOrdererModel, copies: int) -> int:
    return copies * sum(weight.numel() * 4 for weight in model.parameters() if weight.requires_grad)


@pytest.mark.parametrize("tokens", [512, 1024, 4096, 8192])
def test_largest_batches_that_fit_are_found(
    tiny_model: SentenceOrdererModel, corpus: Corpus, memory: Memory, tokens: int
) -> None:
    memory.available = (lasting_bytes(tiny_model, 3) + tokens) / MEMORY_SHARE
    found, reason = measure_batch_tokens(train_config(), tiny_model, corpus, CPU)
    assert found == tokens
    assert (f", {2 * tokens:,} take 0.00 GB" in f", {reason}") == (tokens < MAX_BATCH_TOKENS)
    assert f"{tokens:,} take 0.00 GB, " in reason
    assert reason.endswith("more than 8,192 of a process are not tried") == (tokens == MAX_BATCH_TOKENS)


def test_batches_that_run_out_of_memory_are_too_large(
    tiny_model: SentenceOrdererModel, corpus: Corpus, memory: Memory
) -> None:
    memory.fits, memory.available = 1200, 10e9
    found, reason = measure_batch_tokens(train_config(), tiny_model, corpus, CPU)
    assert found == 1024
    assert "2,048 do not fit, and a step may take 8.00 GB" in reason
    memory.fits = 100
    assert measure_batch_tokens(train_config(), tiny_model, corpus, CPU) == (
        512,
        "512 do not fit, and a step may take 8.00 GB; batches that do not fit are split",
    )


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    tiny_model: SentenceOrdererModel, corpus: Corpus, memory: Memory
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("something else")

    tiny_model.heads.register_forward_pre_hook(fail)
    tiny_model.set_layers[0].register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="something else"):
        measure_batch_tokens(train_config(), tiny_model, corpus, CPU)
    assert not tiny_model.training


@pytest.mark.parametrize("fits", [2**62, 1200])
def test_measuring_changes_nothing(tiny_model: SentenceOrdererModel, corpus: Corpus, memory: Memory, fits: int) -> None:
    memory.fits = fits
    tiny_model.freeze({0, 1, 2}, permanent={0})
    tiny_model.config.dropout = 0.5
    weights, random = copy.deepcopy(tiny_model.state_dict()), get_rng_state(CPU.device)
    trained = [weight.requires_grad for weight in tiny_model.parameters()]
    measure_batch_tokens(train_config(), tiny_model, corpus, CPU)
    assert all(torch.equal(weight, weights[name]) for name, weight in tiny_model.state_dict().items())
    assert all(torch.equal(state, random[name]) for name, state in get_rng_state(CPU.device).items())
    assert [weight.requires_grad for weight in tiny_model.parameters()] == trained
    assert all(weight.grad is None for weight in tiny_model.parameters())
    assert (tiny_model.frozen_blocks, tiny_model.permanently_frozen_blocks) == ({0, 1, 2}, {0})
    assert not any(module.training for module in tiny_model.modules())


@pytest.mark.parametrize(("ema", "processes", "copies"), [(0.0, 1, 3), (0.9, 1, 4), (0.9, 2, 6)])
def test_moments_gradients_and_average_are_counted(
    tiny_model: SentenceOrdererModel, corpus: Corpus, memory: Memory, ema: float, processes: int, copies: int
) -> None:
    """Also those of weights that are still frozen, and train later."""
    unfrozen = lasting_bytes(tiny_model, copies)
    config = train_config(OptimConfig(ema=ema), FreezeConfig(schedule=["0:all", "1:none"]))
    first, last = freeze_phases(config.freeze, tiny_model.num_layers)
    tiny_model.freeze(first.blocks, permanent=last.blocks)
    runtime = replace(CPU, processes=Processes(0, processes, 0))
    for room, expected in ((1024, 1024 * processes), (0, 512)):
        memory.available = (unfrozen + room) / MEMORY_SHARE
        assert measure_batch_tokens(config, tiny_model, corpus, runtime)[0] == expected


@dataclass(frozen=True)
class ThreeProcesses(Processes):
    """This process and two others, of which one has less memory."""

    def gather(self, value: Any) -> list[Any]:
        return [value, (1024, "2,048 do not fit"), (8192, "8,192 take 1.00 GB")]


def test_several_processes_take_the_least(
    tiny_model: SentenceOrdererModel, corpus: Corpus, memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    device = torch.device("cuda")
    runtime = Runtime(device, processes=ThreeProcesses(0, 3, 0))
    with caplog.at_level(logging.INFO, "sentence_order"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_size, "measure_batch_tokens", lambda *_: (4096, "8,192 take 70.00 GB"))
        assert resolve_batch_tokens(train_config(), tiny_model, corpus, runtime) == 1024
    assert caplog.messages == ["batches of 1024 tokens (trainer.batch_tokens=auto: 2,048 do not fit)"]


def test_processes_share_the_batches_that_are_tried(
    tiny_model: SentenceOrdererModel, corpus: Corpus, memory: Memory
) -> None:
    """Of which each has as many tokens as one alone."""
    runtime = replace(CPU, processes=Processes(1, 4, 1))
    assert measure_batch_tokens(train_config(), tiny_model, corpus, runtime)[0] == 4 * MAX_BATCH_TOKENS
    assert MAX_BATCH_TOKENS / 2 < memory.largest < 1.1 * MAX_BATCH_TOKENS


def test_batches_that_are_tried_are_the_largest(tiny_model: SentenceOrdererModel) -> None:
    """Of few long sentences, of many sentences, and of short ones; and the one that its documents fill best."""
    long, many, short = ["one " * 60] * 3, ["one two three four"] * 20, ["one"] * 15
    stories = [[f"{text} {m}" for m, text in enumerate(kind)] for _ in range(40) for kind in (long, many, short)]
    corpus = corpus_of(tiny_model, stories)
    for tokens in (100, 512, 1000):
        fullest, *batches = find_largest_batches(corpus, tokens)
        assert len(fullest) * corpus.tokens[fullest].max() >= 0.9 * tokens
        for rows, kind in zip(batches, (0, 1, 2), strict=True):
            assert {row % 3 for row in rows} == {kind}
            assert len(rows) == 1 or len(rows) * corpus.tokens[rows].max() <= tokens
            assert (len(rows) + 1) * corpus.tokens[rows].max() > tokens


def test_what_a_value_comes_to_at_most() -> None:
    cuda = Runtime(torch.device("cuda"))
    three = replace(cuda, processes=Processes(0, 3, 0))
    assert [max_batch_tokens(700, runtime) for runtime in (CPU, cuda, three)] == [700, 700, 700]
    assert [max_batch_tokens("auto", runtime) for runtime in (CPU, cuda, three)] == [512, 8192, 3 * 8192]


@pytest.mark.parametrize(("fraction", "expected"), [(1.0, 50), (0.4, 40)])
def test_memory_that_is_available_is_what_others_and_the_process_leave(
    monkeypatch: pytest.MonkeyPatch, fraction: float, expected: int
) -> None:
    found = {"mem_get_info": (30, 100), "memory_reserved": 20, "get_per_process_memory_fraction": fraction}
    for name, value in found.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value)
    assert available_memory(torch.device("cuda")) == expected


def train(folder: Path, *typed: str) -> Any:
    """Runs or resumes the run of a folder, and returns the number in its config.yaml."""
    words = [*TYPED, *typed, f"output_dir={folder}", "resume=auto"]
    run.Trainer(load_config(*words), command=run.CommandLine([*TYPED, *typed])).train()
    return yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["trainer"]["batch_tokens"]


def break_off(*_: object) -> None:
    raise TrainingError("broken off")


def measured_again(*_: object) -> int:
    raise AssertionError("measured again")


@pytest.mark.usefixtures("console_log")
def test_on_a_cpu_it_is_the_default(tmp_path: Path) -> None:
    """Which the run keeps: `auto` again is no change, and another number is one."""
    folder = tmp_path / "run"
    assert train(folder) == 512
    assert "trainer.batch_tokens=auto" in read_overrides(folder)
    assert "batches of 512 tokens (trainer.batch_tokens=auto: on a CPU " in (folder / "train.log").read_text()
    config = load_config(f"resume={folder}", "trainer.batch_tokens=auto")
    check_unchanged(config, ["trainer.batch_tokens=auto"])
    assert check_run_dir(config) is RunStatus.FINISHED
    with pytest.raises(UserError, match=r"\(trainer\.batch_tokens: 512 saved, 1024 given\)"):
        check_run_dir(load_config(f"resume={folder}", "trainer.batch_tokens=1024"))


@pytest.mark.usefixtures("console_log")
@pytest.mark.parametrize("typed", [(), ("resume=run",), ("resume=run", "trainer.batch_tokens=auto")])
def test_a_run_keeps_what_it_has_found(typed: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its config, its plan and its model cards, however it is resumed."""
    monkeypatch.chdir(tmp_path)
    folder = Path("run")
    with monkeypatch.context() as patch:
        patch.setattr(run, "resolve_batch_tokens", lambda *_: 200)
        patch.setattr(run.TrainingLoop, "train", break_off)
        with pytest.raises(TrainingError, match="broken off"):
            train(folder)
    assert read_config(folder).trainer.batch_tokens == 200
    monkeypatch.setattr(run, "resolve_batch_tokens", measured_again)
    if typed:
        run.Trainer(load_config(*typed), command=run.CommandLine(typed)).train()
    else:
        train(folder)
    assert read_config(folder).trainer.batch_tokens == 200
    assert "trainer.batch_tokens=auto" in read_overrides(folder)
    assert "other settings" not in (folder / "train.log").read_text()
    card = (folder / "checkpoints" / "best" / "README.md").read_text()
    assert "batch_tokens: 200" in card
    assert "trainer.batch_tokens=200" in card


@pytest.mark.usefixtures("console_log")
def test_a_run_that_had_found_nothing_yet_measures_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(run, "attach_cache", break_off)
        with pytest.raises(TrainingError, match="broken off"):
            train(folder)
    assert read_config(folder).trainer.batch_tokens == "auto"
    monkeypatch.setattr(run, "resolve_batch_tokens", lambda *_: 300)
    assert train(folder) == 300
