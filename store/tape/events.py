"""Between a tape and a stream of feed events: what our own recordings are read with."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain

from models.errors import BadValue
from models.events import (
    BookChange,
    BookSnapshot,
    Channel,
    FeedEvent,
    FeedState,
    FeedStatus,
    MarketResolved,
    SpotTick,
    TickSizeChange,
    TradePrint,
)
from models.markets import Market, Outcome, Side
from models.tape import DTYPES, SPOT_SOURCES, Row, Tape
from models.units import PRICE_ONE
from store.tape.columns import Columns, filled, tape_of
from store.tape.order import in_order
from store.tape.rules import Findings

Rows = list[tuple[int, int, int, int, int, int, int]]
"""Rows as tuples in the order of a tape's columns."""

_SOURCE = {source: i for i, source in enumerate(SPOT_SOURCES)}


def tape_from_events(
    events: Iterable[FeedEvent],
    markets: Sequence[Market],
    source: str = "events",
    depth: int | None = None,
) -> Tape:
    """Make a tape of feed events in the order they were received.

    Nothing that a trader heard is mended away, so that a session replayed over the tape sees what
    it saw: books come from the Up token alone, as the trader's do, prints of Down are turned into
    Up's prices, and only the venue's times are brought into order (`store.tape.order`). A market
    channel that goes down or stale becomes a DARK row.

    Parameters
    ----------
    markets
        The markets that events may name; a tape's `market` column points into them in this order.
    """
    convert = _Converter(markets, Findings(source))
    rows = list(chain.from_iterable(map(convert.rows, events)))
    columns = in_order(_columns(rows), convert.findings)
    report = convert.findings.report(len(rows))
    return tape_of(columns, tuple(markets), tuple(convert.assets), depth, (report,))


class _Converter:
    def __init__(self, markets: Sequence[Market], findings: Findings) -> None:
        self.findings = findings
        self.assets: dict[str, int] = {}
        self._markets = {market.condition_id: i for i, market in enumerate(markets)}
        self._up = [market.up_token for market in markets]
        self._tokens = [(market.up_token, market.down_token) for market in markets]
        self._ticks = [market.tick_e4 for market in markets]
        self._resolved: set[int] = set()

    def rows(self, event: FeedEvent) -> Rows:
        """Rows of one event; none for what a tape does not hold, counted by its rule."""
        ts, recv = event.ts_ns, event.recv_ns
        if isinstance(event, SpotTick):
            asset = self.assets.setdefault(event.asset, len(self.assets))
            return [(ts, recv, Row.SPOT, _SOURCE[event.source], asset, 0, event.price_e8)]
        if isinstance(event, FeedStatus):
            if event.channel is Channel.MARKET and event.state is not FeedState.UP:
                return [(ts, recv, Row.DARK, 0, 0, 0, 0)]
            return []
        if not isinstance(
            event, (BookSnapshot, BookChange, TradePrint, TickSizeChange, MarketResolved)
        ):
            self.findings.add("not_market_data", type(event).__name__)
            return []
        market = self._markets.get(event.condition_id)
        if market is None:
            self.findings.add("unknown_token", f"market {event.condition_id}")
            return []
        if isinstance(event, MarketResolved):
            if market in self._resolved:
                self.findings.add("duplicate_row", f"resolution of {event.condition_id}")
                return []
            self._resolved.add(market)
            return [(ts, recv, Row.RESOLVED, int(event.winner is Outcome.DOWN), market, 0, 0)]
        if event.token_id not in self._tokens[market]:
            self.findings.add("unknown_token", f"token {event.token_id}")
            return []
        up = event.token_id == self._up[market]
        if isinstance(event, TradePrint):
            side = int((event.side is Side.SELL) == up)
            price = event.price_e4 if up else PRICE_ONE - event.price_e4
            return [(ts, recv, Row.TRADE, side, market, price, event.size_e6)]
        if isinstance(event, TickSizeChange):
            return self._tick(event, market)
        if not up:
            self.findings.add("mirror_row", f"{type(event).__name__} of {event.token_id}")
            return []
        if isinstance(event, BookChange):
            return [
                (ts, recv, Row.LEVEL, int(side is Side.SELL), market, price, size)
                for side, price, size in event.changes
            ]
        return [
            (ts, recv, Row.CLEAR, 0, market, 0, 0),
            *((ts, recv, Row.LEVEL, 0, market, price, size) for price, size in event.bids),
            *((ts, recv, Row.LEVEL, 1, market, price, size) for price, size in event.asks),
        ]

    def _tick(self, event: TickSizeChange, market: int) -> Rows:
        """A tick is the market's, and told once for each token."""
        if self._ticks[market] == event.tick_e4:
            return []
        self._ticks[market] = event.tick_e4
        return [(event.ts_ns, event.recv_ns, Row.TICK, 0, market, event.tick_e4, 0)]


def events_of(tape: Tape, start: int = 0, stop: int | None = None) -> Iterator[FeedEvent]:
    """Play rows of a tape as the events a feed would have told, in order.

    Rows of one message become one event (see `models.tape`), books and prints as the Up token's.
    The inverse of `tape_from_events` but for what a tape does not hold: Down's books, repeated
    ticks, our own orders, and the detail of a feed's state.
    """
    stop = len(tape) if stop is None else min(stop, len(tape))
    i = start
    while i < stop:
        kind = Row(int(tape.kind[i]))
        if kind in (Row.CLEAR, Row.LEVEL):
            i = yield from _book(tape, i, stop)
            continue
        yield _event(tape, kind, i)
        i += 1


def _event(tape: Tape, kind: Row, i: int) -> FeedEvent:
    ts, recv = int(tape.ts_ns[i]), int(tape.recv_ns[i])
    side, price, size = int(tape.side[i]), int(tape.price[i]), int(tape.size[i])
    if kind is Row.SPOT:
        return SpotTick(ts, recv, tape.assets[tape.market[i]], SPOT_SOURCES[side], size)
    if kind is Row.DARK:
        return FeedStatus(ts, recv, Channel.MARKET, FeedState.DOWN)
    market = tape.markets[tape.market[i]]
    if kind is Row.TRADE:
        taker = Side.SELL if side else Side.BUY
        return TradePrint(ts, recv, market.condition_id, market.up_token, taker, price, size)
    if kind is Row.TICK:
        return TickSizeChange(ts, recv, market.condition_id, market.up_token, price)
    if kind is Row.RESOLVED:
        return MarketResolved(ts, recv, market.condition_id, Outcome.DOWN if side else Outcome.UP)
    raise BadValue(f"tape row {i}: kind {kind} is no event")


def _book(tape: Tape, first: int, stop: int) -> Generator[FeedEvent, None, int]:
    """Yield the message that begins at a row; return the row after it."""
    ts, recv, index = tape.ts_ns[first], tape.recv_ns[first], tape.market[first]
    told = tape.kind[first] == Row.CLEAR
    i = first + 1 if told else first
    levels: list[tuple[Side, int, int]] = []
    while (
        i < stop
        and tape.kind[i] == Row.LEVEL
        and tape.market[i] == index
        and tape.ts_ns[i] == ts
        and tape.recv_ns[i] == recv
    ):
        side = Side.SELL if tape.side[i] else Side.BUY
        levels.append((side, int(tape.price[i]), int(tape.size[i])))
        i += 1
    market = tape.markets[index]
    key = (int(ts), int(recv), market.condition_id, market.up_token)
    if told:
        sides = {
            side: tuple((price, size) for at, price, size in levels if at is side) for side in Side
        }
        yield BookSnapshot(*key, sides[Side.BUY], sides[Side.SELL])
    else:
        yield BookChange(*key, tuple(levels))
    return i


def _columns(rows: Rows) -> Columns:
    if not rows:
        return filled(0)
    return filled(len(rows), **dict(zip(DTYPES, zip(*rows, strict=True), strict=True)))
