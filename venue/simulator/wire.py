"""JSON as the venue writes it: numbers as decimal text, books, orders and trades."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from models.markets import Outcome
from models.units import PRICE_ONE, SECOND_NS
from venue.simulator.records import DELAYED, Leg, OrderRecord, TradeRecord
from venue.simulator.windows import Window

Levels = list[tuple[int, int]]


def number(value: int, decimals: int) -> str:
    """Shortest decimal text of an integer scaled by a power of ten: ``number(4800, 4)`` is 0.48."""
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 10**decimals)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}." + f"{fraction:0{decimals}d}".rstrip("0")


def price(value_e4: int) -> str:
    """Text of a price between 0 and 1."""
    return _PRICES[value_e4]


_PRICES = [number(value_e4, 4) for value_e4 in range(PRICE_ONE + 1)]


def amount(value_e6: int) -> str:
    return number(value_e6, 6)


def millis(at_ns: int) -> str:
    return str(at_ns // 1_000_000)


def seconds(at_ns: int) -> str:
    return str(at_ns // SECOND_NS)


# --- books ------------------------------------------------------------------------------------


def book(window: Window, token: str, bids: Levels, asks: Levels, at_ns: int) -> dict[str, Any]:
    """The REST book of a token; `bids` and `asks` come best first, the wire wants best last."""
    market = window.market
    last = window.last_trade.get(token)
    body: dict[str, Any] = {
        "market": market.condition_id,
        "asset_id": token,
        "timestamp": millis(at_ns),
        "hash": "",
        "bids": [{"price": price(p), "size": amount(s)} for p, s in reversed(bids)],
        "asks": [{"price": price(p), "size": amount(s)} for p, s in reversed(asks)],
        "min_order_size": amount(market.min_size_e6),
        "tick_size": price(market.tick_e4),
        "neg_risk": market.neg_risk,
        "last_trade_price": f"{last[0] / PRICE_ONE:.3f}" if last else "",
    }
    body["hash"] = hashlib.sha1(msgspec.json.encode(body), usedforsecurity=False).hexdigest()
    return body


def midpoint_e5(bids: Levels, asks: Levels) -> int | None:
    """Mid price in 1/100 000 (half ticks count); None while a side is empty."""
    if not bids or not asks:
        return None
    return (bids[0][0] + asks[0][0]) * 5


# --- orders and trades ------------------------------------------------------------------------


def open_order(order: OrderRecord) -> dict[str, Any]:
    """An order as `/data/orders` shows it."""
    return {
        "id": order.order_id,
        "status": order.status,
        "owner": order.key,
        "maker_address": order.wallet,
        "market": order.condition_id,
        "asset_id": order.token_id,
        "side": order.side.value,
        "original_size": amount(order.size_e6),
        "size_matched": amount(order.matched_e6),
        "price": price(order.price_e4),
        "outcome": order.outcome.value,
        "expiration": str(order.expires_s),
        "order_type": order.tif.value,
        "associate_trades": list(order.trades),
        "created_at": order.created_ns // SECOND_NS,
    }


def order_event(order: OrderRecord, kind: str, at_ns: int, status: str | None = None) -> Any:
    """An order's life on the user channel; `kind` is PLACEMENT, UPDATE or CANCELLATION."""
    return {
        "event_type": "order",
        "type": kind,
        "id": order.order_id,
        "asset_id": order.token_id,
        "market": order.condition_id,
        "side": order.side.value,
        "price": price(order.price_e4),
        "original_size": amount(order.size_e6),
        "size_matched": amount(order.matched_e6),
        "outcome": order.outcome.value,
        "owner": order.key,
        "order_owner": order.key,
        "maker_address": order.wallet,
        "order_type": order.tif.value,
        "status": status or order.status,
        "associate_trades": list(order.trades) or None,
        "created_at": seconds(order.created_ns),
        "expiration": str(order.expires_s),
        "timestamp": millis(at_ns),
    }


def _maker(leg: Leg) -> dict[str, Any]:
    return {
        "order_id": leg.order_id,
        "owner": leg.key,
        "maker_address": leg.wallet,
        "matched_amount": amount(leg.size_e6),
        "price": price(leg.price_e4),
        "fee_rate_bps": "0",
        "asset_id": leg.token_id,
        "outcome": leg.outcome.value,
        "side": leg.side.value,
    }


def trade(record: TradeRecord, owner: str) -> dict[str, Any]:
    """A trade as one of its parties sees it in `/data/trades`.

    The top level is the taker's for everybody; a maker finds itself in ``maker_orders``.
    """
    taker = record.taker
    return {
        "id": record.trade_id,
        "taker_order_id": taker.order_id,
        "market": record.condition_id,
        "asset_id": taker.token_id,
        "side": taker.side.value,
        "size": amount(taker.size_e6),
        "fee_rate_bps": "0",
        "price": price(taker.price_e4),
        "status": record.status.value,
        "match_time": seconds(record.matched_ns),
        "match_time_nano": str(record.matched_ns),
        "last_update": seconds(record.updated_ns or record.matched_ns),
        "outcome": taker.outcome.value,
        "bucket_index": record.bucket,
        "owner": taker.key,
        "maker_address": taker.wallet,
        "transaction_hash": record.transaction_hash,
        "trader_side": "TAKER" if taker.owner == owner else "MAKER",
        "maker_orders": [_maker(leg) for leg in record.makers],
        "err_msg": "",
    }


def trade_event(record: TradeRecord, owner: str, at_ns: int) -> dict[str, Any]:
    """The same on the user channel."""
    body = trade(record, owner)
    del body["match_time_nano"], body["err_msg"]
    return body | {
        "event_type": "trade",
        "type": "TRADE",
        "trade_owner": record.legs_of(owner)[0].key,
        "timestamp": millis(at_ns),
    }


def order_reply(order: OrderRecord) -> dict[str, Any]:
    """Answer to an accepted POST /order; all keys are always there."""
    buy = order.side.value == "BUY"
    paid, got = (order.cash_e6, order.matched_e6) if buy else (order.matched_e6, order.cash_e6)
    filled = order.matched_e6 > 0
    status = "matched" if filled else "live"
    if order.status == DELAYED:
        status = "delayed"
    return {
        "success": True,
        "errorMsg": "",
        "orderID": order.order_id,
        "status": status,
        "makingAmount": amount(paid) if filled else "",
        "takingAmount": amount(got) if filled else "",
        "tradeIDs": list(order.trades),
        "transactionsHashes": [],
    }


# --- markets ----------------------------------------------------------------------------------


def clob_market(window: Window, accepting: bool, taker_delay: bool) -> dict[str, Any]:
    """Compact market info, `/clob-markets/{condition id}`."""
    market = window.market
    body: dict[str, Any] = {
        "r": {"mi": 0, "ma": 0, "e": False, "moas": 0},
        "t": [
            {"t": market.up_token, "o": Outcome.UP.value},
            {"t": market.down_token, "o": Outcome.DOWN.value},
        ],
        "c": market.condition_id,
        "mos": market.min_size_e6 / 1_000_000,
        "mts": market.tick_e4 / PRICE_ONE,
        "mbf": 1000,
        "tbf": 1000,
        "ao": accepting,
        "cbos": True,
        "aot": iso(window.listed_ns),
        "ibce": True,
        "v": "v1",
    }
    if not market.fee.free:
        body["fd"] = {"r": market.fee.rate_ppm / 1e6, "e": market.fee.exponent, "to": True}
    if taker_delay:
        body["itode"] = True
    return body


def iso(at_ns: int) -> str:
    """UTC time to the second, ``2026-11-21T13:00:00Z``."""
    return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
