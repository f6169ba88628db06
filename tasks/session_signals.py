"""SIGTERM, taken as a wish to end in good order.

Within a flow Prefect turns SIGTERM into an exception that is raised wherever the process happens
to be, which leaves no time to cancel orders. A session takes the signal itself while it lives, and
its flow raises Prefect's exception once everything is in order.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class SigTerm:
    """Calls back on the event loop at SIGTERM, between `take_over` and `give_back`.

    Without effect outside of the main thread, where no signal arrives.

    Attributes
    ----------
    came
        Whether the signal has come.
    """

    def __init__(self, callback: Callable[[], object]) -> None:
        self.came = False
        self._callback = callback
        self._before: Any = None
        self._loop: asyncio.AbstractEventLoop
        self._task: asyncio.Task[Any] | None = None

    def take_over(self) -> None:
        """Take the signal; who handled it before does so again after `give_back`."""
        if threading.current_thread() is threading.main_thread():
            self._loop = asyncio.get_running_loop()
            self._before = signal.signal(signal.SIGTERM, self._take)

    def give_back(self) -> None:
        """Leave the signal to whoever handled it before; may be called twice."""
        before, self._before = self._before, None
        if before is not None:
            signal.signal(signal.SIGTERM, before)

    @contextmanager
    def cancelling(self, task: "asyncio.Task[Any] | None") -> Iterator[None]:
        """Cancel `task` too when the signal comes within: it has nothing to put in order."""
        self._task = task
        try:
            yield
        finally:
            self._task = None

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self.came = True
        log.info("sigterm")
        if self._task is not None:
            self._task.cancel()
        self._callback()
