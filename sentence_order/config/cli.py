"""Runs an entry point under Hydra and turns a user's mistakes into one clear line and exit code 2."""

import errno
import itertools
import os
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sentence_order.config.commands import normalize_overrides
from sentence_order.config.parsing import CONFIG_DIR, format_hydra_error, options_of, parse_config
from sentence_order.config.schema import SCHEMAS
from sentence_order.errors import Interrupted, TrainingError, UserError, printable


def run(name: str, task: Callable[[Any], None]) -> None:
    """Composes `configs/<name>.yaml` with the command line's overrides and calls `task` with the parsed config."""

    def job(composed: DictConfig) -> None:
        # Here, because Hydra prints a line of its own for an exception that leaves the job.
        try:
            task(parse_config(composed, SCHEMAS[name]))
        except (UserError, TrainingError) as error:
            exit_with_error(str(error), 2 if isinstance(error, UserError) else 1)

    run_jobs(name, job)


def run_jobs(name: str, job: Callable[[DictConfig], float | None]) -> None:
    """Calls `job` with the composed config, or with that of every job of a sweep."""
    # Hydra then raises its errors to us instead of printing them in its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = normalize_overrides(sys.argv[1:])
    try:
        if {"--help", "-h"} & set(sys.argv[1:]):
            print(help_text(name), flush=True)
        else:
            hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=name)(job)()
    except (HydraException, OmegaConfBaseException) as error:
        exit_with_error(format_hydra_error(error, SCHEMAS[name]), 2)
    except ValueError as error:
        if "Config group override" not in str(error):  # what Hydra raises for a group that is given a number
            raise
        exit_with_error(str(error), 2)
    except Interrupted as error:
        print(error, file=sys.stderr)
        sys.exit(128 + error.signal)
    except KeyboardInterrupt:
        exit_with_error("interrupted", 130)
    except BrokenPipeError:  # the reader of our output went away: `predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # an option of a group, for which Hydra looks for a file
            raise
        exit_with_error("the name of an option is too long for a file name", 2)


def typed_overrides() -> list[str]:
    """The overrides of the command line, as they were typed: `${...}` is not replaced."""
    typed = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(typed, list)
    return typed


def compose(name: str, overrides: list[str]) -> Any:
    """The parsed config that an entry point would get from a command line. Raises UserError where that would."""
    try:
        with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return parse_config(hydra.compose(name, normalize_overrides(overrides)), SCHEMAS[name])
    except HydraException as error:
        raise UserError(format_hydra_error(error, SCHEMAS[name])) from error


def help_text(name: str) -> str:
    """The header of the primary config, the groups with their options, and the keys with their defaults.

    It replaces Hydra's own, which takes over a second to list the groups.
    """
    yaml = (CONFIG_DIR / f"{name}.yaml").read_text(encoding="utf-8")
    header = itertools.takewhile(lambda line: line.startswith("#"), yaml.splitlines())
    groups = [group for group in re.findall(r"^  - (\w+): ", yaml, re.M) if options_of(group)]
    overrides = [word for word in sys.argv[1:] if not word.startswith("-")]
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        try:
            config = hydra.compose(name, overrides)
        except HydraException:  # a group that has no default
            config = OmegaConf.structured(SCHEMAS[name])
    lines = [line[1:].removeprefix(" ") for line in header]
    lines += ["", "Groups:", *(f"  {group}={'|'.join(options_of(group))}" for group in groups)]
    return "\n".join([*lines, "", "Keys:", OmegaConf.to_yaml(config)])


def exit_with_error(message: str, code: int) -> NoReturn:
    """Prints a complaint as one line and ends the process."""
    sys.stderr.write(f"error: {printable(message)}\n")  # at once: another process may write here too
    sys.exit(code)
