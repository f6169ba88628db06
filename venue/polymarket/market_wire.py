"""The market channel's frames to events.

A frame is one object or an array of them, told apart by ``event_type``. Whole frames are decoded
by one typed msgspec decoder; a frame it refuses is taken apart and read object by object, so that
an unknown or malformed one costs nothing but itself.
"""

from typing import Any

import msgspec

from models.events import BookChange, BookSnapshot, TickSizeChange, TradePrint
from models.markets import Side
from venue.polymarket.numbers import epoch_ns, price_e4, size_e6

Stamp = str | int


class Level(msgspec.Struct, gc=False):
    price: str
    size: str


class Change(msgspec.Struct, gc=False):
    """New absolute size of one level; the best prices are those after the change."""

    asset_id: str
    price: str
    side: Side
    size: str
    best_bid: str = ""
    best_ask: str = ""


class WireBook(msgspec.Struct, tag_field="event_type", tag="book", gc=False):
    market: str
    asset_id: str
    bids: list[Level] = []
    asks: list[Level] = []
    timestamp: Stamp = ""


class WirePriceChange(msgspec.Struct, tag_field="event_type", tag="price_change", gc=False):
    """Today's shape has rows; the one before 2025-09-15 was a single flat row."""

    market: str
    price_changes: list[Change] = []
    timestamp: Stamp = ""
    asset_id: str = ""
    price: str = ""
    side: str = ""
    size: str = ""


class WireTick(msgspec.Struct, tag_field="event_type", tag="tick_size_change", gc=False):
    market: str
    asset_id: str
    new_tick_size: str
    timestamp: Stamp = ""


class WirePrint(msgspec.Struct, tag_field="event_type", tag="last_trade_price", gc=False):
    market: str
    asset_id: str
    price: str
    size: str
    side: Side
    timestamp: Stamp = ""


class WireResolved(msgspec.Struct, tag_field="event_type", tag="market_resolved", gc=False):
    market: str
    winning_asset_id: str = ""
    winning_outcome: str = ""
    timestamp: Stamp = ""


class WireBest(msgspec.Struct, tag_field="event_type", tag="best_bid_ask", gc=False):
    """Not used: the book says the same, sooner."""


class WireNewMarket(msgspec.Struct, tag_field="event_type", tag="new_market", gc=False):
    """Not used: windows are found by their slug."""


WireEvent = (
    WireBook
    | WirePriceChange
    | WireTick
    | WirePrint
    | WireResolved
    | WireBest
    | WireNewMarket
)  # fmt: skip
_decoder = msgspec.json.Decoder(WireEvent | list[WireEvent])
_plain = msgspec.json.Decoder()


class RestBook(msgspec.Struct, gc=False):
    """A row of ``POST /books``."""

    market: str
    asset_id: str
    bids: list[Level] = []
    asks: list[Level] = []
    timestamp: Stamp = ""


_rest_books = msgspec.json.Decoder(list[RestBook])


def decode_frame(frame: bytes | str) -> tuple[list[WireEvent], int]:
    """Decode one frame.

    Returns
    -------
    The messages in it, and how many objects of it could not be read.
    """
    try:
        decoded = _decoder.decode(frame)
    except msgspec.ValidationError:
        return _decode_apart(frame)
    except (msgspec.DecodeError, UnicodeError):
        return [], 1
    return (decoded if isinstance(decoded, list) else [decoded]), 0


def _decode_apart(frame: bytes | str) -> tuple[list[WireEvent], int]:
    decoded: Any = _plain.decode(frame)
    found: list[WireEvent] = []
    bad = 0
    for item in decoded if isinstance(decoded, list) else [decoded]:
        try:
            found.append(msgspec.convert(item, WireEvent))
        except msgspec.ValidationError:
            bad += 1
    return found, bad


def decode_books(body: bytes) -> list[RestBook]:
    """Read the reply of ``POST /books``. Raises msgspec.DecodeError when it is none."""
    return _rest_books.decode(body)


def snapshot(book: WireBook | RestBook, recv_ns: int) -> BookSnapshot:
    """A whole book; arrays are sorted on receipt, for their order varies.

    Raises BadValue or ValueError for a level or time that is not a number.
    """
    bids = [(price_e4(level.price), size_e6(level.size)) for level in book.bids]
    asks = [(price_e4(level.price), size_e6(level.size)) for level in book.asks]
    bids.sort(reverse=True)
    asks.sort()
    return BookSnapshot(
        ts_ns=epoch_ns(book.timestamp) or recv_ns,
        recv_ns=recv_ns,
        condition_id=book.market,
        token_id=book.asset_id,
        bids=tuple(level for level in bids if level[1] > 0),
        asks=tuple(level for level in asks if level[1] > 0),
    )


def book_changes(wire: WirePriceChange, recv_ns: int) -> list[BookChange]:
    """Events of a message: one per run of rows about the same token, rows in order.

    Raises BadValue or ValueError for a number that is none.
    """
    ts_ns = epoch_ns(wire.timestamp) or recv_ns
    market, rows = wire.market, wire.price_changes
    if not rows:
        if not wire.asset_id:
            return []
        change = (Side(wire.side), price_e4(wire.price), size_e6(wire.size))
        return [BookChange(ts_ns, recv_ns, market, wire.asset_id, (change,))]
    events: list[BookChange] = []
    token = rows[0].asset_id
    run: list[tuple[Side, int, int]] = []
    for row in rows:
        if row.asset_id != token:
            events.append(BookChange(ts_ns, recv_ns, market, token, tuple(run)))
            token, run = row.asset_id, []
        run.append((row.side, price_e4(row.price), size_e6(row.size)))
    events.append(BookChange(ts_ns, recv_ns, market, token, tuple(run)))
    return events


def trade_print(wire: WirePrint, recv_ns: int) -> TradePrint:
    return TradePrint(
        ts_ns=epoch_ns(wire.timestamp) or recv_ns,
        recv_ns=recv_ns,
        condition_id=wire.market,
        token_id=wire.asset_id,
        side=wire.side,
        price_e4=price_e4(wire.price),
        size_e6=size_e6(wire.size),
    )


def tick_change(wire: WireTick, recv_ns: int) -> TickSizeChange:
    return TickSizeChange(
        ts_ns=epoch_ns(wire.timestamp) or recv_ns,
        recv_ns=recv_ns,
        condition_id=wire.market,
        token_id=wire.asset_id,
        tick_e4=price_e4(wire.new_tick_size),
    )
