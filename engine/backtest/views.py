"""What an agent sees of a tape: the live view over the arrays that the loops keep.

Nothing here leads to the tape itself. The ladders and histories hold what has been seen up to now
and are overwritten in place, so there is no later row for a strategy to find.
"""

from collections.abc import Callable, Mapping
from itertools import count
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from engine.backtest import ladders
from engine.backtest import layout as on
from engine.backtest.reel import Books
from engine.book import Ladder, Level
from engine.indicators import Indicators
from engine.markets import MarketData
from engine.orders import OrderManager
from engine.portfolio import Portfolio
from models.events import SpotSource
from models.markets import Market, Side
from models.units import PRICE_ONE


class Now:
    """Counts the times the arrays have moved on, so that what was read of them is read anew."""

    __slots__ = ("__weakref__", "key", "version")

    def __init__(self) -> None:
        self.version = 0
        self.key = next(_KEYS)


_KEYS = count()
_READERS: WeakValueDictionary[int, "Behind"] = WeakValueDictionary()


class Behind:
    """Brings the arrays up to the moment a strategy is being called at.

    Where a strategy is woken at every event only the best prices are handed out one by one; the
    ladder follows when somebody looks deeper. Kept here and not in the ladder: through a ladder
    nobody shall get at a tape.
    """

    __slots__ = ("__weakref__", "_catch_up")

    def __init__(self, now: Now, catch_up: Callable[[], None]) -> None:
        self._catch_up = catch_up
        _READERS[now.key] = self

    def catch_up(self) -> None:
        self._catch_up()


class TapeLadder(Ladder):
    """Up's book, read from the view's arrays."""

    __slots__ = ("_ask", "_ask_size", "_bid", "_bid_size", "_books", "_now", "_recv", "_slot",
                 "_version")  # fmt: skip

    def __init__(self, books: Books, now: Now) -> None:
        self._books = books
        self._now = now
        self._slot: int | None = None
        self._version = -1
        self.show(on.NO_BID, on.NO_ASK, 0, 0, 0)

    def sit(self, slot: int | None) -> None:
        """Take a slot, or leave it: then the book is empty."""
        self._slot = slot
        self._version = -1

    def show(self, bid: int, ask: int, bid_size: int, ask_size: int, recv_ns: int) -> None:
        """Hand out these best prices until the arrays move on."""
        self._bid = bid or None
        self._ask = None if ask == on.NO_ASK else ask
        self._bid_size = bid_size
        self._ask_size = ask_size
        self._recv = recv_ns

    def _read(self) -> None:
        self._version = self._now.version
        if self._slot is None:
            self.show(on.NO_BID, on.NO_ASK, 0, 0, 0)
            return
        facts = self._books.meta[self._slot]
        bid, ask = int(facts[on.BEST_BID]), int(facts[on.BEST_ASK])
        sizes = self._books.sizes[self._slot]
        self.show(bid, ask, int(sizes[0, bid]), int(sizes[1, ask]), int(facts[on.RECV]))

    @property
    def ready(self) -> bool:  # type: ignore[override]
        return self._slot is not None and bool(self._books.meta[self._slot, on.READY])

    @property
    def ts_ns(self) -> int:  # type: ignore[override]
        self._deepen()
        return 0 if self._slot is None else int(self._books.meta[self._slot, on.TS])

    @property
    def recv_ns(self) -> int:  # type: ignore[override]
        if self._version != self._now.version:
            self._read()
        return self._recv

    @property
    def bid_e4(self) -> int | None:
        if self._version != self._now.version:
            self._read()
        return self._bid

    @property
    def ask_e4(self) -> int | None:
        if self._version != self._now.version:
            self._read()
        return self._ask

    @property
    def bid_size_e6(self) -> int:
        if self._version != self._now.version:
            self._read()
        return self._bid_size

    @property
    def ask_size_e6(self) -> int:
        if self._version != self._now.version:
            self._read()
        return self._ask_size

    @property
    def mid(self) -> float | None:
        bid, ask = self.bid_e4, self.ask_e4
        return None if bid is None or ask is None else (bid + ask) / (2 * PRICE_ONE)

    @property
    def spread_e4(self) -> int | None:
        bid, ask = self.bid_e4, self.ask_e4
        return None if bid is None or ask is None else ask - bid

    def bids(self, depth: int | None = 5) -> list[Level]:
        return self._levels(on.BID, depth)

    def asks(self, depth: int | None = 5) -> list[Level]:
        return self._levels(on.ASK, depth)

    def size_at(self, side: Side, price_e4: int) -> int:
        self._deepen()
        if self._slot is None or not 0 < price_e4 < PRICE_ONE:
            return 0
        return int(self._books.sizes[self._slot, 0 if side is Side.BUY else 1, price_e4])

    def _levels(self, side: int, depth: int | None) -> list[Level]:
        self._deepen()
        if self._slot is None or (depth is not None and depth <= 0):
            return []
        return read_levels(self._books, self._slot, side, depth)

    def _deepen(self) -> None:
        behind = _READERS.get(self._now.key)
        if behind is not None:
            behind.catch_up()


class Shelf:
    """The ladders of a run by market; made without a way to the tape."""

    def __init__(
        self, books: Books, slot_of: npt.NDArray[np.int32], index: Mapping[str, int], now: Now
    ) -> None:
        self._books = books
        self._slot_of = slot_of
        self._index = index
        self._now = now
        self._ladders: dict[int, list[TapeLadder]] = {}

    def ladder(self, market: Market) -> TapeLadder:
        """Make the book of a market for one more agent."""
        ladder = TapeLadder(self._books, self._now)
        index = self._index[market.condition_id]
        slot = int(self._slot_of[index])
        ladder.sit(slot if slot >= 0 else None)
        self._ladders.setdefault(index, []).append(ladder)
        return ladder

    def seat(self, index: int, slot: int) -> None:
        """Have a market's ladders read from a slot."""
        for ladder in self._ladders.get(index, ()):
            ladder.sit(slot)

    def clear(self, index: int) -> None:
        """Empty a market's ladders; its slot is somebody else's from now on."""
        for ladder in self._ladders.pop(index, ()):
            ladder.sit(None)


def read_levels(books: Books, slot: int, side: int, depth: int | None = None) -> list[Level]:
    """A side's levels (price_e4, size_e6), best first; all of them without a depth."""
    most = int(books.meta[slot, on.BIDS + side])
    out = np.empty((most if depth is None else min(depth, most), 2), np.int64)
    ladders.levels(books.sizes, books.meta, slot, side, out)
    return [(price, size) for price, size in out.tolist()]


class TapeData(MarketData):
    """`engine.markets.MarketData` whose books are a tape's."""

    def __init__(
        self,
        orders: OrderManager,
        portfolio: Portfolio,
        max_book_age_s: float,
        max_spot_age_s: float,
        indicators: Indicators,
        ladder: Callable[[Market], TapeLadder],
    ) -> None:
        super().__init__(orders, portfolio, max_book_age_s, max_spot_age_s, indicators)
        self._ladder = ladder

    def new_ladder(self, market: Market) -> Ladder:
        return self._ladder(market)

    def take_spots(self, asset: str, source: SpotSource, rows: npt.NDArray[np.int64]) -> None:
        """Take many prices of one feed at once: rows of time, when seen, and last the price.

        As `MarketData.spot` takes them one by one, but nobody is told.
        """
        history = self.history(asset, source)
        times, prices = rows[:, 0], rows[:, -1]
        differs = times[1:] != times[:-1]
        if not differs.all():
            newest = np.append(differs, True)
            times, prices = times[newest], prices[newest]
        first = 0
        if len(history) and times[0] <= history.last_ns:
            first = int(np.searchsorted(times, history.last_ns))
        if first < len(times) and len(history) and times[first] == history.last_ns:
            history.replace_last(int(prices[first]))
            first += 1
        history.append_batch(times[first:], prices[first:])
        if source is SpotSource.CHAINLINK:
            self._spot_recv_ns[asset] = int(rows[-1, 1])
