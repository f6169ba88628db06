"""Clocks: the wall's, and one that only moves when told.

Everything that waits asks the clock to wait, so that a test or a replay decides how fast time
goes, and two runs over the same events are the same.
"""

import asyncio
import heapq
from collections.abc import Callable
from typing import Any, Protocol

from engine.steady import STEADY, ClockVerdict, SteadyTime
from models.units import SECOND_NS

DRAIN_TURNS = 60
"""Turns of the event loop after which all that one moment set off has come to rest."""
NAP_S = 5.0
"""Longest the machine's clock sleeps before it looks again how late it is: time may be adopted."""


class Alarm(Protocol):
    def cancel(self) -> None: ...


class WaitingClock(Protocol):
    """A `engine.ports.Clock` that can also wait."""

    def now_ns(self) -> int: ...

    def call_at(self, when_ns: int, callback: Callable[[], object]) -> Alarm:
        """Call back once at `when_ns`, or at the loop's next turn when that has passed."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock, which no step of the wall clock moves (`engine.steady`)."""

    def __init__(self, time: SteadyTime = STEADY) -> None:
        self._time = time

    def now_ns(self) -> int:
        return self._time.now_ns()

    def jump_ns(self) -> int:
        """How far the wall clock has jumped since it was settled, 0 while it has not."""
        return self._time.jump_ns()

    def settle(self, venue_ns: int) -> ClockVerdict:
        """Decide about a jump by the venue's time; see `engine.steady.SteadyTime.settle`."""
        return self._time.settle(venue_ns)

    def call_at(self, when_ns: int, callback: Callable[[], object]) -> Alarm:
        return _SystemAlarm(self.now_ns, when_ns, callback)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class _SystemAlarm:
    """Rings once its time has come by the clock, however that was moved meanwhile."""

    __slots__ = ("_callback", "_handle", "_now_ns", "_when_ns")

    def __init__(
        self, now_ns: Callable[[], int], when_ns: int, callback: Callable[[], object]
    ) -> None:
        self._now_ns = now_ns
        self._when_ns = when_ns
        self._callback = callback
        self._handle = self._set()

    def _set(self) -> asyncio.TimerHandle:
        left_s = (self._when_ns - self._now_ns()) / SECOND_NS
        return asyncio.get_running_loop().call_later(min(max(0.0, left_s), NAP_S), self._ring)

    def _ring(self) -> None:
        if self._now_ns() >= self._when_ns:
            self._callback()
        else:
            self._handle = self._set()

    def cancel(self) -> None:
        self._handle.cancel()


class _ManualAlarm:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    """A clock that stands still until `advance_to` moves it.

    Alarms ring in the order of their times, each seeing exactly its own time as now.
    """

    def __init__(self, now_ns: int, drain_turns: int = DRAIN_TURNS) -> None:
        self._now_ns = now_ns
        self._drain_turns = drain_turns
        self._count = 0
        self._alarms: list[tuple[int, int, _ManualAlarm]] = []

    def now_ns(self) -> int:
        return self._now_ns

    def call_at(self, when_ns: int, callback: Callable[[], object]) -> Alarm:
        alarm = _ManualAlarm(callback)
        self._count += 1
        heapq.heappush(self._alarms, (max(when_ns, self._now_ns), self._count, alarm))
        return alarm

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        rung: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due_ns = self._now_ns + round(seconds * SECOND_NS)

        def ring() -> None:
            if not rung.done():
                rung.set_result(None)

        alarm = self.call_at(due_ns, ring)
        try:
            await rung
        finally:
            alarm.cancel()

    async def advance_to(self, now_ns: int) -> None:
        """Move to `now_ns`, ringing every alarm on the way. Never goes back."""
        await self.drain()
        while self._alarms and self._alarms[0][0] <= now_ns:
            due_ns, _, alarm = heapq.heappop(self._alarms)
            if alarm.callback is None:
                continue
            self._now_ns = max(self._now_ns, due_ns)
            alarm.callback()
            await self.drain()
        self._now_ns = max(self._now_ns, now_ns)

    async def advance(self, seconds: float) -> None:
        await self.advance_to(self._now_ns + round(seconds * SECOND_NS))

    async def drain(self) -> None:
        """Let everything run that needs no time to pass."""
        for _ in range(self._drain_turns):
            await asyncio.sleep(0)


async def wait_for(clock: WaitingClock, event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, at most `seconds` of the clock; return whether it is set."""
    if event.is_set() or seconds <= 0:
        return event.is_set()
    late: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ring() -> None:
        if not late.done():
            late.set_result(None)

    alarm = clock.call_at(clock.now_ns() + round(seconds * SECOND_NS), ring)
    waiter = asyncio.ensure_future(event.wait())
    either: set[asyncio.Future[Any]] = {waiter, late}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        alarm.cancel()
        waiter.cancel()
        late.cancel()
    return event.is_set()
