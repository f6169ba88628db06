"""Refuses rows that would spoil the books, a block ahead of everybody who reads them.

A tape may be larger than memory: its rows are checked when they are about to be played, while
they are at hand, and are not fetched a second time for it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.backtest import kernels
from engine.backtest.layout import NEVER
from models.errors import ConfigError
from models.tape import DTYPES, Row, Tape

_BLOCK = 1 << 14
"""Rows checked at a time: few enough to be in the processor's cache still when they are played."""
_KINDS = 1 << 22
"""Rows searched at a time for resolutions."""
_CHECK_ROWS: Any = kernels.check_rows


def read_only(tape: Tape) -> tuple[Any, ...]:
    """Return a tape's columns as read-only arrays.

    A file mapped for reading gives no others, and a loop is compiled for one kind only.
    """
    views = [getattr(tape, name).view() for name in DTYPES]
    for view in views:
        view.flags.writeable = False
    return tuple(views)


def winners(tape: Tape, last: int) -> npt.NDArray[np.int64]:
    """Return who wins by the rows before `last`, by market: 0 Up, 1 Down, -1 where none says."""
    won = np.full(max(1, len(tape.markets)), -1, np.int64)
    for first in range(0, last, _KINDS):
        kinds = tape.kind[first : min(first + _KINDS, last)]
        for row in (first + np.flatnonzero(kinds == Row.RESOLVED)).tolist():
            if tape.market[row] < len(won):
                won[tape.market[row]] = tape.side[row]
        tape.release(first)
    return won


class Check:
    """Checks the rows of a tape before `last`, in their order, as far as it is asked to."""

    def __init__(self, tape: Tape, last: int) -> None:
        self._tape = tape
        self._columns = read_only(tape)
        self._last = last
        self._row = 0
        self._known_ns = -1
        """Every row that happens, or can be seen, up to this time has been checked."""

    def until(self, now_ns: int) -> None:
        """Check all rows that happen, or can be seen, up to a time, and the one after them.

        Raises
        ------
        ConfigError
            One of them is out of order or out of range; says which and what is in it.
        """
        while self._known_ns < now_ns:
            self._next_block()

    def _next_block(self) -> None:
        tape, first = self._tape, self._row
        end = min(first + _BLOCK, self._last)
        start = max(first - 1, 0)
        bad = _CHECK_ROWS(
            *(column[start:end] for column in self._columns), len(tape.markets), len(tape.assets)
        )
        if bad >= 0:
            bad += start
            row = {name: int(getattr(tape, name)[bad]) for name in DTYPES}
            raise ConfigError(
                f"tape row {bad} is out of order or out of range: {row}; "
                "`floor data check` says more"
            )
        self._row = end
        # No row is seen before it happens, and the last one is the next somebody may look at.
        self._known_ns = NEVER if end == self._last else int(tape.ts_ns[end - 1]) - 1
