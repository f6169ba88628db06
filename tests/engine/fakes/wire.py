"""Time, faults and crashes for in-memory ports.

Every port call suspends twice: while the request travels and while the reply does. A crash at
either point is what killing the process there would be.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Generator
from enum import StrEnum
from typing import Any, TypeVar

from models.errors import (
    StoreUnavailable,
    VenueError,
    VenueRejected,
    VenueUnavailable,
    VenueUnknown,
)
from models.units import SECOND_NS

T = TypeVar("T")


class FakeClock:
    """A clock that moves only when told."""

    def __init__(self, at_s: float = 1_800_000_000) -> None:
        self._now_ns = int(at_s * SECOND_NS)

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, seconds: float) -> None:
        self._now_ns += int(seconds * SECOND_NS)


class Fault(StrEnum):
    """What goes wrong with one call."""

    LOST = "lost"
    """The request never arrives; the caller doesn't know."""
    TIMEOUT = "timeout"
    """The request takes effect, its reply is lost; the caller doesn't know."""
    LATE = "late"
    """The caller gives up first; the request arrives at `Wire.deliver_late`."""
    UNAVAILABLE = "unavailable"
    """Refused for now, nothing happened."""
    REJECTED = "rejected"
    """Refused for good, nothing happened."""
    BUG = "bug"
    """The adapter fails after the request took effect."""
    STORE_LOST = "store_lost"
    """The store is away; nothing was committed."""
    STORE_LATE = "store_late"
    """The store goes away after the commit."""


class ProcessDied(BaseException):
    """Raised inside a crashed process that still tries to act."""


class Wire:
    """Carries calls to the venue and the store, losing some of them on request."""

    def __init__(self) -> None:
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.in_flight: dict[int, Callable[[], Any]] = {}
        self.late: list[Callable[[], Any]] = []
        self.held: dict[str, asyncio.Event] = {}
        """Replies that wait until their event is set, by call."""
        self.dead = False
        self.calls: list[str] = []
        self._ticket = 0

    def fail(self, call: str, *faults: Fault) -> None:
        """Let the next calls of a name fail, one fault each."""
        self.faults[call].extend(faults)

    async def carry(self, call: str, effect: Callable[[], T]) -> T:
        if self.dead:
            raise ProcessDied(call)
        self.calls.append(call)
        fault = self.faults[call].popleft() if self.faults[call] else None
        self._ticket += 1
        ticket = self._ticket
        self.in_flight[ticket] = effect
        await asyncio.sleep(0)
        del self.in_flight[ticket]
        if fault in _BEFORE:
            if fault is Fault.LATE:
                self.late.append(effect)
            raise _error(fault, call)
        try:
            result = effect()
        except VenueRejected:
            await asyncio.sleep(0)
            raise
        await asyncio.sleep(0)
        if call in self.held:
            await self.held[call].wait()
        if fault is not None:
            raise _error(fault, call)
        return result

    def deliver_late(self) -> None:
        """Let requests arrive whose sender gave up or died."""
        effects = [*self.late, *self.in_flight.values()]
        self.late.clear()
        self.in_flight.clear()
        for effect in effects:
            try:
                effect()
            except VenueError:
                continue

    def lose_in_flight(self) -> None:
        self.in_flight.clear()


_BEFORE = frozenset({Fault.LOST, Fault.LATE, Fault.UNAVAILABLE, Fault.REJECTED, Fault.STORE_LOST})


def _error(fault: Fault, call: str) -> Exception:
    match fault:
        case Fault.UNAVAILABLE:
            return VenueUnavailable(f"{call}: engine restarting", "restarting", 0.5)
        case Fault.REJECTED:
            return VenueRejected(f"{call}: not enough balance / allowance", "balance")
        case Fault.BUG:
            return KeyError(f"{call}: reply not understood")
        case Fault.STORE_LOST | Fault.STORE_LATE:
            return StoreUnavailable(f"{call}: connection lost")
        case _:
            return VenueUnknown(f"{call}: timed out")


class _Mortal:
    """Drives a coroutine and drops it dead at its n-th suspension."""

    def __init__(self, work: Coroutine[Any, Any, Any], wire: Wire, at: int) -> None:
        self._work = work
        self._wire = wire
        self._at = at

    def __await__(self) -> Generator[Any, Any, bool]:
        suspensions = 0
        while True:
            try:
                waits_for = self._work.send(None)
            except StopIteration:
                return False
            suspensions += 1
            if suspensions == self._at:
                self._die()
                return True
            yield waits_for

    def _die(self) -> None:
        # A killed process runs no clean-up: whatever the closing coroutine tries, fails.
        self._wire.dead = True
        try:
            self._work.close()
        except ProcessDied:
            pass
        finally:
            self._wire.dead = False


async def crash_at(work: Coroutine[Any, Any, Any], wire: Wire, at: int) -> bool:
    """Run `work` until its `at`-th suspension (from 1) and kill it; False if it ended before."""
    return await _Mortal(work, wire, at)
