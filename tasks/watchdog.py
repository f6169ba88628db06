"""A thread that ends the process rather than let it trade on when it must not.

Prefect's heartbeat comes from a thread too, so it says nothing about a blocked event loop. This
one watches the loop itself, the lease and the parent process; its only act is to exit, which the
worker notices within a fraction of a second.
"""

import os
import threading
import time
from collections.abc import Callable
from enum import Enum

import structlog

log = structlog.get_logger(__name__)


class Verdict(Enum):
    """Why the process must end; the value is its exit code."""

    STALLED = 70
    """The event loop did not turn for `stall_s`."""
    LEASE_LAPSED = 71
    """The lease ran out unrenewed; another session may hold it now."""
    ORPHANED = 72
    """The worker is gone, so nobody could stop this process any more."""


def judge(
    *, now: float, beat: float, lease_until: float, stall_s: float, parent: int, born_of: int
) -> Verdict | None:
    """Decide from monotonic seconds and process ids whether the process must end."""
    if now >= lease_until:
        return Verdict.LEASE_LAPSED
    if now - beat >= stall_s:
        return Verdict.STALLED
    if parent != born_of:
        return Verdict.ORPHANED
    return None


class Watchdog:
    """Watches from its own thread; `beat` and `lease_until` are fed from the event loop.

    Parameters
    ----------
    lease_until
        Monotonic second at which the lease runs out unless it is renewed.
    stall_s
        Seconds without a `beat` after which the loop counts as blocked.
    leave
        Ends the process; `os._exit` unless a test says otherwise.
    """

    def __init__(
        self,
        lease_until: float,
        stall_s: float = 10.0,
        leave: Callable[[int], None] = os._exit,
    ) -> None:
        self.lease_until = lease_until
        self._stall_s = stall_s
        self._leave = leave
        self._beat = time.monotonic()
        self._born_of = os.getppid()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def beat(self) -> None:
        self._beat = time.monotonic()

    def stop(self) -> None:
        self._done.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._done.wait(0.25):
            verdict = judge(
                now=time.monotonic(),
                beat=self._beat,
                lease_until=self.lease_until,
                stall_s=self._stall_s,
                parent=os.getppid(),
                born_of=self._born_of,
            )
            if verdict is not None:
                log.critical("watchdog_ends_process", reason=verdict.name.lower())
                self._leave(verdict.value)
                return
