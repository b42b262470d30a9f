"""What a run does when it is told to stop (SIGTERM, SIGINT) or to save (SIGUSR1) by its user or a cluster."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sentence_order.console import console, log
from sentence_order.errors import Interrupted

# One request often comes twice: from a terminal or a cluster, and again from the process that has started this one.
SECONDS_TOGETHER = 1.0


class Signals:
    """What this process has been told, to be looked at between two steps.

    Attributes:
        stop: the signal that told it to stop, if one did.
        save: it was told to save.
    """

    def __init__(self) -> None:
        self.stop: int | None = None
        self.save = False
        self._deferred = False
        self._stopped_at = 0.0
        self._process = os.getpid()

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Within, signals are told here; outside of `deferred` one that stops raises `Interrupted` at once."""
        if threading.current_thread() is not threading.main_thread():  # which alone can be told
            yield
            return
        handlers = {signal.SIGTERM: self._on_stop, signal.SIGINT: self._on_stop, signal.SIGUSR1: self._on_save}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within, the first signal that stops is only noted; the next one ends the process where it stands."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker that this one has forked, and will end itself
            return
        name = signal.Signals(number).name
        if self.stop is not None:
            if time.monotonic() - self._stopped_at < SECONDS_TOGETHER:
                return
            console.show_cursor()  # which a progress bar hides
            os.write(2, f"\nstopped at once by a second signal, {name}\n".encode())
            os._exit(128 + number)
        self.stop, self._stopped_at = number, time.monotonic()
        if not self._deferred:
            raise Interrupted(number, f"stopped by {name}")
        log.info("%s: finishing the step and saving; once more to stop at once", name)

    def _on_save(self, number: int, frame: FrameType | None) -> None:
        self.save = True
