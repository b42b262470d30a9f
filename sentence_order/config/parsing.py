"""The strict way from Hydra's composed config to dataclasses.

Hydra would accept `+typo=1` even with a schema, so `parse_config` merges the composed config once more into the bare
schema; after that the code sees dataclasses only.
"""

import argparse
import difflib
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from sentence_order.config.aliases import OPTION_NOTES, VALUES, find_meant
from sentence_order.config.commands import as_typed, override, parse_override
from sentence_order.config.keys import dotted_keys, expand_home, flatten_config, key_infos
from sentence_order.config.schema import SCHEMAS
from sentence_order.errors import UserError

Schema = TypeVar("Schema")

# The YAML configs: inside the package in a wheel, beside it in a source tree.
PACKAGED, BESIDE = (folder / "configs" for folder in Path(__file__).resolve().parents[1:3])
CONFIG_DIR = PACKAGED if PACKAGED.is_dir() else BESIDE

# Hydra's plugins, each with its package, as in hydra-optuna-sweeper.
PLUGINS = {
    "sweeper": ("optuna", "ax", "nevergrad"),
    "launcher": ("joblib", "ray", "rq", "submitit_local", "submitit_slurm"),
}
IN_EXTRA = ("hydra-optuna-sweeper", "hydra-joblib-launcher", "hydra-submitit-launcher")

# As `schema/<name>`, for the defaults lists of the primary configs.
for _name, _schema in SCHEMAS.items():
    ConfigStore.instance().store(group="schema", name=_name, node=_schema, package="_global_")


def parse_flags(words: list[str]) -> argparse.Namespace:
    """Hydra's own flags among the words of a command line, and its `overrides`. Raises UserError for a wrong value."""
    parser = get_args_parser()
    parser.error = _refuse_flag  # type: ignore[method-assign]
    parser.allow_abbrev = False
    return parser.parse_known_intermixed_args(words)[0]


def _refuse_flag(message: str) -> NoReturn:
    raise UserError(message)


def config_dirs(flags: argparse.Namespace) -> list[str]:
    """The folders of one's own configs that a command line names."""
    paths: list[Any] = [flags.config_dir] if flags.config_dir else []
    for word in flags.overrides:
        if word.lstrip("+").startswith("hydra.searchpath=") and (parsed := parse_override(word)):
            found: Any = parsed.value()
            paths += found if isinstance(found, list) else []
    return [str(path).removeprefix("file://") for path in paths]


def search_path(dirs: Sequence[str]) -> list[str]:
    """The override by which Hydra finds the configs in folders of one's own; none without folders."""
    return [override("hydra.searchpath", [f"file://{os.path.abspath(folder)}" for folder in dirs])] if dirs else []


def option_files(group: str, name: str = "", dirs: Iterable[str] = ()) -> dict[str, Path]:
    """The options of a config group that a command has, with their files; also those in folders of one's own."""
    files = {
        path.relative_to(folder / group).with_suffix("").as_posix(): path
        for folder in (*map(Path, dirs), CONFIG_DIR)
        for path in (folder / group).rglob("*.yaml")
    }
    if (group, name) in (("decoder", "train"), ("decoder", "predict")):
        files.pop("all", None)  # for evaluation only
    return dict(sorted(files.items()))


def options_of(group: str, name: str = "", dirs: Iterable[str] = ()) -> list[str]:
    """The names of a group's options."""
    return list(option_files(group, name, dirs))


@contextmanager
def initialized_hydra() -> Iterator[None]:
    """Within the block, `hydra.compose` reads our configs; afterwards those of a program that itself uses Hydra."""
    others = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = others


def parse_config(config: DictConfig, schema: type[Schema]) -> Schema:
    """Turns a composed config into the schema's dataclasses.

    Raises UserError for a key that the schema does not have, a value of a wrong type, or a mandatory key without value.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
        merged = OmegaConf.merge(OmegaConf.structured(schema), plain)
        if missing := sorted(OmegaConf.missing_keys(merged)):
            raise UserError(f"{missing[0]}: no value; give it on the command line: {missing[0]}=VALUE")
        for key, info in key_infos(schema).items():
            if info.is_path and (path := OmegaConf.select(merged, key)) is not None:
                OmegaConf.update(merged, key, expand_home(key, path))
        parsed = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise UserError(format_config_error(error, schema)) from error
    assert isinstance(parsed, schema)
    check_texts(parsed)
    return parsed


def config_from(values: Any, schema: type[Schema]) -> Schema:
    """The config of a program's values: a dictionary, or a config that it may have changed by hand.

    Raises UserError as `parse_config` does.
    """
    plain = _as_plain(values)
    for key in dotted_keys(schema):
        group, _, name = key.partition(".")
        if name and not isinstance(value := plain.get(group, {}), dict):
            raise UserError(f"{group}: holds keys, such as {name}, and is not {value!r}")
    try:
        return parse_config(OmegaConf.create(plain), schema)
    except OmegaConfBaseException as error:  # a value of a type that no config has
        raise UserError(format_config_error(error, schema)) from error


def _as_plain(value: Any) -> Any:
    """A config as dictionaries of all that it holds, also of attributes that are no keys; without types of numpy."""
    if is_dataclass(value) or isinstance(value, dict):
        items = value if isinstance(value, dict) else vars(value)
        return {name: _as_plain(item) for name, item in items.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.item() if hasattr(value, "item") else value


def override_with_typed(config: Schema, given: Schema, typed: list[str]) -> Schema:
    """A config with those keys of another one, of the same schema, that were typed on the command line.

    A group among the overrides (`cache=off`) stands for all of its keys.
    """
    names = [override.split("=", 1)[0].lstrip("+~").split("@")[0] for override in typed]
    merged, source = OmegaConf.structured(config), OmegaConf.structured(given)
    for key in flatten_config(config):
        if any(key == name or key.startswith(f"{name}.") for name in names):
            OmegaConf.update(merged, key, OmegaConf.select(source, key))
    parsed = OmegaConf.to_object(merged)
    assert isinstance(parsed, type(config))
    return parsed


def check_texts(config: Any) -> None:
    """Raises UserError for a text that neither a file's name nor a record can hold, for a list of lists, or a dict."""
    for key, value in flatten_config(config).items():
        if isinstance(value, dict):
            raise UserError(f"{key}: a single value, not {value}")  # which OmegaConf accepts where any type is
        if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
            raise UserError(f"{key}: a list of single values, not {value}")  # which OmegaConf accepts
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and re.search("[\0\ud800-\udfff]", text):
                raise UserError(f"{key}: {text!r} contains a null character, or one that UTF-8 cannot encode")


def did_you_mean(word: str, candidates: list[str]) -> str:
    """`"; did you mean 'x'?"`, or nothing if no candidate is similar."""
    group, _, last = word.rpartition(".")
    own = [candidate for candidate in candidates if group and candidate.startswith(f"{group}.")]
    near = [] if own else difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)
    for among, cutoff in ((own, 0.6), (candidates, 0.9 if group else 0.8)):  # also `epoch` for `trainer.epochs`
        lasts = {candidate.rpartition(".")[2]: candidate for candidate in reversed(among)}
        near = near or [lasts[part] for part in difflib.get_close_matches(last, lasts, n=1, cutoff=cutoff)]
    if not near and len(word) > 2:  # `frozen` for `frozen_vs_unfrozen`
        near = [candidate for candidate in candidates if candidate.startswith(word)]
    return f"; did you mean '{near[0]}'?" if near else ""


def unknown_key(key: str, schema: type) -> str:
    """What to say of a key that is not in the schema."""
    if meant := find_meant(key, "", schema):
        return f"unknown key '{key}'; {meant}"
    keys, group = dotted_keys(schema), key.split(".")[0]
    if owners := [name for name, other in SCHEMAS.items() if key in dotted_keys(other)]:
        return f"unknown key '{key}'; it is one of {' and '.join(owners)}"
    lists = f"; --help {group} lists the keys of {group}" if group in keys else ""
    return f"unknown key '{key}'{did_you_mean(key, keys) or lists}"


def unknown_option(group: str, option: str, options: list[str]) -> str:
    """What to say of an option that a group does not have."""
    suffix, kind = Path(option).suffix.removeprefix("."), group.removeprefix("hydra/")
    suffix = {"txt": "text", "json": "jsonl", "tsv": "csv"}.get(suffix, suffix)
    if option in PLUGINS.get(kind, ()):
        package = f"hydra-{option.split('_')[0]}-{kind}"
        extra = " (or the extra: pip install -e '.[sweep]')" if package in IN_EXTRA else ""
        return f"{group}={option}: a plugin of Hydra that is not installed: pip install {package}{extra}"
    note = OPTION_NOTES.get(group, "").replace("{}", option)
    if group == "data" and (suffix in options or os.path.exists(option)):
        note = f"to name a file: data={suffix if suffix in options else 'FORMAT'} {as_typed('data.train', option)}"
    if group == "freeze" and re.fullmatch(r"-?\d+|half|all", option):
        note = f"the embeddings and these layers: freeze.depth={option}"
    meant = VALUES.get(group, {}).get(option.lower())
    hint = f"; did you mean '{meant}'?" if meant else did_you_mean(option, options)
    hint = "" if note.startswith("to name a file") else hint
    return f"unknown {group} '{option}'{hint or '.'} Available: {', '.join(options)}{note and f'; {note}'}"


def format_config_error(error: OmegaConfBaseException, schema: type) -> str:
    """One line for an OmegaConf error: the full key, what is wrong, and the nearest key that exists."""
    key = re.sub(r"\[\d+\]$", "", error.full_key or str(error.key))
    keys = dotted_keys(schema)
    if key not in keys:
        return unknown_key(key, schema)
    if isinstance(error, ValidationError) and (info := key_infos(schema).get(key)):
        value = "null" if error.value is None else error.value
        if meant := VALUES.get(key, {}).get(str(value)):
            return f"{key}: {value} is not valid; did you mean '{meant}'? Accepted: {info.accepted}"
        return f"{key}: {value} is not valid; accepted: {info.accepted}"
    return f"{key}: {str(error).splitlines()[0]}"


def format_hydra_error(error: Exception, schema: type) -> str:
    """One line for an error of Hydra: what is wrong on the command line, and what was probably meant."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        key, _, value = str(error.override).partition("=")
        typed = shlex.quote(override(key, value.strip("'\"")))
        return f"cannot parse {error.override}; quote special characters: {typed}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        if not group:
            return f"--config-name: no {option}.yaml, neither in --config-dir nor among ours"
        return unknown_option(group, option, sorted(error.options or options_of(group)))  # with those of `--config-dir`
    if no_option := re.search(r"You must specify '(\w+)'", text):
        group = no_option[1]
        return f"{group}: no option chosen; add {group}={'|'.join(options_of(group))}"
    if no_key := re.search(r"Could not (?:override|append) '([^']+)'", text):
        plus = f"; to add it: +{no_key[1]}" if no_key[1].startswith("hydra.") else ""
        return unknown_key(no_key[1], schema) + plus
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return format_config_error(cause, schema)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:3]) or type(error).__name__
