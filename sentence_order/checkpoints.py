"""Loads a checkpoint folder that a user named, with one clear line for what is wrong with it."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from sentence_order.errors import UserError, first_line
from sentence_order.files import MANIFEST, damage
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.modeling import SentenceOrderer

NEEDED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def load_checkpoint(checkpoint: str, key: str = "checkpoint") -> SentenceOrderer:
    """Loads `checkpoint`, a folder (or a run's folder, whose best checkpoint is meant) or a hub id.

    Raises:
        UserError: naming the config `key`; it is not a checkpoint of this program, or a part of it is missing or cut
            short.
    """
    folder = Path(checkpoint)
    if not folder.exists():
        if checkpoint.count("/") != 1 or checkpoint.startswith((".", "/")):
            raise UserError(f"{key}: {checkpoint}: no such folder")
        return _load(checkpoint, f"{key}: {checkpoint} is no folder here, and could not be loaded from the hub")
    if (folder / "checkpoints" / "best").is_dir():
        folder = folder / "checkpoints" / "best"
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{key}: {folder} is not a whole checkpoint: no {', '.join(missing)}")
    _check_config(folder / "config.json", key)
    if problem := damage(folder):
        raise UserError(f"{key}: {folder} is damaged: {problem}; if you have changed it yourself, remove {MANIFEST}")
    weights = folder / "model.safetensors"
    try:
        with safe_open(weights, framework="pt"):
            pass  # opening checks the header against the file's size
    except (SafetensorError, OSError) as error:
        raise UserError(f"{key}: {weights} is damaged or cut short: {error}") from error
    return _load(str(folder), f"{key}: {folder} could not be loaded")


def _check_config(path: Path, key: str) -> None:
    try:
        model_type = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise UserError(f"{key}: {path} is damaged: {error}") from error
    if model_type != SentenceOrdererConfig.model_type:
        raise UserError(
            f"{key}: {path.parent} holds a model of type {model_type!r}, not {SentenceOrdererConfig.model_type!r}"
        )


def _load(location: str, complaint: str) -> SentenceOrderer:
    try:
        model, report = SentenceOrderer.from_pretrained(location, output_loading_info=True)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AssertionError) as error:
        raise UserError(f"{complaint}: {first_line(error)}") from error
    if report["missing_keys"]:
        raise UserError(f"{complaint}: no weights for {sorted(report['missing_keys'])[0]}")
    model.eval()
    return model
