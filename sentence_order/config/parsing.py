"""The strict way from Hydra's composed config to dataclasses.

Hydra would accept `+typo=1` even with a schema, so `parse_config` merges the composed config once more into the bare
schema; after that the code sees dataclasses only.
"""

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.config_store import ConfigStore
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from sentence_order.config.commands import as_typed
from sentence_order.config.keys import dotted_keys, flatten_config, key_infos
from sentence_order.config.schema import SCHEMAS
from sentence_order.errors import UserError

Schema = TypeVar("Schema")

# The YAML configs: inside the package in a wheel, beside it in a source tree.
PACKAGED, BESIDE = (folder / "configs" for folder in Path(__file__).resolve().parents[1:3])
CONFIG_DIR = PACKAGED if PACKAGED.is_dir() else BESIDE

# As `schema/<name>`, for the defaults lists of the primary configs.
for _name, _schema in SCHEMAS.items():
    ConfigStore.instance().store(group="schema", name=_name, node=_schema, package="_global_")


def options_of(group: str) -> list[str]:
    """The options of a config group: the files of its folder."""
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


def parse_config(config: DictConfig, schema: type[Schema]) -> Schema:
    """Turns a composed config into the schema's dataclasses.

    Raises UserError for a key that the schema does not have, a value of a wrong type, or a mandatory key without value.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
        merged = OmegaConf.merge(OmegaConf.structured(schema), plain)
        if missing := sorted(OmegaConf.missing_keys(merged)):
            raise UserError(f"{missing[0]}: no value; give it on the command line: {missing[0]}=VALUE")
        parsed = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise UserError(format_config_error(error, schema)) from error
    assert isinstance(parsed, schema)
    check_texts(parsed)
    return parsed


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
    near = difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)
    if not near:  # a key typed without its group: `epoch` for `trainer.epochs`
        last = {candidate.rsplit(".", 1)[-1]: candidate for candidate in reversed(candidates)}
        near = [last[part] for part in difflib.get_close_matches(word.rsplit(".", 1)[-1], last, n=1, cutoff=0.8)]
    return f"; did you mean '{near[0]}'?" if near else ""


def format_config_error(error: OmegaConfBaseException, schema: type) -> str:
    """One line for an OmegaConf error: the full key, what is wrong, and the nearest key that exists."""
    key = re.sub(r"\[\d+\]$", "", error.full_key or str(error.key))
    keys = dotted_keys(schema)
    if key not in keys:
        return f"unknown key '{key}'{did_you_mean(key, keys)}"
    if isinstance(error, ValidationError) and (info := key_infos(schema).get(key)):
        value = "null" if error.value is None else error.value
        return f"{key}: {value} is not valid; accepted: {info.accepted}"
    return f"{key}: {str(error).splitlines()[0]}"


def format_hydra_error(error: Exception, schema: type) -> str:
    """One line for an error of Hydra: what is wrong on the command line, and what was probably meant."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return f"cannot parse {error.override}; quote special characters: 'key=\"value\"'"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        options = sorted(error.options or options_of(group))  # with those of `--config-dir`
        hint = did_you_mean(option, options) or "."
        more = f"; to name a folder: cache=./{option}" if group == "cache" else ""
        if group.startswith("hydra/"):
            more = "; plugins of Hydra come with the extra: pip install -e '.[sweep]'"
        suffix = Path(option).suffix.removeprefix(".").replace("txt", "text")
        if group == "data" and suffix in options:
            hint, more = ".", f"; to name a file: data={suffix} {as_typed('data.train', option)}"
        return f"unknown {group} '{option}'{hint} Available: {', '.join(options)}{more}"
    if no_option := re.search(r"You must specify '(\w+)'", text):
        group = no_option[1]
        return f"{group}: no option chosen; add {group}={'|'.join(options_of(group))}"
    if no_key := re.search(r"Could not (?:override|append) '([^']+)'", text):
        return f"unknown key '{no_key[1]}'{did_you_mean(no_key[1], dotted_keys(schema))}"
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return format_config_error(cause, schema)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:3]) or type(error).__name__
