"""UTC that never steps, and the detector of a wall clock that does.

Windows, orders' expiry and the age of data are all reckoned with one time of the process: the
wall clock as it was at the start, carried on by a clock that nobody can set (CLOCK_BOOTTIME, which
also counts while the machine sleeps). Corrections of the rate reach it; a step of the wall clock
does not. Which of the two is right after a step the venue's clock decides.
"""

import time
from collections.abc import Callable
from enum import StrEnum

from models.units import SECOND_NS

JUMP_NS = SECOND_NS // 2
"""A wall clock that moved against ours by more than this has jumped."""
NEAR_NS = 2 * SECOND_NS
"""A clock that differs from the venue's by less than this is right enough to trade by.

The venue tells whole seconds, so half a second of this is the venue's rounding.
"""

MOST_BACK_NS = 10 * SECOND_NS
"""Time that runs ahead is set right by standing still for so long at most. Beyond that only a
new process is: what is dated in the future here would stay so (data that look fresh, heartbeats
that are not due)."""

_BOOT = getattr(time, "CLOCK_BOOTTIME", None)


def boot_ns() -> int:
    """Nanoseconds since the machine started, its sleep included where the system counts it."""
    return time.monotonic_ns() if _BOOT is None else time.clock_gettime_ns(_BOOT)


class ClockVerdict(StrEnum):
    """What to do about a jump, once the venue has told its time."""

    ADOPT = "adopt"
    """The wall clock is right now: take it over."""
    KEEP = "keep"
    """Ours is right and the wall clock is not: go on as before."""
    WRONG = "wrong"
    """Neither is near the venue's, or ours is too far ahead to be set right while this process
    lives: nothing may be traded by it."""


def judge(ours_ns: int, wall_ns: int, venue_ns: int, near_ns: int = NEAR_NS) -> ClockVerdict:
    """Decide between our time and the wall clock's by the venue's; all taken at one moment."""
    if abs(wall_ns - venue_ns) < near_ns:
        return ClockVerdict.ADOPT
    if abs(ours_ns - venue_ns) < near_ns:
        return ClockVerdict.KEEP
    return ClockVerdict.WRONG


class SteadyTime:
    """UTC in nanoseconds that no step of the wall clock moves.

    Parameters
    ----------
    wall_ns, boot_ns
        The clocks to read; tests put their own here.
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        boot_ns: Callable[[], int] = boot_ns,
    ) -> None:
        self._wall_ns = wall_ns
        self._boot_ns = boot_ns
        self._offset_ns = self._seen_ns = self._apart_ns()
        self._least_ns = 0

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC; never less than it said before."""
        now = self._boot_ns() + self._offset_ns
        return now if now > self._least_ns else self._least_ns

    def jump_ns(self) -> int:
        """How far the wall clock has stepped since it was last settled; 0 below `JUMP_NS`."""
        moved = self._apart_ns() - self._seen_ns
        return moved if abs(moved) > JUMP_NS else 0

    def off_ns(self) -> int:
        """How far the wall clock is ahead of this one."""
        return self._apart_ns() - self._offset_ns

    def settle(self, venue_ns: int) -> ClockVerdict:
        """Decide about a jump by the venue's time, told just now.

        After ``ADOPT`` and ``KEEP`` the jump is over (`jump_ns` is 0) and trading may go on; after
        ``WRONG`` nothing has changed: ask again later.
        """
        apart = self._apart_ns()
        now, ours = self._boot_ns(), self.now_ns()
        verdict = judge(ours, now + apart, venue_ns)
        if verdict is ClockVerdict.ADOPT:
            if ours - (now + apart) > MOST_BACK_NS:
                return ClockVerdict.WRONG
            self._offset_ns, self._least_ns = apart, ours
        if verdict is not ClockVerdict.WRONG:
            self._seen_ns = apart
        return verdict

    def _apart_ns(self) -> int:
        """How far the wall clock is ahead of the machine's running time.

        The wall clock is read between two readings of the other, so that a process which is held
        up here does not take that for a jump.
        """
        best, apart = None, 0
        for _ in range(5):
            before = self._boot_ns()
            wall = self._wall_ns()
            took = self._boot_ns() - before
            if best is None or took < best:
                best, apart = took, wall - before - took // 2
            if took < SECOND_NS // 1000:
                break
        return apart


STEADY = SteadyTime()
"""The time of this process. Whatever stamps or ages market data reads this one."""
