"""Loads a checkpoint folder that a user named, with one clear line for what is wrong with it."""

import json
import os
from pathlib import Path

from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

from sentence_order.errors import UserError, first_line
from sentence_order.files import MANIFEST, damage
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.modeling import SentenceOrderer

NEEDED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
# What transformers would load in place of, or on top of, the weights that are checked here.
FOREIGN = ("shard-*.safetensors", "adapter_*")
FLOATS = ("F16", "BF16", "F32", "F64")


def load_checkpoint(checkpoint: str, key: str = "checkpoint", finite: bool = True) -> SentenceOrderer:
    """Loads `checkpoint`, a folder (or a run's folder, whose best checkpoint is meant) or a hub id.

    Args:
        finite: its weights must be finite numbers.

    Raises:
        UserError: naming the config `key`; it is not a checkpoint of this program, or a part of it is missing or cut
            short.
    """
    folder = Path(checkpoint)
    if not os.path.exists(checkpoint):
        if checkpoint.count("/") != 1 or checkpoint.startswith((".", "/")):
            raise UserError(f"{key}: {checkpoint}: no such folder")
        folder = _from_hub(checkpoint, key)
    if (folder / "checkpoints" / "best").is_dir():
        folder = folder / "checkpoints" / "best"
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{key}: {folder} is not a whole checkpoint: no {', '.join(missing)}")
    if foreign := [file.name for pattern in FOREIGN for file in folder.glob(pattern)]:
        raise UserError(f"{key}: {folder} holds {foreign[0]}, which is no part of a checkpoint of this program")
    _check_config(folder / "config.json", key)
    if problem := damage(folder):
        raise UserError(f"{key}: {folder} is damaged: {problem}; if you have changed it yourself, remove {MANIFEST}")
    weights = folder / "model.safetensors"
    try:
        with safe_open(weights, framework="pt") as file:  # which checks the header against the file's size
            odd = [name for name in file.keys() if file.get_slice(name).get_dtype() not in FLOATS]  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{key}: {weights} is damaged or cut short: {first_line(error)}") from error
    if odd:
        raise UserError(f"{key}: {weights} is damaged: {odd[0]} is of no type of fractions")
    model = _load(str(folder), f"{key}: {folder} could not be loaded")
    if finite and (broken := [name for name, weight in model.state_dict().items() if not weight.isfinite().all()]):
        raise UserError(f"{key}: {folder} could not be loaded: {broken[0]} is not all finite numbers")
    return model


def _from_hub(name: str, key: str) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=[*NEEDED, MANIFEST]))
    except Exception as error:  # no such name, no network, and what else may happen on the way
        raise UserError(
            f"{key}: {name} is no folder here, and could not be loaded from the hub: {first_line(error)}"
        ) from error


def _check_config(path: Path, key: str) -> None:
    try:
        model_type = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{key}: {path} is damaged: {error}") from error
    if model_type != SentenceOrdererConfig.model_type:
        raise UserError(
            f"{key}: {path.parent} holds a model of type {model_type!r}, not {SentenceOrdererConfig.model_type!r}"
        )


def _load(location: str, complaint: str) -> SentenceOrderer:
    try:
        model, report = SentenceOrderer.from_pretrained(
            location, output_loading_info=True, ignore_mismatched_sizes=True
        )
    except Exception as error:  # what a library makes of a damaged file may be anything
        raise UserError(f"{complaint}: {first_line(error)}") from error
    if report["mismatched_keys"]:
        name, there, told = sorted(report["mismatched_keys"])[0]
        raise UserError(f"{complaint}: {name} is {tuple(there)}, and by config.json {tuple(told)}")
    if report["missing_keys"]:
        raise UserError(f"{complaint}: no weights for {sorted(report['missing_keys'])[0]}")
    if report["unexpected_keys"]:
        raise UserError(
            f"{complaint}: config.json tells of no {sorted(report['unexpected_keys'])[0]}, which has weights"
        )
    model.eval()
    return model
