"""The pace of a window: which hook of the strategy is due now, and when to wake up next.

Synchronous and without a clock of its own, so that a live window and a backtest call the hooks in
the same order at the same times.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from models.units import MILLISECOND_NS, SECOND_NS


class Due(NamedTuple):
    """A hook to call now, with what it is told beside the view (``on_tick``, ``on_timer``: None).

    On ``on_timer`` the caller also beats, and pulls orders from stale data (`Pace.pull`).
    """

    hook: str
    news: object = None


ON_TIMER = Due("on_timer")
ON_TICK = Due("on_tick")


class Pace:
    """Decides what is due in one window, always in this order: news as they came, the whole
    second, the tick.

    Parameters
    ----------
    start_ns, quit_ns
        The window's first moment, and the one at which it is over for the strategy.
    cadence_ms
        Least time between two ticks; 0 ticks on every change.

    Attributes
    ----------
    ticks
        Ticks that were due so far.
    """

    __slots__ = (
        "_cadence_ns",
        "_dirty",
        "_news",
        "_next_second_ns",
        "_next_tick_ns",
        "_pulled",
        "_quit_ns",
        "_start_ns",
        "ticks",
    )

    def __init__(self, start_ns: int, quit_ns: int, cadence_ms: int) -> None:
        self.ticks = 0
        self._start_ns = start_ns
        self._quit_ns = quit_ns
        self._cadence_ns = cadence_ms * MILLISECOND_NS
        self._news: deque[Due] = deque()
        self._dirty = True
        self._next_tick_ns = 0
        self._next_second_ns = start_ns
        self._pulled = False

    def snapshot(self) -> dict[str, Any]:
        """Return where the window is, JSON-serialisable, for a successor to go on from there."""
        return {
            "next_tick_ns": self._next_tick_ns,
            "dirty": self._dirty,
            "pulled": self._pulled,
            "quit_ns": self._quit_ns,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `snapshot` returned, before the window begins."""
        next_tick_ns, dirty = int(state["next_tick_ns"]), bool(state["dirty"])
        self._pulled = bool(state["pulled"])
        self._next_tick_ns, self._dirty = next_tick_ns, dirty

    def begin(self, now_ns: int) -> None:
        """Start counting whole seconds; call it just before ``on_start``."""
        self._next_second_ns = self._second_after(now_ns)

    def touch(self) -> bool:
        """Something in view changed. Returns whether that was not known already."""
        was, self._dirty = self._dirty, True
        return not was

    def tell(self, hook: str, news: object) -> None:
        """Queue a call of a hook with its news; a tick follows."""
        self._news.append(Due(hook, news))
        self._dirty = True

    def due(self, now_ns: int) -> Due | None:
        """Take the next call that is due, None when nothing is."""
        if self._news:
            return self._news.popleft()
        if now_ns >= self._next_second_ns:
            self._next_second_ns = self._second_after(now_ns)
            return ON_TIMER
        if self._dirty and now_ns >= self._next_tick_ns:
            self._dirty = False
            self._next_tick_ns = now_ns + self._cadence_ns
            self.ticks += 1
            return ON_TICK
        return None

    def news(self) -> Due | None:
        """Take the next news alone, None when there are none."""
        return self._news.popleft() if self._news else None

    def beat(self, now_ns: int) -> bool:
        """Take the whole second alone, where nobody is asked anything; whether it was due."""
        if now_ns < self._next_second_ns:
            return False
        self._next_second_ns = self._second_after(now_ns)
        return True

    @property
    def next_second_ns(self) -> int:
        return self._next_second_ns

    @property
    def pulled(self) -> bool:
        """Whether the orders were cancelled for data that are still stale."""
        return self._pulled

    def wake_ns(self) -> int:
        """When to look again if nothing happens before; in the past while news wait."""
        if self._news:
            return 0
        until = min(self._next_second_ns, self._quit_ns)
        return min(until, self._next_tick_ns) if self._dirty else until

    @property
    def touch_ns(self) -> int | None:
        """From when on a change makes a tick due at once; None while a tick is coming anyway."""
        return None if self._dirty else self._next_tick_ns

    def over(self, now_ns: int) -> bool:
        """Whether the window is over for the strategy; ``on_stop`` comes next."""
        return now_ns >= self._quit_ns

    def idle_wake_ns(self) -> int:
        """As `wake_ns` for a window to which a whole second says nothing.

        That is one whose strategy has no ``on_timer`` and which has no order: there is nothing
        to pull, and whether data are fresh is asked again before there will be.
        """
        if self._news or self._pulled:
            return self.wake_ns()
        return min(self._quit_ns, self._next_tick_ns) if self._dirty else self._quit_ns

    def pull(self, fresh: bool, resting: bool) -> bool:
        """Whether to cancel the market's orders now because its data are stale.

        True once per stale spell, at the first question that finds orders resting.
        """
        if fresh:
            self._pulled = False
            return False
        if self._pulled or not resting:
            return False
        self._pulled = True
        return True

    def _second_after(self, now_ns: int) -> int:
        return self._start_ns + ((now_ns - self._start_ns) // SECOND_NS + 1) * SECOND_NS
