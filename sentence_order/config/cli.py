"""Runs an entry point under Hydra; a user's mistake, or what the system refuses, is one clear line and an exit code."""

import errno
import io
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sentence_order import version_text
from sentence_order.config.help import help_text
from sentence_order.config.keys import expand_home
from sentence_order.config.parsing import CONFIG_DIR, format_hydra_error, initialized_hydra, parse_config
from sentence_order.config.schema import SCHEMAS
from sentence_order.config.words import read_words
from sentence_order.errors import Interrupted, TrainingError, UserError, printable

PRINT_DELAY = 5.0  # seconds that a process leaves to the first of its machine to print what both have found


class _StandardError(io.FileIO):
    """Drops what nobody can read any more, as after `2>&1 | head`; that is no reason to stop the work."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # no reader of the pipe, or no terminal, is left
                raise
            return memoryview(data).nbytes


def run(name: str, task: Callable[[Any], None]) -> None:
    """Composes `configs/<name>.yaml` with the command line's overrides and calls `task` with the parsed config."""

    def job(composed: DictConfig) -> None:
        with one_line_errors():  # Hydra prints a line of its own for an exception that leaves the job
            task(parse_config(composed, SCHEMAS[name]))

    run_jobs(name, job)


def run_jobs(name: str, job: Callable[[DictConfig], float | None]) -> None:
    """Calls `job` with the composed config, or with that of every job of a sweep."""
    # Hydra then raises its errors to us instead of printing them in its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    with one_line_errors():
        sys.argv[1:] = read_words(name, sys.argv[1:])
        try:
            if {"--help", "-h"} & set(sys.argv[1:]):
                print(help_text(name, sys.argv[1:]))
            elif "--version" in sys.argv[1:]:  # Hydra would print its own
                print(version_text())
            else:
                hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=name)(job)()
        except (HydraException, OmegaConfBaseException) as error:
            exit_with_error(format_hydra_error(error, SCHEMAS[name]), 2)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:  # an option of a group, for which Hydra looks for a file
                raise
            exit_with_error("the name of an option is too long for a file name", 2)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Within the block, what a user or an administrator can mend ends the process, with one line on standard error.

    The exit code is 2 for a user's mistake, 1 for a failed run and for what the system refuses, and 128 plus its number
    for a signal. Other exceptions are our mistakes, and keep their traceback.
    """
    prepare_streams()
    os.environ["MPLBACKEND"] = "agg"  # we draw to files; Jupyter names its own to every process that it starts
    try:
        with _errors_as_exits():
            yield
    except SystemExit as end:
        if not _is_connected():
            raise
        # Threads that wait for other processes would abort this one in place of an ordinary end.
        _drop_output()
        os._exit(end.code if isinstance(end.code, int) else 1)


@contextmanager
def _errors_as_exits() -> Iterator[None]:
    """Within the block, such errors are printed and become SystemExit."""
    try:
        yield
        _flush_output()
    except Interrupted as error:
        _print_and_exit(_with_notes(error, str(error)), 128 + error.signal)
    except KeyboardInterrupt:
        exit_with_error("interrupted", 130)
    except (UserError, TrainingError) as error:
        exit_with_error(_with_notes(error, str(error)), 2 if isinstance(error, UserError) else 1)
    except BrokenPipeError:  # the reader of our output went away: `predict ... | head`
        _drop_output()
        sys.exit(141)
    except OSError as error:  # such as that of a full disk
        reason = error.strerror or str(error)
        exit_with_error(_with_notes(error, f"{error.filename}: {reason}" if error.filename else reason), 1)


def _is_connected() -> bool:
    """True if this process has been connected to others; PyTorch is not imported to find out."""
    distributed = sys.modules.get("torch.distributed")
    return distributed is not None and distributed.is_available() and distributed.is_initialized()


def path(text: str) -> Path:
    """A path among a command's options, with the home folder for ~."""
    with one_line_errors():
        return Path(expand_home("path", text))


def refuse_overrides(words: Iterable[str], options: Iterable[str]) -> None:
    """Raises UserError for `option=value`, as the other commands are given it, in a command that has `--option`."""
    for word in words:
        name, is_override, value = word.partition("=")
        if is_override and name in options and not os.path.exists(word):
            raise UserError(f"{word}: this command takes no overrides; write --{name} {shlex.quote(value)}")


def check_open(stream: IO[Any], name: str) -> None:
    """Raises OSError, before any work is done, for a standard stream that was closed (`>&-`)."""
    if stream.closed or not (stream.readable() if stream is sys.stdin else stream.writable()):
        raise OSError(errno.EBADF, "it is closed", name)


def prepare_streams() -> None:
    """Makes standard output UTF-8 in any locale, and standard error one that outlives its reader.

    A stream that was closed is replaced by one that refuses its use.
    """
    # In this order each has its own number again, which the next file would get otherwise.
    for name, mode in (("stdin", "w"), ("stdout", "r"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for as long as the process runs
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.writable():
        sys.stdout.reconfigure(encoding="utf-8")
    plain = sys.__stderr__
    if plain is not None and sys.stderr is plain:  # not yet replaced, by this or by a program that captures it
        raw = io.BufferedWriter(_StandardError(plain.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(raw, plain.encoding, plain.errors, line_buffering=True)


def _flush_output() -> None:
    try:
        if sys.stdout.writable():
            sys.stdout.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error


def _drop_output() -> None:
    """Discards what could not be written, of which the interpreter would complain when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _with_notes(error: BaseException, message: str) -> str:
    return "; ".join([message, *getattr(error, "__notes__", [])])


def typed_overrides() -> list[str]:
    """The overrides of the command line, as they were typed: `${...}` is not replaced; none without a command."""
    if not HydraConfig.initialized():
        return []
    typed = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(typed, list)
    return typed


def compose(name: str, overrides: list[str]) -> Any:
    """The parsed config that an entry point would get from a command line. Raises UserError where that would."""
    words = read_words(name, overrides, several="give one, and call load_config once for each")
    if flags := [word for word in words if word.startswith("-")]:
        raise UserError(f"{flags[0]}: flags are for the command line; hydra.searchpath=[FOLDER] is for --config-dir")
    try:
        with initialized_hydra():
            return parse_config(hydra.compose(name, words), SCHEMAS[name])
    except HydraException as error:
        raise UserError(format_hydra_error(error, SCHEMAS[name])) from error


def exit_with_error(message: str, code: int) -> NoReturn:
    """Prints a complaint as one line and ends the process."""
    _print_and_exit(f"error: {message}", code)


def _print_and_exit(message: str, code: int) -> NoReturn:
    # What all find before they are connected is printed by one; torchrun ends the others when that one has ended.
    if os.environ.get("LOCAL_RANK", "0") != "0" and not _is_connected():
        time.sleep(PRINT_DELAY)
    with suppress(OSError):
        sys.stderr.write(f"{printable(message)}\n")  # at once: another process may write here too
    _drop_output()
    sys.exit(code)
