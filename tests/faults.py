"""A command in which something breaks at a chosen call: it is killed, the disk is full, or the cache is gone.

    python -m tests.faults FAULT COMMAND [arguments]

    kill:state:3        the process is killed in the middle of writing the third training state
    full:line:7         no space is left from the seventh line of metrics.jsonl on
    remove:prefix:2     the folder `cache` is removed when the frozen prefix is run for the second time
    kill:job.state:3    a sweep's first job is killed there
    orphan:job.state:3  the sweep is killed when its first job has come so far
    count               nothing; the last line says how often each point is passed

Nothing in the program knows of this: the functions are replaced before it starts.
"""

import errno
import importlib
import inspect
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError

from sentence_order.inference import predict_file
from sentence_order.prefix_cache import fill
from sentence_order.runtime.files import UNFINISHED

# Where a process can break: the function, as the program finds it, and which argument is the file that it writes.
WRITES = {
    "weights": ("transformers.modeling_utils", "safe_save_file", 1),
    "state": ("torch", "save", 1),
    "cache": ("sentence_order.prefix_cache.store", "save_file", 1),
    "arrow": ("pyarrow.ipc", "RecordBatchStreamWriter.write_batch", None),
    "sync": ("os", "fsync", None),
    "replace": ("os", "replace", None),
    "rename": ("pathlib", "Path.rename", None),
    "line": ("sentence_order.training.tracker", "json.dumps", None),
    "event": ("tensorboard.summary.writer.record_writer", "RecordWriter.write", None),
}
COMPUTATIONS = {
    "forward": ("sentence_order.model.modeling", "SentenceOrdererModel.forward", None),
    "prefix": ("sentence_order.model.modeling", "SentenceOrdererModel.encode_prefix", None),
    "update": ("sentence_order.training.optimization", "WeightAverage.update", None),
    "decoding": ("sentence_order.evaluation.evaluator", "decode_batch", None),
    "ordering": ("sentence_order.inference.ordering", "decode_batch", None),
    "picture": ("matplotlib.figure", "Figure.savefig", None),
    "start": ("subprocess", "Popen", None),
}
POINTS = WRITES | COMPUTATIONS
# Whose lines, each of which a process can write in part: the name of the function that writes them.
WRITERS = ("log_scalars", "_format_as_json")
JOB = "job."
# So that a small corpus fills several shards and chunks.
SHARD_BYTES, CHUNK_DOCUMENTS = 2**19, 25
seen: Counter[str] = Counter()


def replacements(action: str, point: str, number: int) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
    """What is to be replaced so that the point breaks at its `number`-th call: owners, names, functions.

    With the action "count" calls are only counted.
    """
    job = action if action == "count" else "none"
    if point.startswith(JOB):
        job = f"{action}:{point.removeprefix(JOB)}:{number}"
    for name, (module, attribute, file) in POINTS.items():
        owner: Any = importlib.import_module(module)
        *inner, last = attribute.split(".")
        for step in inner:
            owner = getattr(owner, step)
        breaks = (action, number) if name == point else None
        yield owner, last, _replaced(name, getattr(owner, last), file, breaks, job)


def _replaced(
    name: str, plain: Callable[..., Any], file: int | None, breaks: tuple[str, int] | None, job: str
) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        caller = _caller()
        if name == "line" and caller.f_code.co_name not in WRITERS:  # JSON that is no line of a file
            return plain(*arguments, **options)
        if name == "start":
            if "sentence_order.train" not in arguments[0]:
                return plain(*arguments, **options)
            python, flag, _, *words = arguments[0]
            arguments = ([python, flag, "tests.faults", job if not seen[name] else "none", "train", *words],)
        seen[name] += 1
        if breaks is None or seen[name] < breaks[1] or (seen[name] > breaks[1] and breaks[0] != "full"):
            return plain(*arguments, **options)
        if breaks[0] == "full":
            _no_space(name)
        if breaks[0] == "remove":
            shutil.rmtree("cache", ignore_errors=True)
            return plain(*arguments, **options)
        if breaks[0] == "orphan":
            os.kill(os.getppid(), signal.SIGKILL)
            return plain(*arguments, **options)
        _write_half(name, plain, arguments, options, file, caller)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("killed")

    return call


def _write_half(
    name: str,
    plain: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    file: int | None,
    caller: FrameType,
) -> None:
    """Does what a call of a writing function has done in the middle."""
    if file is not None:
        plain(*arguments, **options)
        path = Path(arguments[file])
        os.truncate(path, path.stat().st_size // 2)
    if name == "arrow":
        plain(*arguments, **options)
        stream = caller.f_locals["stream"]
        stream.flush()
        os.truncate(stream.name, stream.tell() // 2)
    if name == "sync":
        path = Path(os.readlink(f"/proc/self/fd/{arguments[0]}"))
        if path.suffix == UNFINISHED and path.is_file():
            os.truncate(path, path.stat().st_size // 2)
    if name == "line":
        frame: FrameType | None = caller
        while frame is not None and not {"stream", "self"} & frame.f_locals.keys():
            frame = frame.f_back
        assert frame is not None
        stream = frame.f_locals["stream"] if "stream" in frame.f_locals else frame.f_locals["self"]._metrics_file
        stream.write(plain(*arguments, **options)[:20])
        stream.flush()
    if name == "event":
        writer, data = arguments
        plain(writer, data)
        writer._writer.flush()
        os.truncate(writer._writer.filename, os.path.getsize(writer._writer.filename) - len(data) // 2)


def _caller() -> FrameType:
    """The frame that called a replaced function."""
    frame = inspect.currentframe()
    for _ in range(2):
        assert frame is not None
        frame = frame.f_back
    assert frame is not None
    return frame


def _no_space(name: str) -> NoReturn:
    if name in ("weights", "cache"):
        raise SafetensorError("I/O error: No space left on device (os error 28)")
    if name == "state":
        raise RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing file data/0")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def main() -> None:
    """Runs a command with the fault of the first argument."""
    fault, command, sys.argv[1:] = sys.argv[1], sys.argv[2], sys.argv[3:]
    action, point, number = fault.split(":") if ":" in fault else (fault, "", "0")
    torch.set_num_threads(1)
    fill.SHARD_BYTES, predict_file.CHUNK_DOCUMENTS = SHARD_BYTES, CHUNK_DOCUMENTS
    entry_point = importlib.import_module(f"sentence_order.{command}").main
    for owner, name, function in list(replacements(action, point, int(number))):
        setattr(owner, name, function)
    try:
        entry_point()
    finally:
        if action == "count":
            print(json.dumps(seen))


if __name__ == "__main__":
    main()
