"""The clock of a recorded session: time stands still while one thing is being worked out."""

import asyncio
from collections.abc import Callable

from engine.clock import Alarm, WaitingClock
from engine.window import Window


class RecordingClock:
    """A `WaitingClock` over another one.

    All that is worked out in one go reads the same time, and everything that comes from outside
    is stamped with a later time than all before it (`stamp`). So the times in a recording alone
    give the order of what happened, and a session played again reads the times it read.

    Parameters
    ----------
    on_turn
        Called with a window that waited and wakes up.
    """

    def __init__(self, inner: WaitingClock, on_turn: Callable[[Window], None]) -> None:
        self._inner = inner
        self._on_turn = on_turn
        self._now = 0
        self._held = False

    def now_ns(self) -> int:
        if not self._held:
            self._now = max(self._now, self._inner.now_ns())
            self._hold()
        return self._now

    def stamp(self) -> int:
        """Return a new time, later than every one before; it is now the time."""
        self._now = max(self._now + 1, self._inner.now_ns())
        self._hold()
        return self._now

    def call_at(self, when_ns: int, callback: Callable[[], object]) -> Alarm:
        alarm = self._inner.call_at(when_ns, callback)
        window = getattr(callback, "__self__", None)
        return _Rest(alarm, window, self._on_turn) if isinstance(window, Window) else alarm

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)

    def _hold(self) -> None:
        """Stand still until the event loop has come round."""
        if not self._held:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            self._held = True
            loop.call_soon(self._release)

    def _release(self) -> None:
        self._held = False


class _Rest:
    """The alarm of a window that rests; the window takes it back when it wakes up."""

    __slots__ = ("_alarm", "_on_turn", "_window")

    def __init__(self, alarm: Alarm, window: Window, on_turn: Callable[[Window], None]) -> None:
        self._alarm = alarm
        self._window = window
        self._on_turn = on_turn

    def cancel(self) -> None:
        self._alarm.cancel()
        self._on_turn(self._window)
