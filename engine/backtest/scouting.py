"""Waking strategies at every event, as fast as Python calls go."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from engine.backtest import layout as on
from engine.backtest.reel import Reel
from engine.backtest.window import TapeWindow

Answer = Callable[[], None]
Awake = Mapping[int, Sequence[TapeWindow]]
"""Windows by the slot of their market."""


@dataclass(slots=True)
class Woken:
    """How far the strategies were woken: the time, the next row, and what they answered."""

    at_ns: int
    row: int
    answers: list[Answer]


class Scouting:
    """Hands out best prices one change after the other, ahead of the view's own ladders.

    Attributes
    ----------
    row
        Row up to which strategies have been woken; what looks deeper follows to it first.
    """

    def __init__(self, reel: Reel) -> None:
        self.row = 0
        self._reel = reel
        self._columns: list[list[int]] = [[] for _ in range(7)]

    def wake(self, awake: Awake, limit_ns: int) -> Woken | None:
        """Call `on_tick` at every coming change until one answers; None when no change comes.

        Nothing else happens up to the limit, and the scout stops before anything but levels: so
        only the best prices and the time differ from one call to the next.
        """
        columns = self._coming(limit_ns)
        if columns is None:
            return None
        if len(awake) == 1:
            ((slot, windows),) = awake.items()
            if len(windows) == 1:
                return self._wake_one(slot, windows[0], columns)
        return self._wake_all(awake, columns)

    def _wake_one(self, slot: int, window: TapeWindow, columns: list[list[int]]) -> Woken:
        """The shortest way, for one market with one window."""
        view, ladder, on_tick = window.view, window.ladder, window.on_tick
        answers: list[Answer] = []
        at = row = 0
        for at, its, bid, ask, bid_size, ask_size, row in zip(*columns, strict=True):
            if its != slot:
                continue
            ladder._bid = bid or None
            ladder._ask = ask if ask != on.NO_ASK else None
            ladder._bid_size = bid_size
            ladder._ask_size = ask_size
            ladder._recv = view.now_ns = at
            self.row = row
            try:
                answer = on_tick(view)
            except Exception as error:
                answers.append(partial(window.raised, "on_tick", error))
                break
            if answer is not None:
                answers.append(partial(window.answered, answer, at))
                break
        self.row = row
        window.calls += self._taken(columns, row)
        return Woken(at, row, answers)

    def _wake_all(self, awake: Awake, columns: list[list[int]]) -> Woken:
        answers: list[Answer] = []
        at = row = 0
        for at, slot, bid, ask, bid_size, ask_size, row in zip(*columns, strict=True):
            self.row = row
            for window in awake.get(slot, ()):
                window.ladder.show(bid, ask, bid_size, ask_size, at)
                window.view.now_ns = at
                window.calls += 1
                try:
                    answer: Any = window.on_tick(window.view)
                except Exception as error:
                    answers.append(partial(window.raised, "on_tick", error))
                    continue
                if answer is not None:
                    answers.append(partial(window.answered, answer, at))
            if answers:
                break
        self.row = row
        return Woken(at, row, answers)

    def _coming(self, limit_ns: int) -> list[list[int]] | None:
        """Columns of the coming changes, not later than the limit: see `kernels.run_ahead`."""
        seen = int(self._reel.at[on.VIEW])
        first = bisect_right(self._columns[-1], seen)
        if first == len(self._columns[-1]):
            self._columns = self._reel.ahead(limit_ns)
            first = 0
        last = bisect_right(self._columns[0], limit_ns)
        if first >= last:
            return None
        if first == 0 and last == len(self._columns[0]):
            return self._columns
        return [column[first:last] for column in self._columns]

    def _taken(self, columns: list[list[int]], row: int) -> int:
        """How many changes were handed out."""
        return bisect_right(columns[-1], row)
