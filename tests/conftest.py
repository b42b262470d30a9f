"""What many tests share: real text, a tiny model, and the commands as users run them."""

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sentence_order.runtime.threads import SPIN_IN_COMPANY, count_cpus

# Before anything imports the libraries that read them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# On small tensors threads only wait for each other, here and in commands run as subprocesses.
os.environ |= {"OMP_NUM_THREADS": "1", **SPIN_IN_COMPANY}

import torch
from transformers import PreTrainedTokenizerBase

from sentence_order.config.schema import (
    DataConfig,
    DecoderConfig,
    DecoderName,
    EncoderConfig,
    Joint,
    LossConfig,
    ModelConfig,
    PositionIds,
)
from sentence_order.data.synthetic import generate
from sentence_order.model.build import build_model
from sentence_order.model.families import FAMILIES
from sentence_order.model.locations import TINY
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.model.tiny import tiny_tokenizer
from sentence_order.model.tokenizer import load_tokenizer
from sentence_order.runtime.console import log
from tests import properties  # noqa: F401 - the settings of hypothesis
from tests.families import byte_tokenizer, write_encoder
from tests.forks import Server

torch.set_num_threads(1)


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_xdist_auto_num_workers() -> Iterator[None]:
    """`-n auto` starts no more processes than a container's quota has CPUs."""
    return min((yield), count_cpus())


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    import datasets

    cache = tmp_path_factory.mktemp("datasets")
    os.environ["HF_DATASETS_CACHE"] = str(cache)  # for commands run as subprocesses
    os.environ["SENTENCE_ORDER_CACHE"] = str(tmp_path_factory.mktemp("prefixes"))
    datasets.config.HF_DATASETS_CACHE = cache
    datasets.disable_progress_bars()


@pytest.fixture
def console_log() -> Iterator[None]:
    """Other tests find the log as it was before a command in this process has sent it to the console."""
    handlers, propagate, level = [*log.handlers], log.propagate, log.level
    yield
    log.handlers[:], log.propagate = handlers, propagate
    log.setLevel(level)


@pytest.fixture(scope="session")
def stories() -> list[list[str]]:
    """Sixty stories of 4 to 8 sentences, in gold order."""
    return [sentences for _, sentences, _ in generate("train", 7, 60)]


@pytest.fixture
def tiny_model(make_model: Callable[..., SentenceOrdererModel]) -> SentenceOrdererModel:
    """A random model of four narrow layers, two of them sentence-local, in evaluation mode."""
    return make_model()


@pytest.fixture(scope="session")
def encoder_folder(stories: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Gives the folder of a random encoder, by its name in `tests/families.py`."""
    folder = tmp_path_factory.mktemp("encoders")

    @functools.cache
    def write(name: str) -> str:
        tokenizer = story_tokenizer(stories) if name in FAMILIES else byte_tokenizer()
        return str(write_encoder(folder / name, name, tokenizer))

    return write


@pytest.fixture(scope="session")
def make_model(
    stories: list[list[str]], encoder_folder: Callable[[str], str], request: pytest.FixtureRequest
) -> Callable[..., SentenceOrdererModel]:
    """Makes tiny models with other settings; the parameter of the fixture, if a test gives one, names their encoder."""

    def make(encoder: str = getattr(request, "param", "bert"), **settings: Any) -> SentenceOrdererModel:
        if encoder not in FAMILIES:
            settings = {"joint_from": "all", **settings}
        return make_tiny(stories, TINY if encoder == "bert" else encoder_folder(encoder), **settings)

    return make


def story_tokenizer(stories: list[list[str]]) -> PreTrainedTokenizerBase:
    return tiny_tokenizer((sentence for story in stories for sentence in story), 500)


def make_tiny(
    stories: list[list[str]],
    name: str,
    joint_from: int | str = 2,
    seed: int = 0,
    joint: Joint = Joint.documents,
    position_ids: PositionIds = PositionIds.per_sentence,
    loss: dict[str, float] | None = None,
    decoder: str = "exact",
    **model: object,
) -> SentenceOrdererModel:
    tokenizer = story_tokenizer(stories) if name == TINY else load_tokenizer(name)
    encoder = EncoderConfig(name=name, joint_from=joint_from, joint=joint, position_ids=position_ids, tiny_width=48)
    weights = LossConfig(**(loss or {"pairwise_logistic": 1.0, "neighbours": 2.0}))
    data, decoding = DataConfig(max_sentence_tokens=64), DecoderConfig(DecoderName(decoder), 64)
    made = build_model(encoder, ModelConfig(**model), tokenizer, data, weights, decoding, seed)  # type: ignore[arg-type]
    with torch.no_grad():  # fresh weights are so small that a model hardly says anything
        for parameter in made.parameters():
            parameter.mul_(4 if parameter.ndim > 1 else 1)
    return made.eval()


@pytest.fixture
def story_files(tmp_path: Path) -> dict[str, Path]:
    """JSONL files of synthetic stories, by split."""
    files = {}
    for split, count in (("train", 80), ("validation", 20), ("test", 20)):
        files[split] = tmp_path / f"{split}.jsonl"
        records = ({"id": i, "sentences": s} for i, s, _ in generate(split, 3, count))
        files[split].write_text("".join(json.dumps(record) + "\n" for record in records))
    return files


@pytest.fixture(scope="session")
def forks(_own_cache: None) -> Iterator[Server]:
    """Runs Python modules without waiting for imports."""
    server = Server()
    yield server
    server.stop()


Torchrun = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def torchrun(tmp_path: Path) -> Iterator[Torchrun]:
    """Starts a command in two processes, in an empty folder; they are killed if they are left at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, module: str = "sentence_order.train") -> "subprocess.Popen[str]":
        launcher = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
        line = [sys.executable, *launcher, "-m", module, *words]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        started.append(
            subprocess.Popen(
                line, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def command(tmp_path: Path, forks: Server) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m sentence_order.<name> arguments` in an empty folder, in a process of its own."""

    def run(name: str, *arguments: str, stdin: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        return forks.run(f"sentence_order.{name}", list(arguments), tmp_path, stdin, variables)

    return run
