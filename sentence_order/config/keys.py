"""What a config key means to the program, as metadata of its field in the schema; no other place lists keys."""

import os
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from operator import attrgetter
from types import UnionType
from typing import Any, get_args, get_origin

from omegaconf import ListConfig

from sentence_order.errors import UserError

MAX_NUMBER = 2**62
NOUNS = {int: "integer", float: "number", str: "text"}

# Whether a key may change when a run resumes. FIXED: it must be as it was; CHANGEABLE: the run may end differently, but
# nothing about it is wrong; IGNORED: it does not matter to the run.
OnResume = Enum("OnResume", "FIXED CHANGEABLE IGNORED")


@dataclass(frozen=True)
class Range:
    """The numbers that a key accepts; None, where a key may be unset, always passes."""

    low: float = 0
    high: float = MAX_NUMBER
    low_allowed: bool = False
    high_allowed: bool = True

    def check(self, key: str, value: float | None) -> None:
        """Raises UserError, naming the key, if the value is out of range."""
        if value is None:
            return
        above = value >= self.low if self.low_allowed else value > self.low  # a NaN is neither
        below = value <= self.high if self.high_allowed else value < self.high
        if not (above and below):
            accepted = f"at most {MAX_NUMBER:g}" if above and self.high >= MAX_NUMBER else str(self)
            raise UserError(f"{key}: must be {accepted}, not {value}")

    def __str__(self) -> str:
        low = f"{'at least' if self.low_allowed else 'greater than'} {self.low:.9g}"
        high = f" and {'at most' if self.high_allowed else 'less than'} {self.high:.9g}"
        return low + (high if self.high < MAX_NUMBER else "")


@dataclass(frozen=True)
class KeyInfo:
    """What a config key means to the program; keys of a group inherit what the group says."""

    on_resume: OnResume = OnResume.FIXED
    found_once: bool = False  # a run replaces auto by the value that it finds, and keeps that when it resumes
    determines_prefix: bool = False  # the output of frozen layers, which the prefix cache keeps, depends on it
    varies_between_seeds: bool = False  # runs that differ in such keys alone are repetitions of one arm
    is_path: bool = False  # of a file or a folder, which may begin with ~
    in_hparams: bool = False  # set on the command line, it is a column of TensorBoard's table of hyper-parameters
    accepts: Range | str | None = None  # if it is a number, or its type does not say it
    kind: Any = None  # its type
    help: str = ""  # its meaning and unit, for --help and docs/configuration.md; a group's own text is its docstring

    @property
    def accepted(self) -> str:
        """What it accepts, by its type and range."""
        if isinstance(self.accepts, str):
            return self.accepts
        kind, *others = get_args(self.kind) if isinstance(self.kind, UnionType) else [self.kind]
        is_list = get_origin(kind) is list
        kind = get_args(kind)[0] if is_list else kind
        values = ["true", "false"] if kind is bool else [item.value for item in kind] if issubclass(kind, Enum) else []
        text = ", ".join(values) or f"{NOUNS[kind]} {self.accepts or ''}".rstrip()
        return f"{'list of ' if is_list else ''}{text}{', or null' if others else ''}"


def key(default: Any, help: str = "", accepts: Range | str | None = None, **info: Any) -> Any:
    """A field of the schema with its `KeyInfo`; a class or function as default makes the value."""
    metadata = {"help": help, "accepts": accepts, **info}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


Mark = dict[str, Any]  # what `key` is given by **
CHANGEABLE: Mark = {"on_resume": OnResume.CHANGEABLE}
IGNORED: Mark = {"on_resume": OnResume.IGNORED}
FOUND_ONCE: Mark = {"found_once": True}
OF_PREFIX: Mark = {"determines_prefix": True}
PER_SEED: Mark = {"varies_between_seeds": True}
IN_HPARAMS: Mark = {"in_hparams": True}
PATH: Mark = {"is_path": True}


def expand_home(key: str, value: Any) -> Any:
    """A path, or each of a list, with the home folder for its ~. Raises UserError if there is none."""
    if isinstance(value, list | ListConfig):
        return [expand_home(key, item) for item in value]
    if not isinstance(value, str) or not value.startswith("~"):
        return value
    if (path := os.path.expanduser(value)).startswith("~"):
        raise UserError(f"{key}: {value}: no such user, or no home folder; for a name that begins with ~: ./{value}")
    return path


def key_infos(schema: type, prefix: str = "", **inherited: Any) -> dict[str, KeyInfo]:
    """The `KeyInfo` of every key of a schema as users type it (`trainer.epochs`), groups left out."""
    infos: dict[str, KeyInfo] = {}
    for item in fields(schema):
        info = {**inherited, **item.metadata}
        if isinstance(item.type, type) and is_dataclass(item.type):
            infos |= key_infos(item.type, f"{prefix}{item.name}.", **info)
        else:
            infos[prefix + item.name] = KeyInfo(kind=item.type, **info)
    return infos


def dotted_keys(schema: type) -> list[str]:
    """Every key of a schema of at most two levels as users type it, groups included."""
    return list(dict.fromkeys(part for name in key_infos(schema) for part in (name.split(".")[0], name)))


def flatten_config(config: Any) -> dict[str, Any]:
    """Every key of a config, as users type it, with its plain value."""
    return {name: _plain(attrgetter(name)(config)) for name in key_infos(type(config))}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value
