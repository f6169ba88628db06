"""A token's order book as market data shows it: levels of price and size.

The venue shows Down's book as the exact mirror of Up's (facts of the wire: one book per market),
so one `Ladder` fed with either token serves both: `mirrored` reads it from the other side.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence

from models.events import BookChange, BookSnapshot
from models.markets import Side
from models.units import PRICE_ONE

Level = tuple[int, int]
"""(price_e4, size_e6)"""


class _Half:
    """One side: sizes by price, and the prices sorted with the best one last.

    Keys are the prices themselves on the bid side and their negatives on the ask side, so that
    both sides run the same code: an update of a known level is one dictionary write, a new or
    vanished level one binary search and a shift of at most a few hundred integers.
    """

    __slots__ = ("keys", "sign", "sizes")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.sizes: dict[int, int] = {}

    def set(self, price_e4: int, size_e6: int) -> None:
        sizes = self.sizes
        key = price_e4 * self.sign
        if size_e6 > 0:
            if key not in sizes:
                insort(self.keys, key)
            sizes[key] = size_e6
        elif sizes.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]

    def replace(self, levels: Sequence[Level]) -> None:
        self.sizes = {price * self.sign: size for price, size in levels if size > 0}
        self.keys = sorted(self.sizes)

    @property
    def best(self) -> int | None:
        return self.keys[-1] * self.sign if self.keys else None

    @property
    def best_size(self) -> int:
        return self.sizes[self.keys[-1]] if self.keys else 0

    def levels(self, depth: int | None) -> list[Level]:
        """Best first; `depth` None returns them all."""
        keys = self.keys if depth is None else self.keys[-depth:] if depth > 0 else []
        sign, sizes = self.sign, self.sizes
        return [(key * sign, sizes[key]) for key in reversed(keys)]


class Ladder:
    """The book of one token, kept in step by snapshots and changes.

    Attributes
    ----------
    ts_ns, recv_ns
        Clocks of the last message applied, the venue's and ours; 0 before the first.
    ready
        Whether a snapshot was applied; changes before it are kept but may be partial.
    """

    __slots__ = ("_asks", "_bids", "ready", "recv_ns", "ts_ns")

    def __init__(self) -> None:
        self._bids = _Half(1)
        self._asks = _Half(-1)
        self.ready = False
        self.ts_ns = 0
        self.recv_ns = 0

    def apply(self, event: BookSnapshot | BookChange) -> None:
        """Take one message. A snapshot replaces everything, a change sets absolute sizes."""
        if isinstance(event, BookSnapshot):
            self._bids.replace(event.bids)
            self._asks.replace(event.asks)
            self.ready = True
        else:
            for side, price_e4, size_e6 in event.changes:
                (self._bids if side is Side.BUY else self._asks).set(price_e4, size_e6)
        self.ts_ns = event.ts_ns
        self.recv_ns = event.recv_ns

    def set(self, side: Side, price_e4: int, size_e6: int) -> None:
        """Set one level's absolute size; zero removes it."""
        (self._bids if side is Side.BUY else self._asks).set(price_e4, size_e6)

    def clear(self) -> None:
        """Forget everything, as after a lost connection."""
        self._bids.replace(())
        self._asks.replace(())
        self.ready = False

    @property
    def bid_e4(self) -> int | None:
        return self._bids.best

    @property
    def ask_e4(self) -> int | None:
        return self._asks.best

    @property
    def bid_size_e6(self) -> int:
        return self._bids.best_size

    @property
    def ask_size_e6(self) -> int:
        return self._asks.best_size

    @property
    def mid(self) -> float | None:
        """Mid price in dollars, None unless both sides are there."""
        bid, ask = self._bids.best, self._asks.best
        if bid is None or ask is None:
            return None
        return (bid + ask) / (2 * PRICE_ONE)

    @property
    def spread_e4(self) -> int | None:
        """Best ask less best bid; None unless both are there, negative in a crossed book."""
        bid, ask = self._bids.best, self._asks.best
        return None if bid is None or ask is None else ask - bid

    @property
    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask: a message was missed."""
        spread = self.spread_e4
        return spread is not None and spread <= 0

    def bids(self, depth: int | None = 5) -> list[Level]:
        """Levels (price_e4, size_e6), best first; `depth` None returns them all."""
        return self._bids.levels(depth)

    def asks(self, depth: int | None = 5) -> list[Level]:
        """Levels (price_e4, size_e6), best first; `depth` None returns them all."""
        return self._asks.levels(depth)

    def size_at(self, side: Side, price_e4: int) -> int:
        half = self._bids if side is Side.BUY else self._asks
        return half.sizes.get(price_e4 * half.sign, 0)

    @property
    def mirrored(self) -> "Mirror":
        """The other token's book, a live view."""
        return Mirror(self)


class Mirror:
    """The other token's book, read from a `Ladder`: bids become asks at one less the price."""

    __slots__ = ("_ladder",)

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder

    @property
    def ready(self) -> bool:
        return self._ladder.ready

    @property
    def ts_ns(self) -> int:
        return self._ladder.ts_ns

    @property
    def recv_ns(self) -> int:
        return self._ladder.recv_ns

    @property
    def bid_e4(self) -> int | None:
        return _flip(self._ladder.ask_e4)

    @property
    def ask_e4(self) -> int | None:
        return _flip(self._ladder.bid_e4)

    @property
    def bid_size_e6(self) -> int:
        return self._ladder.ask_size_e6

    @property
    def ask_size_e6(self) -> int:
        return self._ladder.bid_size_e6

    @property
    def mid(self) -> float | None:
        """Mid price in dollars, None unless both sides are there."""
        bid, ask = self.bid_e4, self.ask_e4
        if bid is None or ask is None:
            return None
        return (bid + ask) / (2 * PRICE_ONE)

    @property
    def spread_e4(self) -> int | None:
        return self._ladder.spread_e4

    @property
    def crossed(self) -> bool:
        return self._ladder.crossed

    def bids(self, depth: int | None = 5) -> list[Level]:
        """Levels (price_e4, size_e6), best first; `depth` None returns them all."""
        return [(PRICE_ONE - price, size) for price, size in self._ladder.asks(depth)]

    def asks(self, depth: int | None = 5) -> list[Level]:
        """Levels (price_e4, size_e6), best first; `depth` None returns them all."""
        return [(PRICE_ONE - price, size) for price, size in self._ladder.bids(depth)]

    def size_at(self, side: Side, price_e4: int) -> int:
        return self._ladder.size_at(side.opposite, PRICE_ONE - price_e4)


def _flip(price_e4: int | None) -> int | None:
    return None if price_e4 is None else PRICE_ONE - price_e4
