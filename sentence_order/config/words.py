"""The words of a command line as Hydra takes them; what it would misunderstand or ignore is refused.

The commands and `cli.compose`, which Python calls, read their overrides here.
"""

import os
import re
import shlex
from argparse import Namespace
from functools import cache, partial
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import ChoiceSweep

from sentence_order.config.aliases import find_meant
from sentence_order.config.commands import override, parse_override, quote, write_override
from sentence_order.config.help import describe_groups
from sentence_order.config.keys import dotted_keys, expand_home, key_infos
from sentence_order.config.parsing import config_dirs, did_you_mean, options_of, parse_flags, unknown_option
from sentence_order.config.schema import SCHEMAS
from sentence_order.errors import UserError

FLAGS = {flag: action for action in get_args_parser()._actions for flag in action.option_strings}
HELP = {"--help", "-h", "--version", "--hydra-help"}
# Of Hydra's own keys, those that work; others have no effect, since a run makes its folder and its log itself.
HYDRA_KEYS = re.compile(r"hydra[./](sweeper|launcher|callbacks)\b.*|hydra\.(searchpath|mode|job\.env_(set|copy)\b.*)")
# What our configs say of these, for a config that does not: that of a run, by --config-name.
HYDRA_SETTINGS = (
    *("hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=none", "hydra/hydra_logging=none"),
    *("hydra.sweep.dir=${output_dir}", "hydra.sweep.subdir=."),  # of a sweep alone
)
HARMLESS = {*HYDRA_SETTINGS, "hydra.job.chdir=false", "hydra.job.chdir=null", "hydra.verbose=false"}
# Groups that need no option, which they do not have by default.
UNSET = {"train": "experiment sweep debug", "evaluate": "data decoder", "predict": "decoder", "demo": ""}


def read_words(name: str, words: list[str], several: str = "add -m to train one run for each") -> list[str]:
    """The words of a command line as Hydra takes them. Raises UserError, which says what to type instead."""
    words = ["-m" if word.lower() == "hydra.mode=multirun" else word for word in words]
    words = [re.sub("(?<=^--config-dir=)~.*", lambda at: expand_home("--config-dir", at[0]), word) for word in words]
    if HELP & set(words):
        return [_replace(name, word) for word in words]
    given = parse_flags(words)
    if given.multirun and name != "train":
        raise UserError(f"-m: {name} is for one checkpoint at a time; only train runs many")
    if given.multirun and (given.cfg or given.info):
        raise UserError("-m: --cfg and --info show a single run; leave out -m, and give each key one value")

    overrides, flags, rest = [], [], list(words)
    while rest:
        word = rest.pop(0)
        flag, has_value, value = word.partition("=")
        if flag in FLAGS:
            flags.append(word)
            takes = (None,) if rest and "=" in rest[0] else (None, "?")
            if rest and not has_value and FLAGS[flag].nargs in takes:
                flags.append(rest.pop(0))
        elif word.startswith("-"):
            following = "" if not rest or re.search("=|^-+[a-z]", rest[0]) else rest[0]
            raise UserError(f"{flag}: keys have no dashes; {_suggest(name, flag.lstrip('-'), value or following)}")
        elif ("=" not in word and not word.startswith("~")) or _has_spaces(word, rest):
            raise UserError(_explain_bare_word(name, word, rest, config_dirs(given)))
        elif (word := _replace(name, word)) not in [f"{group}=null" for group in UNSET[name].split()]:
            overrides.append(word)
            _check(name, word, given, several)
    if given.config_name is not None:
        settings = HYDRA_SETTINGS[: None if given.multirun else -2]
        overrides += [text for text in settings if text not in overrides]
    return [*overrides, *flags]  # Hydra refuses overrides on both sides of a flag


def _replace(name: str, word: str) -> str:
    """An override as Hydra takes it, if it would not as it was typed."""
    word = re.sub(r"^(\S+) *= *", r"\1=", word)
    word = re.sub(r"^cache=(?=.*/)", "cache.dir=", word)  # a folder is not an option of the group
    key, sign, value = word.partition("=")
    if sign and (plain := key.lstrip("+")) in _keys(name):  # `+experiment=x`, as Hydra's own pages have it
        key, word = plain, f"{plain}={value}"
    info, path = key_infos(SCHEMAS[name]).get(key), value.strip("'\"")
    if key == "output_dir" and path.startswith("~"):  # whose folder Hydra itself makes for a sweep
        return override(key, expand_home(key, path))
    if info and info.is_path and "~" in value and parse_override(word) is None:  # Hydra does not parse the sign
        return re.sub(r"([=[,])(~[^],]*)", r'\1"\2"', word)
    return word


def _check(name: str, word: str, flags: Namespace, several: str) -> None:
    """Raises UserError if an override would be misunderstood or ignored."""
    key, _, value = word.partition("=")
    parsed, infos, keys, dirs = parse_override(word), key_infos(SCHEMAS[name]), _keys(name), config_dirs(flags)
    unknown = key.lstrip("+")
    is_known = key in keys or unknown.startswith(("hydra.", "hydra/", "~"))
    is_known = is_known or any(os.path.isdir(os.path.join(folder, unknown)) for folder in dirs)
    if not is_known and (meant := find_meant(unknown, value, SCHEMAS[name])):
        raise UserError(f"unknown key '{unknown}'; {meant}")
    if parsed is None:
        return

    found: Any = parsed.value()
    if key in keys and found == "":
        raise UserError(f"{key}: no value; write {key}=VALUE")
    if key == "sweep" and not isinstance(found, str):
        raise UserError(f"{word}: one sweep at a time. Available: {', '.join(options_of(key, name, dirs))}")
    is_sweep = flags.multirun or any(re.match("sweep=(?!null$)", text) for text in flags.overrides)
    if unknown.startswith(("hydra.", "hydra/")):
        _check_hydra(unknown, value, is_sweep)
    # Not all options are known of a config that is not ours, or with a folder that is in a package.
    if key in describe_groups(name) and flags.config_name is None and not any("pkg://" in folder for folder in dirs):
        options = options_of(key, name, dirs)
        for option in found.list if isinstance(found, ChoiceSweep) else found if isinstance(found, list) else [found]:
            text = option if isinstance(option, str) else str(getattr(option, "text", None) or quote(option))
            if "${" not in text and text.removesuffix(".yaml") not in options:
                raise UserError(unknown_option(key, text, options))
    if parsed.is_sweep_override() and not is_sweep:
        accepted = infos[key].accepted if key in infos else ""
        hints = [several] if name == "train" and not accepted.startswith("list") else []
        if "list of" in accepted:
            hints.append(f"as a list: {shlex.quote(f'{key}=[{value}]')}")
        elif key in infos and (infos[key].is_path or "text" in accepted):
            hints.append(f"as one: {shlex.quote(override(key, value))}")
        raise UserError(f"{word}: several values; {', or '.join(hints) or 'give one'}")


def _check_hydra(key: str, value: str, is_sweep: bool) -> None:
    """Raises UserError for one of Hydra's own keys that has no effect, unless its value is that of our configs."""
    if re.match("hydra[./](sweeper|launcher)", key) and not is_sweep:
        raise UserError(f"{key}: no effect here; sweepers and launchers need train -m on the command line")
    if HYDRA_KEYS.fullmatch(key) or f"{key}={value}".lower() in HARMLESS:
        return
    if re.match("hydra[./](verbose|job_logging|hydra_logging)", key):
        raise UserError(f"{key}: no effect here; train.log in a run's folder has every line")
    folder = f"={value}" if key in ("hydra.run.dir", "hydra.sweep.dir") else ""
    raise UserError(f"{key}: no effect here; a run's folder is output_dir{folder}")


@cache
def _keys(name: str) -> list[str]:
    """What may stand before the sign: keys and groups."""
    return list(dict.fromkeys([*dotted_keys(SCHEMAS[name]), *describe_groups(name)]))


def _suggest(name: str, key: str, value: str) -> str:
    """What to type for a key, or something like it."""
    if key in _keys(name):
        return f"write {write_override(key, value or 'VALUE')}"
    return find_meant(key, value, SCHEMAS[name]) or f"write KEY=VALUE{did_you_mean(key, _keys(name))}"


def _explain_bare_word(name: str, word: str, rest: list[str], dirs: list[str]) -> str:
    """What is wrong with a word that is no override, and what to type."""
    following = rest[0] if rest else ""
    if _has_spaces(word, rest):
        value = following.removeprefix("=") or "".join(rest[1:2])
        return f"no spaces around =: {word.removesuffix('=')}={value}"
    if word in _keys(name):
        return f"{word}: write {word}={following if following and '=' not in following else 'VALUE'}"
    groups = describe_groups(name)
    if group := next((group for group in groups if word in options_of(group, name, dirs)), None):
        return f"{word}: write {group}={word}"
    texts = [text for text in map(partial(_guess_override, name), [word, *rest]) if text]
    if texts:
        return f"{word}: a word without a key; write {' '.join(texts)}"
    return f"cannot parse {word}; {_suggest(name, word, following if '=' not in following else '')}"


def _guess_override(name: str, word: str) -> str:
    """An override for the name of a folder or a file; empty for other words."""
    if os.path.isdir(word) or (name != "train" and re.fullmatch(r"[\w-]+/[\w.-]+", word) and not os.path.isfile(word)):
        return shlex.quote(override("resume" if name == "train" else "checkpoint", word))
    if name != "demo" and (os.path.isfile(word) or re.search(r"\w\.\w+$", word)):
        key = {"train": "data.train", "evaluate": "data.test", "predict": "input"}[name]
        format_name = os.path.splitext(word)[1][1:].replace("txt", "text")
        group = f"data={format_name} " if name != "predict" and format_name in options_of("data") else ""
        return group + shlex.quote(override(key, word))
    return ""


def _has_spaces(word: str, rest: list[str]) -> bool:
    """True for the words of `key = value`, and if one space is missing."""
    following = rest[0] if rest else ""
    return following.startswith("=") or (word.endswith("=") and bool(following) and not re.search("=|^-", following))
