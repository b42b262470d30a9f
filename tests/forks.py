"""Runs the package's commands without waiting for Python's imports each time.

A server imports what is heavy once, and forks for every command: that process has its own folder, environment and
streams, and does what `python -m MODULE` does from there on.
"""

import gc
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NoReturn

SECONDS = 280


class Server:
    """Started with the environment that the tests have set up."""

    def __init__(self) -> None:
        line = [sys.executable, "-m", "tests.forks"]
        root = Path(__file__).resolve().parent.parent
        self.process = subprocess.Popen(
            line, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def run(
        self, module: str, arguments: list[str], folder: Path, stdin: str | None, variables: dict[str, str]
    ) -> "subprocess.CompletedProcess[str]":
        """Runs `python -m <module> arguments` in a folder."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with tempfile.TemporaryDirectory() as place:
            streams = [Path(place) / stream for stream in ("in", "out", "err")]
            streams[0].write_text(stdin or "")
            request = {
                "module": module,
                "arguments": arguments,
                "folder": str(folder),
                "environment": {**os.environ, **variables},
            }
            self.process.stdin.write(json.dumps({**request, "streams": list(map(str, streams))}) + "\n")
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], SECONDS)[0]:
                os.killpg(self.process.pid, signal.SIGKILL)  # the command too
                raise subprocess.TimeoutExpired([module, *arguments], SECONDS)
            code = int(self.process.stdout.readline())
            out, err = (stream.read_text() for stream in streams[1:])
        return subprocess.CompletedProcess([module, *arguments], code, out, err)

    def stop(self) -> None:
        """Ends the server."""
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()


def _serve() -> None:
    import sentence_order.experiments.pictures
    import sentence_order.inference.predict_file
    import sentence_order.training.run  # noqa: F401 - so that the forks have it

    gc.freeze()  # forks need not walk through what was imported, which would copy it
    for line in sys.stdin:
        request = json.loads(line)
        if (process := os.fork()) == 0:
            _run(**request)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(module: str, arguments: list[str], folder: str, environment: dict[str, str], streams: list[str]) -> NoReturn:
    for number, (stream, flags) in enumerate(zip(streams, (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT] * 2), strict=True)):
        os.dup2(os.open(stream, flags, 0o600), number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a fresh one: the server's has read ahead
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [f"{module}.py", *arguments]
    sys.path[0] = folder  # as `python -m` has it
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    _serve()
