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

from engine.steady import boot_ns
from models.units import SECOND_NS

log = structlog.get_logger(__name__)

BORN_OF = os.getppid()
"""Who started this process. Read early: a session may lose its worker before it has a lease."""


def boot_s() -> float:
    """Seconds on a clock nobody can set, which goes on while the machine sleeps.

    A lease runs out in Postgres while this machine sleeps, so its holder must count that time.
    """
    return boot_ns() / SECOND_NS


class Verdict(Enum):
    """Why the process must end; the value is its exit code."""

    STALLED = 70
    """The event loop did not turn for `stall_s`."""
    LEASE_LAPSED = 71
    """The lease ran out unrenewed; another session may hold it now."""
    ORPHANED = 72
    """The worker is gone, so nobody could stop this process any more."""


def judge(
    *,
    now: float,
    beat: float,
    lapsed: bool,
    harmless: bool,
    stall_s: float,
    parent: int,
    born_of: int,
) -> Verdict | None:
    """Decide from monotonic seconds and process ids whether the process must end.

    A process whose lease has `lapsed` may live on only while it is `harmless`: it sends nothing
    until it holds the lease again.
    """
    if lapsed and not harmless:
        return Verdict.LEASE_LAPSED
    if now - beat >= stall_s:
        return Verdict.STALLED
    if parent != born_of:
        return Verdict.ORPHANED
    return None


class Watchdog:
    """Watches from its own thread; `beat` and the attributes are fed from the event loop.

    Parameters
    ----------
    lease_until
        Second of `boot_s` at which the lease runs out unless it is renewed.
    stall_s
        Seconds without a `beat` after which the loop counts as blocked.
    leave
        Ends the process; `os._exit` unless a test says otherwise.

    Attributes
    ----------
    harmless
        Whether trading is suspended: then the lease may lapse without ending the process.
    """

    def __init__(
        self,
        lease_until: float,
        stall_s: float = 10.0,
        leave: Callable[[int], None] = os._exit,
    ) -> None:
        self.lease_until = lease_until
        self.harmless = False
        self._stall_s = stall_s
        self._leave = leave
        self._beat = time.monotonic()
        self._born_of = BORN_OF
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
                lapsed=boot_s() >= self.lease_until,
                harmless=self.harmless,
                stall_s=self._stall_s,
                parent=os.getppid(),
                born_of=self._born_of,
            )
            if verdict is not None:
                self._say(verdict)
                self._leave(verdict.value)
                return

    def _say(self, verdict: Verdict) -> None:
        try:
            log.critical("watchdog_ends_process", reason=verdict.name.lower())
        except Exception:  # a log that can't be written must not keep the process alive
            return
