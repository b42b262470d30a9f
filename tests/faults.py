"""A training process in which something breaks at a chosen call: it is killed there, or the disk is full from there on.

    python -m tests.faults kill:state:3 [overrides]   # killed in the middle of writing the third training state
    python -m tests.faults full:line:7 [overrides]    # no space is left from the seventh line of metrics.jsonl on
    python -m tests.faults count [overrides]          # how often each point is passed, on the last line

Nothing in the program knows of this: the functions are replaced before it starts.
"""

import errno
import importlib
import inspect
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError

# Where a process can break: the function, as the program finds it, and which argument is the file that it writes.
WRITES = {
    "weights": ("transformers.modeling_utils", "safe_save_file", 1),
    "state": ("torch", "save", 1),
    "cache": ("sentence_order.prefix_cache.store", "save_file", 1),
    "sync": ("os", "fsync", None),
    "replace": ("os", "replace", None),
    "rename": ("pathlib", "Path.rename", None),
    "line": ("sentence_order.training.tracker", "json.dumps", None),
    "event": ("tensorboard.summary.writer.record_writer", "RecordWriter.write", None),
}
COMPUTATIONS = {
    "forward": ("sentence_order.model.modeling", "SentenceOrdererModel.forward", None),
    "update": ("sentence_order.training.optimization", "WeightAverage.update", None),
    "decoding": ("sentence_order.evaluation.evaluator", "decode_batch", None),
}
POINTS = WRITES | COMPUTATIONS
seen: Counter[str] = Counter()


def replacements(action: str, point: str, number: int) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
    """What is to be replaced so that the point breaks at its `number`-th call: owners, names, functions.

    With the action "count" calls are only counted.
    """
    for name, (module, attribute, file) in POINTS.items():
        owner: Any = importlib.import_module(module)
        *inner, last = attribute.split(".")
        for step in inner:
            owner = getattr(owner, step)
        breaks = (action, number) if name == point else None
        yield owner, last, _replaced(name, getattr(owner, last), file, breaks)


def _replaced(
    name: str, plain: Callable[..., Any], file: int | None, breaks: tuple[str, int] | None
) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        caller = _caller()
        if name == "line" and caller.f_code.co_name != "log_scalars":  # JSON that is no line of metrics.jsonl
            return plain(*arguments, **options)
        seen[name] += 1
        if breaks is None or seen[name] < breaks[1]:
            return plain(*arguments, **options)
        if breaks[0] == "full":
            _no_space(name)
        if file is not None:  # half of the file is there
            plain(*arguments, **options)
            path = Path(arguments[file])
            os.truncate(path, path.stat().st_size // 2)
        if name == "line":  # half of the line is there
            with caller.f_locals["self"].path.open("a", encoding="utf-8") as lines:
                lines.write(plain(*arguments, **options)[:20])
        if name == "event":
            writer, data = arguments
            plain(writer, data)
            writer._writer.flush()
            os.truncate(writer._writer.filename, os.path.getsize(writer._writer.filename) - len(data) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("killed")

    return call


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
    """Trains with the fault of the first argument."""
    fault, sys.argv[1:] = sys.argv[1], sys.argv[2:]
    action, point, number = fault.split(":") if ":" in fault else (fault, "", "0")
    torch.set_num_threads(1)
    for owner, name, function in list(replacements(action, point, int(number))):
        setattr(owner, name, function)
    from sentence_order.train import main as train

    try:
        train()
    finally:
        if action == "count":
            print(json.dumps(seen))


if __name__ == "__main__":
    main()
