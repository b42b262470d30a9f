"""Several processes evaluate a checkpoint to what one alone finds."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.model.modeling import SentenceOrdererModel
from tests.conftest import Torchrun

DATA = ("data=jsonl", "data.test=documents/*.jsonl", "device=cpu", "batch_tokens=300", "bootstrap_resamples=20")


@pytest.fixture
def checkpoint(tiny_model: SentenceOrdererModel, stories: list[list[str]], tmp_path: Path) -> str:
    """A model whose two lowest layers are frozen, beside documents in several files."""
    tiny_model.config.frozen_blocks = [0, 1, 2]
    SentenceOrderer(tiny_model).save_pretrained(tmp_path / "checkpoint")
    (tmp_path / "documents").mkdir()
    for number in range(4):
        lines = [json.dumps({"id": f"{number}-{n}", "sentences": s}) for n, s in enumerate(stories[number::4])]
        (tmp_path / "documents" / f"{number}.jsonl").write_text("\n".join(lines) + "\n")
    return "checkpoint=checkpoint"


@pytest.mark.slow
@pytest.mark.parametrize("cache", [("cache=off",), ("cache.dir=cache",)], ids=["uncached", "cached"])
def test_two_processes_evaluate_as_one(
    checkpoint: str, torchrun: Torchrun, command: Callable[..., Any], tmp_path: Path, cache: tuple[str, ...]
) -> None:
    """To the last bit. The main process fills the cache, prints and writes."""
    for name in ("one", "two"):
        words = [checkpoint, *DATA, f"output={name}.json", f"predictions={name}.jsonl"]
        words += [word.replace("=cache", f"={name}") for word in cache]  # of its own, which is empty
        if name == "one":
            done = command("evaluate", *words)
            code, err = done.returncode, done.stderr
        else:
            process = torchrun(*words, module="sentence_order.evaluate")
            err = process.communicate(timeout=250)[1]
            code = process.returncode
        assert code == 0, err
        assert len(re.findall("test: +60 documents", err)) == 2  # when it is read, and above a table
        assert len(re.findall("prefix cache: on; .* computing", err)) == (cache != ("cache=off",))
    for suffix in ("json", "jsonl"):
        assert (tmp_path / f"two.{suffix}").read_bytes() == (tmp_path / f"one.{suffix}").read_bytes()
    assert len(json.loads((tmp_path / "one.json").read_text())["test"]["per_document"]["id"]) == 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (["{\n"], r"documents/0\.jsonl:1: not JSON: "),
        (['["One."]\n'] * 4, r"data\.test: .*two sentences"),  # which is known when all are loaded
    ],
)
def test_a_mistake_in_the_data_is_printed_once(
    checkpoint: str, torchrun: Torchrun, tmp_path: Path, texts: list[str], named: str
) -> None:
    for number, text in enumerate(texts):
        (tmp_path / "documents" / f"{number}.jsonl").write_text(text)
    process = torchrun(checkpoint, *DATA, module="sentence_order.evaluate")
    err = process.communicate(timeout=250)[1]
    assert process.returncode != 0
    (error,) = re.findall("^error: .*", err, re.M)
    assert re.match(f"error: {named}", error), err
