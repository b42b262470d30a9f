"""Checks the program on CUDA, line by line, in at most six minutes; with --device cpu in a small form.

    scripts/check_cuda [--device cuda|cpu] [--encoder FOLDER|tiny] [--data FOLDER] [--only NAME,...] [--json FILE]

Every line is a check in a process of its own, so that one that fails, hangs or breaks CUDA does not stop the next. The
exit code is 1 if a line has failed. A line for which no time is left was not run: it has neither passed nor failed.
Needs no network, and no installed package of this project.
"""

import argparse
import dataclasses
import gc
import os
import shlex
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentence_order.errors import UserError

if TYPE_CHECKING:
    from benchmarks.checks.run import Check, Line
    from benchmarks.checks.setup import Setup

GROUPS = (
    "device, fp32, bf16, fp16, attention, anomaly, checkpoint, resume, freezing, experiment, memory, batch_tokens, "
    "parts, families, speed, profile"
)
MINUTES = {"cuda": 6.0, "cpu": 30.0}
# Seconds without progress after which a line counts as hanging.
PATIENCE = {"cuda": 60.0, "cpu": 600.0}


def main() -> None:
    """Runs `scripts/check_cuda`."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(
        prog="scripts/check_cuda", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--encoder", metavar="FOLDER|tiny", help="by default MiniLM where its package is installed, else tiny"
    )
    parser.add_argument(
        "--data", metavar="FOLDER", type=Path, help="has train, validation and test as .jsonl or .jsonl.gz"
    )
    parser.add_argument("--only", metavar="NAME,...", help=f"these lines, or groups: {GROUPS}")
    parser.add_argument("--json", metavar="FILE", type=Path, help="what is found, written after every line")
    parser.add_argument("--minutes", metavar="M", type=float, help="the most it may take; by default 6, on a CPU 30")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):  # child processes are ended first
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        with tempfile.TemporaryDirectory(prefix="check_cuda_") as folder:
            sys.exit(_run(options, Path(folder), started))
    except ImportError as error:
        parser.exit(2, f"error: {error}; run scripts/setup, or put what pyproject.toml lists on PYTHONPATH\n")
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "interrupted\n")
    except BrokenPipeError:  # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _run(options: argparse.Namespace, folder: Path, started: float) -> int:
    """Returns the exit code. Raises UserError."""
    if not (options.minutes is None or options.minutes > 0):
        raise UserError(f"--minutes: must be above zero, not {options.minutes}")
    _set_environment(options.device, folder)
    _show_progress("loading torch, transformers and this program")
    # The heavy imports, which all lines share. None of them may ask CUDA for anything in this process.
    lines = choose_lines(options.only)
    from benchmarks.checks.setup import check_setup, make_setup
    from sentence_order.runtime.files import check_output

    check_output("--json", options.json)
    if options.device == "cuda":
        _check_cuda_available(folder)
    setup = make_setup(options.device, options.encoder, options.data, folder)
    gc.freeze()  # forks need not walk through what was imported, which would copy it
    _show_progress("reading the encoder and the stories")
    check_setup(setup)
    minutes = MINUTES[options.device] if options.minutes is None else options.minutes
    return run_lines(lines, setup, options.data, options.json, deadline=started + 60 * minutes)


def _set_environment(device: str, folder: Path) -> None:
    """For this process and all that it starts, before a library reads it."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    os.environ |= {"HF_DATASETS_CACHE": str(folder / "datasets"), "SENTENCE_ORDER_CACHE": str(folder / "prefixes")}
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # a library that looks for CUDA when imported starts nothing
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # all is small here


def _check_cuda_available(folder: Path) -> None:
    """Asks in another process, since one that has asked cannot be forked. Raises UserError."""
    import torch

    from benchmarks.forks import fork, wait_for_exit

    if torch.version.cuda is None:
        raise UserError(
            f"--device: torch {torch.__version__} is built without CUDA; --device cpu checks in a small form"
        )
    if wait_for_exit(fork(lambda: sys.exit(not torch.cuda.is_available()), folder / "cuda.log")):
        raise UserError(
            "--device: no CUDA device was found (nvidia-smi lists those that a driver sees); --device cpu checks in a "
            "small form"
        )


def make_lines() -> "dict[str, Check]":
    """The check of every line, the most valuable first."""
    from benchmarks.checks import attention, commands, device, families, memory, parts, precision, speed, training
    from sentence_order.config.parsing import options_of

    return {
        "device": device.check_device,
        "fp32": precision.check_fp32,
        "bf16": partial(precision.check_half, "bf16"),
        "fp16": partial(precision.check_half, "fp16"),
        "attention": attention.check_attention,
        "anomaly": training.check_anomaly,
        "checkpoint": commands.check_checkpoint,
        "resume/anomaly": partial(commands.check_resume, True),
        "resume/plain": partial(commands.check_resume, False),
        "freezing": training.check_freezing,
        **{f"experiment/{name}": partial(commands.check_experiment, name) for name in options_of("experiment")},
        "memory": memory.check_memory,
        "batch_tokens": memory.check_batch_tokens,
        **{f"parts/{name}": partial(parts.check_parts, name) for name in parts.MODELS},
        "families": families.check_families,
        "speed": speed.check_speed,
        "profile": speed.check_profile,
    }


def choose_lines(names: str | None) -> "dict[str, Check]":
    """The lines of these names, separated by commas, or of the groups that stand before a `/`. Raises UserError."""
    from sentence_order.config.parsing import did_you_mean

    lines = make_lines()
    if names is None:
        return lines
    chosen = [name for text in names.split(",") if (name := text.strip().rstrip("/"))]
    known = lines.keys() | {line.partition("/")[0] for line in lines}
    for name in chosen:
        if name not in known:
            raise UserError(f"--only: no line {name!r}{did_you_mean(name, sorted(known))} (lines: {', '.join(lines)})")
    return {line: check for line, check in lines.items() if {line, line.partition("/")[0]} & set(chosen)}


def run_lines(
    lines: "dict[str, Check]", setup: "Setup", data: Path | None, json_file: Path | None, deadline: float
) -> int:
    """Runs the lines, prints each, and writes the JSON file after it; returns the exit code."""
    from benchmarks.checks.run import run_checks
    from sentence_order.evaluation.results import provenance, write_json

    content: dict[str, Any] = {
        "command": shlex.join(["scripts/check_cuda", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "encoder": setup.encoder,
        "data": str(data) if data else "synthetic",
        **provenance(),
        "lines": [],
    }
    print(
        f"{content['date']}  {content['command']}\n{' '.join(setup.encoder)}, stories: {content['data']}\n", flush=True
    )
    statuses = Counter({"passed": 0, "failed": 0, "not run": 0})
    if json_file:
        try:
            write_json(json_file, content)
        except OSError as error:
            raise UserError(f"--json: {json_file} cannot be written: {error.strerror}") from error
    running = run_checks(lines, setup, deadline, PATIENCE[setup.device], _show_progress)
    with closing(running):  # its processes are ended in any case
        for line in running:
            statuses[line.status] += 1
            content["lines"].append(dataclasses.asdict(line))
            print(_format(line), flush=True)
            if json_file:
                try:
                    write_json(json_file, content)
                except OSError as error:  # what is found is printed at least
                    print(f"--json: {json_file} cannot be written: {error.strerror}", file=sys.stderr)
    print(", ".join(f"{count} {status}" for status, count in statuses.items()))
    return int(statuses["failed"] > 0)


def _show_progress(text: str) -> None:
    """Shows what is going on, on a terminal, until the next line is printed."""
    if sys.stderr.isatty():
        print(f"{text} ...".ljust(60), end="\r", file=sys.stderr, flush=True)


def _format(line: "Line") -> str:
    """A line, and below it its notes, faults and, if it has failed, the end of its output."""
    below = [*line.notes, *(f"FAULT: {fault}" for fault in line.faults), *(f"| {text}" for text in line.log)]
    return "\n".join(
        [f"{line.status:<8} {line.name:<30} {line.seconds:6.1f} s", *(f"         {text}" for text in below)]
    )


if __name__ == "__main__":
    main()
