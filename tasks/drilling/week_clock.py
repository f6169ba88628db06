"""One clock for several processes, and an event loop that lives by it.

A process on a `SteppedLoop` does what it can at the time it is told, falls silent, and says so;
then somebody moves the clock. A week goes by as fast as its work can be done, and nothing is
skipped but waiting.
"""

import asyncio
import heapq
import mmap
import selectors
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.steady import STEADY
from models.units import SECOND_NS

_FORMAT = struct.Struct("<q")


class SharedClock:
    """Nanoseconds in a small mapped file: what one process sets, all the others see."""

    def __init__(self, path: Path, start_ns: int | None = None) -> None:
        if start_ns is not None:
            path.write_bytes(_FORMAT.pack(start_ns))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _FORMAT.size)

    def now_ns(self) -> int:
        return int(_FORMAT.unpack_from(self._memory)[0])

    def set(self, now_ns: int) -> None:
        _FORMAT.pack_into(self._memory, 0, now_ns)

    def advance(self, seconds: float) -> None:
        self.set(self.now_ns() + round(seconds * SECOND_NS))


class _Alarm:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class SteppedClock:
    """The engine's clock on a shared one: alarms are exact, and ring when `ring` is called.

    Attributes
    ----------
    wrong_ns
        How far this process' wall clock is off, as after somebody set the machine's time.
    """

    def __init__(self, shared: SharedClock) -> None:
        self._shared = shared
        self._alarms: list[tuple[int, int, _Alarm]] = []
        self._count = 0
        self.wrong_ns = 0

    def now_ns(self) -> int:
        return self._shared.now_ns()

    def wall_ns(self) -> int:
        return self._shared.now_ns() + self.wrong_ns

    def call_at(self, when_ns: int, callback: Callable[[], object]) -> _Alarm:
        alarm = _Alarm(callback)
        if when_ns <= self.now_ns():
            asyncio.get_running_loop().call_soon(self._sound, alarm)
        else:
            self._count += 1
            heapq.heappush(self._alarms, (when_ns, self._count, alarm))
        return alarm

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        rung: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due_ns = self.now_ns() + round(seconds * SECOND_NS)
        alarm = self.call_at(due_ns, lambda: None if rung.done() else rung.set_result(None))
        try:
            await rung
        finally:
            alarm.cancel()

    def ring(self) -> None:
        """Sound every alarm that is due."""
        while self._alarms and self._alarms[0][0] <= self.now_ns():
            self._sound(heapq.heappop(self._alarms)[2])

    @staticmethod
    def _sound(alarm: _Alarm) -> None:
        if alarm.callback is not None:
            alarm.callback()


class _Patient(selectors.DefaultSelector):
    """Notices when a loop has nothing left to do at this time of the clock."""

    def __init__(self, patience_s: Callable[[], float], idle: Callable[[], bool]) -> None:
        super().__init__()
        self._patience_s = patience_s
        self._idle = idle

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        found = super().select(self._patience_s())
        if found or self._idle():
            return found
        return super().select(None)


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is the clock's: sleeps and time-outs end when it was moved.

    Parameters
    ----------
    patience_s
        How many real seconds to listen, once all is quiet, for an answer that is due.
    idle
        Called when all is quiet; true when there is something to do again.
    """

    def __init__(
        self, clock: SteppedClock, patience_s: Callable[[], float], idle: Callable[[], bool]
    ) -> None:
        self._stepped = clock
        self._zero_ns = clock.now_ns()
        super().__init__(_Patient(patience_s, idle))

    def time(self) -> float:
        return (self._stepped.now_ns() - self._zero_ns) / SECOND_NS


class _SteppedTime(ModuleType):
    """Stands for the module `time` in our own modules."""

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__("time")
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def time_ns(self) -> int:
        return self._clock.wall_ns()

    def time(self) -> float:
        return self._clock.wall_ns() / SECOND_NS

    def monotonic(self) -> float:
        return self._clock.now_ns() / SECOND_NS


def live_by(clock: SteppedClock, *rooms: str) -> None:
    """Let this process' steady time, and the modules of some rooms, tell the time by `clock`.

    Libraries keep the machine's time; of ours those count that are loaded already.
    """
    STEADY.__init__(clock.wall_ns, clock.now_ns)  # type: ignore[misc]
    told = _SteppedTime(clock)
    for name, module in list(sys.modules.items()):
        if name.startswith(rooms) and getattr(module, "time", None) is time:
            module.time = told  # type: ignore[attr-defined]
