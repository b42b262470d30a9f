"""Loads the checkpoint that a user named, with one clear line for what is wrong with it."""

import re
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

from sentence_order.errors import UserError, first_line
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.independence import check_independence
from sentence_order.model.locations import REQUIRED_FILES, find_local_checkpoint, read_checkpoint_config
from sentence_order.model.modeling import DOCUMENTS_FILE, SentenceOrdererModel, former_names
from sentence_order.model.weights import check_memory, count_numbers, find_mismatch, shapes_of
from sentence_order.runtime.manifest import CARD_FILE, MANIFEST, find_corruption

FLOATS = ("F16", "BF16", "F32", "F64")  # as safetensors calls them
# What transformers would load in place of, or on top of, the weights that are checked here.
FOREIGN_FILES = ("shard-*.safetensors", "adapter_*")


def find_checkpoint(checkpoint: str, key: str = "checkpoint", **hub: Any) -> Path:
    """The folder of a checkpoint: one on this machine, the best one of a run's folder, or one downloaded from the hub.

    The `hub` options are those of `huggingface_hub.snapshot_download`. Raises UserError, which begins with the config
    `key`, if there is none, it is not one of this program, or a part of it is missing or damaged.
    """
    try:
        return _find_checkpoint(checkpoint, key, hub)
    except OSError as error:
        raise UserError(f"{key}: {error.filename}: {error.strerror}") from error


def _find_checkpoint(checkpoint: str, key: str, hub: dict[str, Any]) -> Path:
    folder = find_local_checkpoint(checkpoint, key)
    if folder is None:
        try:
            files = [*REQUIRED_FILES, "*.json", DOCUMENTS_FILE, MANIFEST, CARD_FILE]
            downloaded = snapshot_download(checkpoint, allow_patterns=files, **hub)
        except Exception as error:  # no such name, no network, and what else may happen on the way
            raise UserError(
                f"{key}: {checkpoint} is not a folder here, and could not be loaded from the hub: {first_line(error)}"
            ) from error
        return _find_checkpoint(downloaded, key, {})

    for name in REQUIRED_FILES:
        (folder / name).open("rb").close()  # for a missing permission, safetensors would say that there is no file
    if foreign := [file.name for pattern in FOREIGN_FILES for file in folder.glob(pattern)]:
        raise UserError(f"{key}: {folder} contains {foreign[0]}, which is not part of a checkpoint of this program")

    read_checkpoint_config(folder, key)
    if problem := find_corruption(folder, REQUIRED_FILES, [DOCUMENTS_FILE]):
        raise UserError(f"{key}: {folder} is damaged: {problem}; if you have changed it yourself, remove {MANIFEST}")
    return folder


def load_checkpoint(checkpoint: str, key: str = "checkpoint") -> SentenceOrdererModel:
    """Loads the model of a checkpoint with its tokenizer, in evaluation mode: see `find_checkpoint`."""
    return load_model(find_checkpoint(checkpoint, key), key)


def load_model(folder: Path, key: str = "checkpoint") -> SentenceOrdererModel:
    """Loads the model of a folder that `find_checkpoint` has found. Raises UserError."""
    weights = folder / "model.safetensors"
    try:
        with safe_open(weights, framework="pt") as file:  # which checks the header against the file's size
            header = {name: file.get_slice(name) for name in list(file.keys())}
            types = {name: entry.get_dtype() for name, entry in header.items()}
            found = {name: tuple(entry.get_shape()) for name, entry in header.items()}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{key}: {weights} is damaged or truncated: {first_line(error)}") from error
    complaint = f"{key}: {folder} could not be loaded"
    try:
        config = SentenceOrdererConfig.from_pretrained(folder)
        for former, name in former_names(config).items():
            found = {re.sub(former, name, key): shape for key, shape in found.items()}
        with torch.device("meta"):
            empty = SentenceOrdererModel(config)
        made = empty.state_dict()
        expected = shapes_of(made)
        integers = {name for name, weight in made.items() if not weight.is_floating_point()}  # such as position ids
        if no_floats := [name for name in types if types[name] not in FLOATS and name not in integers]:
            raise ValueError(f"{no_floats[0]} does not hold floating-point numbers")
        if mismatch := find_mismatch(found, expected):
            raise ValueError(mismatch)
        if unexpected := found.keys() - expected.keys():
            raise ValueError(f"config.json does not expect the weights {min(unexpected)}")
        check_memory(count_numbers(empty), sum(map(prod, found.values())))
        with ExitStack() as stack:
            if transformers.logging.is_progress_bar_enabled():  # which would be for the weights of one file
                transformers.logging.disable_progress_bar()
                stack.callback(transformers.logging.enable_progress_bar)
            model = SentenceOrdererModel.from_pretrained(folder, config=config)
    except Exception as error:  # what a library makes of a damaged file may be anything
        raise UserError(f"{complaint}: {first_line(error)}") from error
    if broken := [name for name, weight in model.state_dict().items() if not weight.isfinite().all()]:
        raise UserError(f"{complaint}: {broken[0]} contains NaN or infinity")
    if (documents := folder / DOCUMENTS_FILE).is_file():
        model.training_documents = np.fromfile(documents, dtype="<u8")
    check_independence(model.eval(), f"{key}: {folder}")
    return model
