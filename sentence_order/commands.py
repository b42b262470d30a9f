"""Commands that a run tells its user to type: what makes it again, what evaluates it, what uses it."""

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

from sentence_order.cli import compose
from sentence_order.config import TrainConfig, leaves
from sentence_order.training.folder import INDIFFERENT

# Keys of `train` that `evaluate` takes as well, and that bear on what it finds.
SHARED_KEYS = ("data.", "cache.dir", "cache.dtype", "precision", "seed")
PLAIN = re.compile(r"[A-Za-z_./~*][\w./~*+:@ -]*")


def train_overrides(config: TrainConfig) -> list[str]:
    """What `train` must be told to make this run again: all that is not as by default, but for where it goes."""
    default, own = leaves(compose("train", [f"data={config.data.source.value}"])), leaves(config)
    changed = {key: value for key, value in own.items() if value != default[key] and key not in INDIFFERENT}
    group = [] if config.data.source.value == "synthetic" else [f"data={config.data.source.value}"]
    return [*group, *(as_override(key, value) for key, value in changed.items())]


def evaluate_overrides(config: TrainConfig) -> list[str]:
    """What `evaluate` must be told to find the same numbers, and the cache."""
    group = f"data={config.data.source.value}"
    default, own = leaves(compose("train", [group])), leaves(config)
    shared = [key for key in own if key.startswith(SHARED_KEYS) and own[key] != default[key]]
    return [group, *(as_override(key, own[key]) for key in shared)]


def as_override(key: str, value: Any) -> str:
    """`key=value` as Hydra reads it."""
    return f"{key}={_as_hydra_reads(value)}"


def _as_hydra_reads(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_as_hydra_reads, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, str):
        return str(value)
    plain = PLAIN.fullmatch(value) and value.lower() not in ("null", "true", "false", "nan", "inf")
    return value if plain else QuotedString(value, Quote.double).with_quotes()


def shell(program: str, *overrides: str) -> str:
    """A command line of one of this package's programs."""
    return f"python -m sentence_order.{program} {shlex.join(overrides)}".rstrip()


def command_to_go_on(folder: Path) -> str:
    """What goes on with the run of a folder."""
    return environment() + shell("train", f"resume={folder}")


def environment() -> str:
    """What must stand before a command that is to run in this environment where that has not been activated."""
    if sys.prefix == sys.base_prefix or os.environ.get("VIRTUAL_ENV") == sys.prefix:
        return ""
    return f"{os.path.relpath(Path(sys.prefix) / 'bin')}/"
