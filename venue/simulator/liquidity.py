"""Where a book comes from: the interface of all sources, and how a source's wish is imposed.

A source says, window by window, what the book of everybody else looks like and who trades. The
provider turns that into orders of one unlimited account, so that clients' orders meet it by
price and time like any other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.fills.depth import Depth, Level
from engine.matching.types import CoreEvent, Matched
from models.markets import Outcome, Side
from models.units import PRICE_ONE
from venue.simulator.recording import Levels, Row, Taker
from venue.simulator.windows import Window

SEEN_LEVELS = 5
"""Levels a side of a recording; what lies beyond them is not known to be empty."""
PREOPEN = Row(0, ((4_900, 100_000_000),), ((5_100, 100_000_000),), ())
"""What stands in a book before a recording's first row: 100 shares at 0.49 and 0.51."""


@dataclass(frozen=True, slots=True)
class Step:
    """One moment of a source: trades first, then the book they leave behind (Up's levels)."""

    takers: tuple[Taker, ...]
    bids: Levels
    asks: Levels


class Player(Protocol):
    """Plays one window."""

    def next_ns(self) -> int | None:
        """When `play` has something new; None when the window is played out."""
        ...

    def play(self, now_ns: int, tick_e4: int) -> Iterable[Step]:
        """Return what became due, oldest first."""
        ...


class LiquiditySource(Protocol):
    """A way to fill books; replay, model or mirror."""

    @property
    def name(self) -> str:
        """``replay``, ``model`` or ``mirror``."""
        ...

    @property
    def description(self) -> str:
        """One plain sentence for people."""
        ...

    def open(self, window: Window, now_ns: int) -> Player: ...


class Demand:
    """What the provider should have resting in one market, less what clients took.

    Depth that a client consumed comes back only when the source next gives that level another
    size; depth that the source's own takers consumed comes back with the source's next step.

    Parameters
    ----------
    impact
        Of a recorded or mirrored book: keeps what clients took away for as long as the source
        may still be showing it, which is until the level itself has shrunk below that.
    """

    def __init__(self, impact: Depth | None = None) -> None:
        self._impact = impact
        self._wish: dict[tuple[bool, int], int] = {}
        self._consumed: dict[tuple[bool, int], int] = {}

    def consume(self, bid: bool, price_e4: int, size_e6: int) -> None:
        """A client took `size_e6` of the provider's bid or ask at Up's `price_e4`."""
        if self._impact is not None:
            self._impact.take(bid, price_e4, size_e6)
            return
        level = (bid, price_e4)
        self._consumed[level] = self._consumed.get(level, 0) + size_e6

    def met(
        self, events: Iterable[CoreEvent], bids: Sequence[Level], asks: Sequence[Level]
    ) -> None:
        """Depth just imposed may have met clients' resting orders: that is taken too.

        `bids` and `asks` are what was imposed, best first, which is the order it trades in.
        """
        taken = {True: 0, False: 0}
        for event in events:
            if isinstance(event, Matched):
                # The makers tell the side: the core names every imposed taker a BUY of Up.
                maker = event.trade.makers[0]
                bid = (maker.side is Side.BUY) == (maker.outcome is Outcome.UP)
                taken[not bid] += event.trade.size_e6
        for bid, levels in ((True, bids), (False, asks)):
            for price, size in levels:
                part = min(size, taken[bid])
                if part <= 0:
                    break
                self.consume(bid, price, part)
                taken[bid] -= part

    def target(self, step: Step) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Bids and asks to impose for `step`, in Up's prices, best first."""
        if self._impact is not None:
            self._impact.show(step.bids, step.asks)
            return (
                self._impact.against(bid=False, limit_e4=0),
                self._impact.against(bid=True, limit_e4=PRICE_ONE),
            )
        wish = {(True, price): size for price, size in step.bids}
        wish.update({(False, price): size for price, size in step.asks})
        self._consumed = {
            level: size
            for level, size in self._consumed.items()
            if wish.get(level) == self._wish.get(level)
        }
        self._wish = wish
        bids = self._left(True, step.bids)
        asks = self._left(False, step.asks)
        return bids, asks

    def _left(self, bid: bool, levels: Levels) -> list[tuple[int, int]]:
        left = ((price, size - self._consumed.get((bid, price), 0)) for price, size in levels)
        return [(price, size) for price, size in left if size > 0]
