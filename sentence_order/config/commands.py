"""Quotes and prints commands: those that a run tells its user to type next, and those that a sweep starts."""

import os
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

# Set for the jobs of a sweep: the keys and groups that it varies.
SWEPT_VARIABLE = "SENTENCE_ORDER_SWEPT_KEYS"
PLAIN = re.compile(r"[A-Za-z_./*]([\w./*+:@ -]*[\w./*+:@-])?", re.ASCII)


def as_typed(key: str, value: Any) -> str:
    """`key=value` as one types it in a shell."""
    return shlex.quote(override(key, value))


def override(key: str, value: Any) -> str:
    """`key=value` as Hydra parses it."""
    return f"{key}={quote(value)}"


def quote(value: Any) -> str:
    """A value as Hydra parses it."""
    if isinstance(value, list):
        return f"[{','.join(map(quote, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, str):
        return str(value)
    plain = PLAIN.fullmatch(value) and value.lower() not in ("null", "true", "false", "nan", "inf")
    return value if plain else QuotedString(value, Quote.double).with_quotes()


def unambiguous(path: str | Path) -> str:
    """A path that no program takes for an option, for the home of a user, or for a value of `resume`."""
    text = str(path)
    return f"./{text}" if text.startswith(("-", "~")) or text in ("auto", "off") else text


def parse_override(text: str) -> Override | None:
    """An override as Hydra parses it; None for flags, and for what Hydra will reject itself."""
    if text.startswith("-") or "=" not in text:
        return None
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        return None


def write_override(key: str, text: str) -> str:
    """`key=text` as one types it in a shell, where the text is Hydra's or else is quoted for it."""
    return shlex.quote(f"{key}={text}" if parse_override(f"{key}={text}") else override(key, text))


def key_of(text: str) -> str:
    """The key or group that an override sets."""
    return text.split("=", 1)[0].lstrip("+")


def shell(program: str, *overrides: str) -> str:
    """The command line of one of this package's programs."""
    return f"python -m sentence_order.{program} {shlex.join(overrides)}".rstrip()


def resume_command(folder: Path) -> str:
    """The command that resumes the run of a folder."""
    return environment() + shell("train", override("resume", unambiguous(folder)))


def tensorboard_command(folder: Path, is_sweep: bool = False) -> str:
    """The command that shows a run in TensorBoard, or all runs of a sweep, under the names of their folders."""
    # TensorBoard names a run by its path from the folder of `--logdir`, which it searches: `.` would be no name.
    parent, name = folder.absolute().parent, folder.absolute().name
    shared = {*Path.cwd().parents, Path.cwd(), Path.home(), Path(tempfile.gettempdir())}  # other things are there too
    if is_sweep:
        option = ["--logdir", unambiguous(folder)]
    elif parent in shared and not name.startswith("-") and not {":", ","} & set(f"{name}{folder}"):
        option = ["--logdir_spec", f"{name}:{unambiguous(folder)}"]
    else:
        option = ["--logdir", unambiguous(folder.parent)]
    return f"{environment()}tensorboard {shlex.join(option)}"


def environment() -> str:
    """What precedes a command so that it runs in this environment, if that has not been activated."""
    if sys.prefix == sys.base_prefix or os.environ.get("VIRTUAL_ENV") == sys.prefix:
        return ""
    return shlex.quote(f"{os.path.relpath(Path(sys.prefix) / 'bin')}/")
