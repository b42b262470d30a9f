"""Runs an entry point under Hydra and turns a user's mistakes into one clear line and exit code 2."""

import errno
import itertools
import os
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NoReturn

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sentence_order.config import (
    SCHEMAS,
    config_dir,
    did_you_mean,
    dotted_keys,
    explain,
    parse_config,
    register_schemas,
)
from sentence_order.errors import Interrupted, TrainingError, UserError
from sentence_order.sweep import Sweep


def run(name: str, task: Callable[[Any], None]) -> None:
    """Composes `configs/<name>.yaml` with the command line's overrides and calls `task` with the parsed config."""
    # Hydra then raises its errors to us instead of printing them in its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    register_schemas()
    sys.argv[1:] = as_hydra_takes_them(sys.argv[1:])
    sweep = None
    if name == "train":
        sweep, sys.argv[1:] = Sweep.of(sys.argv[1:])
        if sweep is not None and "LOCAL_RANK" in os.environ:
            _stop("a sweep's jobs are started by the sweep, each in a process of its own; leave out torchrun", 2)

    def job(config: DictConfig) -> float | None:
        if sweep is not None:
            return sweep.job(config)
        # Inside the job, because Hydra prints a line of its own for an exception that leaves it.
        try:
            task(parse_config(config, SCHEMAS[name]))
        except UserError as error:
            _stop(str(error), 2)
        except TrainingError as error:
            _stop(str(error), 1)
        return None

    try:
        if {"--help", "-h"} & set(sys.argv[1:]):
            print(help_text(name), flush=True)
        else:
            hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=name)(job)()
            if sweep is not None and not sweep.finish():
                sys.exit(1)
    except (HydraException, OmegaConfBaseException) as error:
        _stop(one_line(error, SCHEMAS[name]), 2)
    except ValueError as error:
        if "Config group override" not in str(error):  # what Hydra raises for a group that is given a number
            raise
        _stop(str(error), 2)
    except Interrupted as error:
        print(error, file=sys.stderr)
        sys.exit(128 + error.signal)
    except KeyboardInterrupt:
        _stop("interrupted; the same command goes on where this one stopped" if sweep else "interrupted", 130)
    except BrokenPipeError:  # the reader of our output went away: `predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # an option of a group, of which Hydra looks for the file
            raise
        _stop("the name of an option is too long to be that of a file", 2)


def compose(name: str, overrides: list[str]) -> Any:
    """The parsed config that an entry point would get from a command line.

    Raises:
        UserError: for what it would refuse.
    """
    register_schemas()
    within_a_job = GlobalHydra.instance().is_initialized()
    try:
        with nullcontext() if within_a_job else hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
            return parse_config(hydra.compose(name, as_hydra_takes_them(overrides)), SCHEMAS[name])
    except HydraException as error:
        raise UserError(one_line(error, SCHEMAS[name])) from error


def as_hydra_takes_them(overrides: list[str]) -> list[str]:
    """A folder is no option of the group `cache`: `cache=./here` stands for `cache.dir=./here`."""
    return [re.sub(r"^cache=(?=.*/)", "cache.dir=", override) for override in overrides]


def help_text(name: str) -> str:
    """What can be set, and to what: the primary config's own header, the groups, the keys with their defaults.

    In place of Hydra's, which takes over a second to list the groups.
    """
    yaml = (config_dir() / f"{name}.yaml").read_text(encoding="utf-8")
    header = itertools.takewhile(lambda line: line.startswith("#"), yaml.splitlines())
    groups = [group for group in re.findall(r"^  - (\w+): ", yaml, re.M) if options_of(group)]
    overrides = [word for word in sys.argv[1:] if not word.startswith("-")]
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        try:
            config = hydra.compose(name, overrides)
        except HydraException:  # a group that has no default
            config = OmegaConf.structured(SCHEMAS[name])
    lines = [line[1:].removeprefix(" ") for line in header]
    lines += ["", "Groups:", *(f"  {group}={'|'.join(options_of(group))}" for group in groups)]
    return "\n".join([*lines, "", "Keys:", OmegaConf.to_yaml(config)])


def options_of(group: str) -> list[str]:
    """The options of a config group, which are the files of its folder."""
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def one_line(error: Exception, schema: type) -> str:
    """What was wrong on the command line, and what was probably meant."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if isinstance(error, OverrideParseException):
        return f"{error.override}: not understood ({lines[0]}); quote what is special: 'key=\"value\"'"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        there = options_of(group)
        folder = f"; to name a folder: cache=./{option}" if group == "cache" else ""
        there_are = f"(there are {', '.join(there)}{folder})"
        return f"{group}={option}: there is no such option{did_you_mean(option, there)} {there_are}"
    if no_option := re.search(r"You must specify '(\w+)'", text):
        group = no_option[1]
        return f"{group}: no option chosen; add {group}={'|'.join(options_of(group))}"
    if no_key := re.search(r"Could not (?:override|append) '([^']+)'", text):
        return f"{no_key[1]}: there is no such key{did_you_mean(no_key[1], list(dotted_keys(schema)))}"
    cause = error.__cause__ or error
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return explain(cause, schema)
    return " ".join(lines[:3]) or type(error).__name__


def _stop(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"error: {' '.join(message.splitlines())}\n")  # at once: another process may write here too
    sys.exit(code)
