"""Time that passes when told: a clock with alarms, and an event loop that never waits.

The engine's coroutines run unchanged on this loop: whatever they sleep or time out is an alarm
of the clock, and `Loop.settle` runs everything that needs no time to pass.
"""

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from engine.backtest.layout import NEVER
from models.units import SECOND_NS


class Alarm:
    """A call at a time; see `engine.clock.Alarm`."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Clock:
    """A `engine.clock.WaitingClock` that its owner moves."""

    __slots__ = ("_alarms", "_count", "now")

    def __init__(self, now_ns: int) -> None:
        self.now = now_ns
        self._count = 0
        self._alarms: list[tuple[int, int, Alarm]] = []

    def now_ns(self) -> int:
        return self.now

    def call_at(self, when_ns: int, callback: Callable[[], object]) -> Alarm:
        alarm = Alarm(callback)
        self._count += 1
        heapq.heappush(self._alarms, (max(when_ns, self.now), self._count, alarm))
        return alarm

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        rung: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm = self.call_at(self.now + round(seconds * SECOND_NS), lambda: _set(rung))
        try:
            await rung
        finally:
            alarm.cancel()

    def next_ns(self) -> int:
        """When the next alarm rings; `NEVER` without any."""
        alarms = self._alarms
        while alarms and alarms[0][2].callback is None:
            heapq.heappop(alarms)
        return alarms[0][0] if alarms else NEVER

    def ring(self) -> bool:
        """Ring one alarm that is due now; False when none is."""
        if self.next_ns() > self.now:
            return False
        callback = heapq.heappop(self._alarms)[2].callback
        assert callback is not None
        callback()
        return True


def _set(rung: "asyncio.Future[None]") -> None:
    if not rung.done():
        rung.set_result(None)


class Loop(asyncio.AbstractEventLoop):
    """The least of an event loop that tasks, futures, locks and time-outs need."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start_ns = clock.now
        self._ready: deque[asyncio.Handle] = deque()
        self._fault: BaseException | None = None

    def settle(self) -> None:
        """Run all that is ready, until nothing is. Raises what no task has caught."""
        ready = self._ready
        if not ready:
            return
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            while ready:
                handle = ready.popleft()
                if not handle.cancelled():
                    handle._run()
        finally:
            asyncio._set_running_loop(before)
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Start a coroutine and run until nothing is ready."""
        task = self.create_task(work)
        self.settle()
        return task

    # --- what asyncio asks of a loop ------------------------------------------------------------

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        due_ns = self._start_ns + round(when * SECOND_NS)
        self._clock.call_at(due_ns, lambda: self._ready.append(handle))
        return handle

    def time(self) -> float:
        return (self._clock.now - self._start_ns) / SECOND_NS

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: contextvars.Context | None = None
    ) -> "asyncio.Task[Any]":
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if "handle" in context and isinstance(error, BaseException):
            self._fault = self._fault or error

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled handle stays among the alarms and does nothing when it rings."""
