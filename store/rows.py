"""Between our value types and rows: integers of base units, Decimal, datetime, JSON text."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from psycopg.rows import DictRow

from models.markets import FeeSchedule, Market, Outcome, Settlement, Side
from models.orders import (
    Fill,
    Order,
    OrderRequest,
    OrderState,
    Role,
    TimeInForce,
    TradeStatus,
)
from models.tables.columns import from_ns, to_ns
from models.units import (
    SECOND_NS,
    cash_decimal,
    price_decimal,
    size_decimal,
    spot_decimal,
)


def e4(value: Decimal) -> int:
    """Convert NUMERIC to 1/10 000; exact, since the columns hold no more decimals."""
    return int(value.scaleb(4))


def e6(value: Decimal | None) -> int:
    """Convert NUMERIC to 1e-6; the sum of no rows counts as zero."""
    return 0 if value is None else int(value.scaleb(6))


def e8(value: Decimal) -> int:
    return int(value.scaleb(8))


def optional_ns(value: datetime | None) -> int | None:
    return None if value is None else to_ns(value)


def json_text(value: Any) -> str:
    """Encode anything as JSON that Postgres takes: no NaN, no NUL, unknown types as text."""
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, OverflowError, msgspec.MsgspecError):
        text = json.dumps(_finite(json.loads(json.dumps(_keyed(value), default=str))))
    return text.replace("\\u0000", "")


def _keyed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _keyed(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_keyed(item) for item in value]
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value


# --- orders -----------------------------------------------------------------------------------


def order_params(order: Order) -> dict[str, Any]:
    """Parameters of an order's columns, without the version of the write."""
    request = order.request
    return {
        "order_id": order.order_id,
        "intent_id": request.intent_id,
        "agent": request.agent,
        "condition_id": request.condition_id,
        "token_id": request.token_id,
        "outcome": request.outcome.value,
        "side": request.side.value,
        "price": price_decimal(request.price_e4),
        "size": size_decimal(request.size_e6),
        "tif": request.tif.value,
        "post_only": request.post_only,
        "expires_at": from_ns(request.expires_s * SECOND_NS) if request.expires_s else None,
        "reason": request.reason,
        "state": order.state.value,
        "filled": size_decimal(order.filled_e6),
        "note": order.note,
        "payload": json_text(order.payload),
        "created_at": from_ns(order.created_ns),
        "updated_at": from_ns(order.updated_ns),
    }


def order_of(row: DictRow) -> Order:
    expires_ns = optional_ns(row["expires_at"])
    return Order(
        order_id=row["order_id"],
        request=OrderRequest(
            intent_id=row["intent_id"],
            agent=row["agent"],
            condition_id=row["condition_id"],
            token_id=row["token_id"],
            outcome=Outcome(row["outcome"]),
            side=Side(row["side"]),
            price_e4=e4(row["price"]),
            size_e6=e6(row["size"]),
            tif=TimeInForce(row["tif"]),
            post_only=row["post_only"],
            expires_s=0 if expires_ns is None else expires_ns // SECOND_NS,
            reason=row["reason"],
        ),
        state=OrderState(row["state"]),
        filled_e6=e6(row["filled"]),
        created_ns=to_ns(row["created_at"]),
        updated_ns=to_ns(row["updated_at"]),
        payload=row["payload"],
        note=row["note"],
    )


# --- fills ------------------------------------------------------------------------------------


def fill_params(fill: Fill) -> dict[str, Any]:
    return {
        "trade_id": fill.trade_id,
        "order_id": fill.order_id,
        "agent": fill.agent,
        "condition_id": fill.condition_id,
        "token_id": fill.token_id,
        "outcome": fill.outcome.value,
        "side": fill.side.value,
        "role": fill.role.value,
        "size": size_decimal(fill.size_e6),
        "cash": cash_decimal(fill.cash_e6),
        "fee": cash_decimal(fill.fee_e6),
        "status": fill.status.value,
        "transaction_hash": fill.transaction_hash,
        "matched_at": from_ns(fill.matched_ns),
    }


def fill_of(row: DictRow) -> Fill:
    return Fill(
        trade_id=row["trade_id"],
        order_id=row["order_id"],
        agent=row["agent"],
        condition_id=row["condition_id"],
        token_id=row["token_id"],
        outcome=Outcome(row["outcome"]),
        side=Side(row["side"]),
        role=Role(row["role"]),
        size_e6=e6(row["size"]),
        cash_e6=e6(row["cash"]),
        fee_e6=e6(row["fee"]),
        status=TradeStatus(row["status"]),
        matched_ns=to_ns(row["matched_at"]),
        transaction_hash=row["transaction_hash"],
    )


# --- markets ----------------------------------------------------------------------------------


def market_params(market: Market) -> dict[str, Any]:
    return {
        "condition_id": market.condition_id,
        "slug": market.slug,
        "question": market.question,
        "asset": market.asset,
        "timeframe": market.timeframe,
        "up_token": market.up_token,
        "down_token": market.down_token,
        "starts_at": from_ns(market.start_ns),
        "ends_at": from_ns(market.end_ns),
        "tick": price_decimal(market.tick_e4),
        "min_size": size_decimal(market.min_size_e6),
        "fee_rate_ppm": market.fee.rate_ppm,
        "fee_exponent": market.fee.exponent,
        "rebate_ppm": market.fee.rebate_ppm,
        "fee_of_notional": market.fee.of_notional,
        "settlement": market.settlement.value,
        "neg_risk": market.neg_risk,
        "strike": None if market.strike_e8 is None else spot_decimal(market.strike_e8),
    }


def market_of(row: DictRow) -> Market:
    return Market(
        condition_id=row["condition_id"],
        slug=row["slug"],
        question=row["question"],
        asset=row["asset"],
        timeframe=row["timeframe"],
        up_token=row["up_token"],
        down_token=row["down_token"],
        start_ns=to_ns(row["starts_at"]),
        end_ns=to_ns(row["ends_at"]),
        tick_e4=e4(row["tick"]),
        min_size_e6=e6(row["min_size"]),
        fee=FeeSchedule(
            row["fee_rate_ppm"], row["fee_exponent"], row["rebate_ppm"], row["fee_of_notional"]
        ),
        settlement=Settlement(row["settlement"]),
        neg_risk=row["neg_risk"],
        strike_e8=None if row["strike"] is None else e8(row["strike"]),
    )
