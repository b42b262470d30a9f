"""The text of `--help`, of all groups and keys or of those named; docs/configuration.md is made of the same parts."""

import itertools
import re
import shutil
import textwrap
from collections.abc import Iterable
from dataclasses import fields
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import hydra
from omegaconf import MISSING, OmegaConf

from sentence_order.config.aliases import find_meant
from sentence_order.config.commands import override
from sentence_order.config.keys import key_infos
from sentence_order.config.parsing import (
    CONFIG_DIR,
    config_dirs,
    did_you_mean,
    initialized_hydra,
    option_files,
    options_of,
    parse_flags,
    search_path,
)
from sentence_order.config.schema import SCHEMAS
from sentence_order.errors import UserError

TEXT_COLUMN, OPTION_COLUMN, MAX_WIDTH, UNKNOWN_WIDTH = 38, 24, 120, 100


def help_text(name: str, words: list[str]) -> str:
    """The help on a command under the overrides among its words; others than these name the groups and keys to explain.

    It replaces Hydra's own, which takes over a second to list the groups. Raises UserError for an unknown name.
    """
    flags = parse_flags(words)
    topics = [word for word in flags.overrides if re.fullmatch(r"\w+(\.\w+)*", word)]
    given = [] if flags.multirun else [word for word in flags.overrides if word not in topics]
    given += search_path(dirs := config_dirs(flags))
    typed = compose_typed(name, given)
    return "\n\n".join(_explain(name, topic, dirs, *typed) for topic in topics) or _list_all(name, dirs, *typed)


def _list_all(name: str, dirs: list[str], values: dict[str, str], choices: dict[str, str]) -> str:
    lines, groups = read_header(CONFIG_DIR / f"{name}.yaml"), describe_groups(name)
    lines += ["", "Groups (for more: --help GROUP):"] if groups else []
    for group, text in groups.items():
        options = options_of(group, name, dirs)
        lines += _columns([(choices[group], text), ("", f"Options: {', '.join(options)}.")][: len(options)])

    lines += ["", "Keys (--help KEY also lists what a key accepts):"]
    infos = key_infos(SCHEMAS[name])
    in_order = sorted(infos, key=lambda key: "." in key)  # those without a group first
    for _, keys in itertools.groupby(in_order, lambda key: key.rpartition(".")[0]):
        lines += [*_columns((values[key], infos[key].help) for key in keys), ""]
    return "\n".join(lines).rstrip()


def _explain(name: str, topic: str, dirs: list[str], values: dict[str, str], choices: dict[str, str]) -> str:
    """A group with its options and keys, or a single key."""
    infos, groups = key_infos(SCHEMAS[name]), describe_groups(name)
    found = {key: info for key, info in infos.items() if topic in (key, key.split(".")[0])}
    if not found and topic not in groups:
        meant = find_meant(topic, "", SCHEMAS[name])
        names = f"groups: {', '.join(groups)}" if groups else f"keys: {', '.join(infos)}"
        hint = f"; {meant}" if meant else did_you_mean(topic, [*groups, *infos]) or f"; {names}"
        raise UserError(f"--help {topic}: no such group or key{hint}")

    lines = []
    if topic in groups:
        lines += [f"{topic}: {groups[topic]}", "", f"Options (now {choices[topic]}):"]
        for option, (command, text) in read_options(topic, name, dirs).items():
            lines += _columns([(option, text), ("", command)], OPTION_COLUMN)
        lines += ["", "Keys:"] if found else []
    return "\n".join(lines + _columns((values[key], f"{info.help} ({info.accepted})") for key, info in found.items()))


def describe_groups(name: str) -> dict[str, str]:
    """The groups in a command's defaults list, with the texts of the schema and of the comments there."""
    yaml = (CONFIG_DIR / f"{name}.yaml").read_text(encoding="utf-8")
    texts = {field.name: field.type.__doc__ for field in fields(SCHEMAS[name]) if isinstance(field.type, type)}
    entries = re.findall(r"^  - (\w+): \w+(?:  # (.+))?$", yaml, re.M)
    return {group: " ".join(filter(None, [texts.get(group), comment])) for group, comment in entries}


def read_options(group: str, name: str = "", dirs: Iterable[str] = ()) -> dict[str, tuple[str, str]]:
    """The options of a group: the command that the header of each file begins with, and what the header says."""
    options = {}
    for option, path in option_files(group, name, dirs).items():
        lines = [line for line in read_header(path) if "@package" not in line] or [f"{group}={option}"]
        end = 1 + next((number for number, line in enumerate(lines) if not line.endswith("\\")), 0)
        options[option] = " ".join(" ".join(lines[:end]).replace("\\", "").split()), " ".join(lines[end:])
    return options


def read_header(path: Path) -> list[str]:
    """The comment that a YAML file opens with."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line[1:].removeprefix(" ") for line in itertools.takewhile(lambda line: line.startswith("#"), lines)]


def compose_typed(name: str, overrides: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The value of every key and the option of every group, as one types them, under some overrides."""
    with initialized_hydra():
        config = hydra.compose(name, overrides, return_hydra_config=True)
    choices = {group: override(group, config.hydra.runtime.choices[group]) for group in describe_groups(name)}
    own = OmegaConf.masked_copy(config, [field.name for field in fields(SCHEMAS[name])])
    plain: Any = OmegaConf.to_container(own, enum_to_str=True)
    found = {key: reduce(getitem, key.split("."), plain) for key in key_infos(SCHEMAS[name])}
    return {key: override(key, "VALUE" if value == MISSING else value) for key, value in found.items()}, choices


def _columns(rows: Iterable[tuple[str, str]], start: int = TEXT_COLUMN) -> list[str]:
    """Lines of words and their texts, which begin at one column and are wrapped to the terminal."""
    width = max(start + 30, min(shutil.get_terminal_size((UNKNOWN_WIDTH, 0)).columns, MAX_WIDTH))
    lines: list[str] = []
    indent = " " * start
    for word, text in rows:
        head = f"  {word} ".ljust(start)
        if len(head) > start:
            lines, head = [*lines, head.rstrip()], indent
        wrapper = textwrap.TextWrapper(width, head, indent, break_on_hyphens=False)
        lines += wrapper.wrap(text) or [head.rstrip()]
    return lines
