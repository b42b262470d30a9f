"""The config of a run: its file, the overrides that make it, and what another one changes."""

import logging
import re
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sentence_order.config.cli import compose
from sentence_order.config.commands import environment, key_of, override, quote, resume_command, shell, unambiguous
from sentence_order.config.keys import OnResume, flatten_config, key_infos
from sentence_order.config.parsing import check_texts
from sentence_order.config.schema import Source, TrainConfig
from sentence_order.config.validation import find_without_effect
from sentence_order.errors import UserError, first_line, printable
from sentence_order.runtime.files import atomic_file

log = logging.getLogger(__name__)

CONFIG_FILE, OVERRIDES_FILE = "config.yaml", "overrides.yaml"
# Groups of keys that the config of every version has, so that no other program's config passes for one.
KEY_GROUPS = {"data", "encoder", "freeze", "optim", "trainer"}
# Keys of earlier versions, which the files of their runs still have.
FORMER_KEYS = ("batch", "debug.replay", "trainer.workers")
MAX_CHANGES = 8
# What reading a damaged YAML file, or one that is not ours, may raise.
UNREADABLE = (OSError, ValueError, TypeError, AssertionError, RecursionError, yaml.YAMLError, OmegaConfBaseException)


def has_key_groups(config: str) -> bool:
    return {*re.findall(r"^(\w+):", config, re.MULTILINE)} >= KEY_GROUPS


def write_config(folder: Path, config: TrainConfig, typed: Sequence[str]) -> None:
    """Writes the config of a run, and the overrides that were typed for it, now or when it was started."""
    by_key = {text.split("=", 1)[0]: text for text in (*read_overrides(folder), *typed)}
    overrides = [text for key, text in by_key.items() if key not in ("output_dir", "resume", "sweep")]
    for name, content in ((CONFIG_FILE, OmegaConf.structured(config)), (OVERRIDES_FILE, OmegaConf.create(overrides))):
        with atomic_file(folder / name) as stream:
            stream.write(OmegaConf.to_yaml(content))


def find_overrides(config: TrainConfig) -> list[str]:
    """The overrides that make a config of the default one, but for those of the folder and of documents in memory."""
    default = flatten_config(compose("train", ["output_dir=unused"]))
    changed = {key: value for key, value in flatten_config(config).items() if value != default[key]}
    aside = {"output_dir", "resume", *find_without_effect(config)}
    aside |= {"data.source"} if config.data.source is Source.memory else set()
    return [override(key, value) for key, value in changed.items() if key not in aside]


def how_to_resume(config: TrainConfig) -> str:
    """What resumes the run of a config: a command, or a line of Python if a program has passed its documents."""
    if config.data.source is not Source.memory:
        return resume_command(Path(config.output_dir))
    loaded = f"load_config({override('resume', unambiguous(config.output_dir))!r})"
    return f"Trainer({loaded}, train_documents=...).train(), with the same documents"


def how_to_train_on(folder: Path, changes: dict[str, tuple[Any, Any]]) -> str:
    """Advice, with the command or the line of Python that trains on from a run's weights with changed settings; none if
    the weights do not fit these."""
    if any(key == "init_from" or key.split(".")[0] in ("encoder", "model") for key in changes):
        return ""
    overrides = {key_of(text): text for text in read_overrides(folder)}
    overrides |= {key: override(key, given) for key, (_, given) in changes.items()}
    overrides |= {"init_from": override("init_from", unambiguous(folder)), "output_dir": "output_dir=NEW"}
    command = f"{environment()}{shell('train', *overrides.values())}"
    if read_config(folder).data.source is Source.memory:
        overrides.pop("data.source", None)
        command = f"Trainer(load_config({', '.join(map(repr, overrides.values()))}), train_documents=...).train()"
    return f"; to train on from its weights: {command}"


def read_overrides(folder: Path) -> list[str]:
    """The overrides that were typed for a run; none if there is no record of them, or a damaged one."""
    file = folder / OVERRIDES_FILE
    if not file.exists():
        return []
    try:
        overrides = yaml.safe_load(file.read_text(encoding="utf-8"))
        if not isinstance(overrides, list) or not all(isinstance(text, str) for text in overrides):
            raise ValueError("it is not a list of overrides")
    except UNREADABLE as error:
        log.warning("ignoring %s, which is damaged: %s", file, printable(first_line(error)))
        return []
    return [text for text in overrides if key_of(text) not in FORMER_KEYS]


def read_config(folder: Path) -> TrainConfig:
    """The config of a run. Raises UserError if there is none, or it is damaged or not a config of this program."""
    file = folder / CONFIG_FILE
    try:
        text = file.read_text(encoding="utf-8")
        if "${" in text:  # which would read the environment, for one; a run writes plain values
            raise ValueError("it contains an interpolation")
        # A few lines of aliases fill a memory.
        if "*" in text and any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("it contains an alias")

        content = OmegaConf.create(text)
        if not isinstance(content, DictConfig) or not has_key_groups(text):
            raise ValueError("it lacks keys that every config has")
        for key in FORMER_KEYS:
            group, _, name = key.rpartition(".")
            if isinstance(owner := content.get(group) if group else content, DictConfig):
                owner.pop(name, None)
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainConfig), content))
        assert isinstance(config, TrainConfig)
        check_texts(config)
    except PermissionError as error:
        raise UserError(f"{file}: no permission to read it") from error
    except UNREADABLE as error:
        raise UserError(f"{file}: not the config of a run of this version ({first_line(error)})") from error
    return config


def find_changes(
    saved: TrainConfig, given: TrainConfig, kinds: Container[OnResume] = (OnResume.FIXED, OnResume.CHANGEABLE)
) -> dict[str, tuple[Any, Any]]:
    """The keys of some kinds that differ between two configs, with both values; not those whose `auto` was found."""
    infos, old, new = key_infos(TrainConfig), flatten_config(saved), flatten_config(given)
    return {
        key: (old[key], new[key])
        for key, info in infos.items()
        if old[key] != new[key] and info.on_resume in kinds and not (info.found_once and new[key] == "auto")
    }


def format_changes(changes: dict[str, tuple[Any, Any]]) -> str:
    """Changed keys in one line, with their old and new values."""
    texts = [f"{key}: {quote(saved)} saved, {quote(given)} given" for key, (saved, given) in changes.items()]
    more = f"; and {len(texts) - MAX_CHANGES} more" if len(texts) > MAX_CHANGES else ""
    return "; ".join(texts[:MAX_CHANGES]) + more
