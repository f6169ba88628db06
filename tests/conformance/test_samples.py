"""Every recorded message goes through the floor's own readers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.errors import FloorError
from models.events import BookChange, BookSnapshot, OrderUpdate
from models.markets import FeeSchedule, Side
from models.orders import OrderState
from models.settings import Settings
from venue.polymarket import market_wire as wire
from venue.polymarket.gamma import (
    fee_from_clob,
    market_in_event,
    parse_market,
    winner_from_clob,
    winner_of,
)
from venue.polymarket.orders import WireOrder, order_update
from venue.polymarket.trades import Party, read_wire, trade_of

FEE = FeeSchedule(70_000)


def one(text: str) -> Any:
    (message,), bad = wire.decode_frame(text)
    assert bad == 0
    return message


def book(text: str) -> BookSnapshot:
    return wire.snapshot(one(text), 1)


def rest_book(text: str) -> BookSnapshot:
    (found,) = wire.decode_books(f"[{text}]".encode())
    return wire.snapshot(found, 1)


def changes(text: str) -> list[BookChange]:
    return wire.book_changes(one(text), 1)


def user_order(text: str) -> OrderUpdate:
    update = order_update(msgspec.convert(json.loads(text), WireOrder, strict=False), 1)
    assert update is not None
    return update


def user_trade(text: str) -> int:
    """Seen by every party in turn; returns how many legs they have in all."""
    message = read_wire(json.loads(text))
    rows = message.maker_orders or []
    parties = {message.maker_address or "", *(row.maker_address or "" for row in rows)}
    legs = {
        leg.order_id: leg
        for wallet in parties
        for leg in trade_of(message, Party(wallet, "no key"), FEE).legs
    }
    assert all(leg.size_e6 > 0 for leg in legs.values())
    return len(legs)


def winner_of_events(text: str) -> list[str | None]:
    """Markets that are no crypto windows: their outcome is read, a window they are not."""
    events = json.loads(text)
    return [winner_of(market) for event in events for market in event["markets"]]


def no_window(text: str) -> list[None]:
    """Excerpts of markets of other kinds: our reader says that they are no windows of ours."""
    body = json.loads(text)
    for market in body if isinstance(body, list) else [body]:
        with pytest.raises(FloorError):
            parse_market(market)
    return []


def foreign_events(text: str) -> list[None]:
    body = json.loads(text)
    for event in body if isinstance(body, list) else [body]:
        assert market_in_event(event, "btc-updown-15m-1800000000") is None
    return []


READERS: dict[str, tuple[Callable[[str], Any], Callable[[Any], object]]] = {
    "ws_messages/book.json": (book, lambda b: b.bids[0][0] < b.asks[0][0]),
    "ws_messages/price_change.json": (changes, lambda c: c[0].changes[0][0] is Side.SELL),
    "ws_messages/price_change_v2.json": (changes, lambda c: len(c[0].changes) == 3),
    "ws_messages/last_trade_price.json": (
        lambda text: wire.trade_print(one(text), 1), lambda p: p.price_e4 == 4_910,
    ),
    "ws_messages/tick_size_change.json": (
        lambda text: wire.tick_change(one(text), 1), lambda t: t.tick_e4 == 10,
    ),
    "ws_messages/order_placement.json": (user_order, lambda o: o.state is OrderState.LIVE),
    "ws_messages/order_cancel.json": (user_order, lambda o: o.state is OrderState.CANCELLED),
    "ws_messages/user_trade1.json": (user_trade, lambda legs: legs > 1),
    "ws_messages/user_trade2.json": (user_trade, lambda legs: legs == 2),
    "ws_messages/user_trade3.json": (user_trade, lambda legs: legs == 1),
    "ws_messages/user_trade4.json": (user_trade, lambda legs: legs > 1),
    "ws_messages/trades.json": (user_trade, lambda legs: legs > 1),
    "http_responses/book.json": (rest_book, lambda b: b.bids[0] == (1_000, 125_000_000)),
    "http_responses/gamma_market.json": (
        lambda text: parse_market(json.loads(text)),
        lambda m: (m.slug, m.window_s) == ("btc-updown-5m-1773307200", 300) and not m.fee.free,
    ),
    "http_responses/gamma_event.json": (winner_of_events, lambda winners: len(winners) > 1),
    "http_responses/market.json": (
        lambda text: (fee_from_clob(json.loads(text)), winner_from_clob(json.loads(text))),
        lambda read: read[0].free,
    ),
    "http_responses/markets.json": (
        lambda text: [winner_from_clob(row) for row in json.loads(text)["data"]],
        lambda winners: len(winners) > 90 and any(winners),
    ),
    "http_responses/market_slug.json": (no_window, lambda none: none == []),
    "http_responses/markets_list.json": (no_window, lambda none: none == []),
    "http_responses/event.json": (foreign_events, lambda none: none == []),
    "http_responses/events_list.json": (foreign_events, lambda none: none == []),
}  # fmt: skip
NOT_READ = {
    "http_responses/trades.json": "the floor reads no public trades of the data API",
}


@pytest.fixture(scope="module")
def folder() -> Path:
    folder = Settings().floor_data_dir / "polymarket_api_samples"
    assert folder.is_dir(), f"the recorded samples are missing: {folder}"
    return folder


@pytest.mark.parametrize("name", list(READERS))
def test_a_recorded_message_is_read(folder: Path, name: str) -> None:
    read, right = READERS[name]
    assert right(read((folder / name).read_text()))


def test_no_recorded_message_is_left_out(folder: Path) -> None:
    there = {str(path.relative_to(folder)) for path in folder.glob("*/*.json")}
    assert set(READERS) | set(NOT_READ) == there
