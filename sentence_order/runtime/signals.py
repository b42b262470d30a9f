"""Signals from the user or a cluster: stop the run (SIGTERM, SIGINT), or save a checkpoint (SIGUSR1)."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from types import FrameType

from sentence_order.errors import Interrupted
from sentence_order.runtime.console import console, log

# One request often arrives twice: from a terminal or a cluster, and again from the parent process.
DUPLICATE_SECONDS = 1.0

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def handle_signals(stop: Handler, save: Handler) -> Iterator[None]:
    """Calls `stop` and `save` for the signals that arrive within the block, in the main thread, which receives them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with ExitStack() as before:
        for number, handler in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGUSR1, save)):
            before.callback(signal.signal, number, signal.signal(number, handler))
        yield


class Signals:
    """The signals that have arrived; the training loop checks them between two steps.

    `before_stop` is called with the number of a signal to stop before that raises `Interrupted`. A second one ends the
    process at once, or, if others own that (`ends_process=False`), raises `Interrupted` too.
    """

    def __init__(self, before_stop: Callable[[int], None] | None = None, ends_process: bool = True) -> None:
        self._before_stop, self._ends_process = before_stop, ends_process
        self.stop: int | None = None  # the signal to stop, if one has arrived
        self.save = False
        self._deferred = False
        self._stopped_at = 0.0
        self._process = os.getpid()

    def caught(self) -> AbstractContextManager[None]:
        """Handles signals within the block; outside of `deferred` a signal to stop raises `Interrupted` at once."""
        return handle_signals(self._on_stop, self._on_save)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within the block, the first signal to stop is only noted."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked worker, which this process will end
            return
        name = signal.Signals(number).name
        if self.stop is not None:
            if time.monotonic() - self._stopped_at < DUPLICATE_SECONDS:
                return
            if not self._ends_process:
                raise Interrupted(number, f"stopped at once by a second signal, {name}")
            console.show_cursor()  # which a progress bar hides
            with suppress(OSError):  # such as that nobody reads it
                os.write(2, f"\nstopped at once by a second signal, {name}\n".encode())
            os._exit(128 + number)
        self.stop, self._stopped_at = number, time.monotonic()
        if self._before_stop is not None:
            self._before_stop(number)
        if not self._deferred:
            raise Interrupted(number, f"stopped by {name}")
        log.info("%s: finishing the step and saving; once more to stop at once", name)

    def _on_save(self, number: int, frame: FrameType | None) -> None:
        self.save = True
