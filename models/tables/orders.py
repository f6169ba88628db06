"""Orders and fills."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from models.markets import Outcome, Side
from models.orders import OrderState, Role, TimeInForce, TradeStatus
from models.tables.columns import (
    CashE6,
    PriceE4,
    SizeE6,
    Table,
    TimeNs,
    Word,
    check,
    column,
    one_of,
)

_IDENTITY = ("order_id", "agent", "condition_id", "token_id", "outcome", "side")
_TERMINAL = ", ".join(f"'{state}'" for state in OrderState if state.terminal)


class OrderRow(Table, table=True):
    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint(*_IDENTITY, name="uq_orders_identity"),
        Index(
            "ix_orders_open", "agent", "created_at",
            postgresql_where=text(f"state NOT IN ({_TERMINAL})"),
        ),
        Index(None, "agent", "intent_id"),
        Index(None, "condition_id"),
        one_of("outcome", Outcome),
        one_of("side", Side),
        one_of("tif", TimeInForce),
        one_of("state", OrderState),
        check("price", "price > 0 AND price < 1"),
        check("size", "size > 0"),
        check(
            "filled",
            "filled >= 0 AND (filled <= size OR (side = 'BUY' AND tif IN ('FOK', 'FAK')))",
        ),
        check("expiry", "(tif = 'GTD') = (expires_at IS NOT NULL)"),
        check("post_only_rests", "NOT (post_only AND tif IN ('FOK', 'FAK'))"),
    )  # fmt: skip

    order_id: str = column("order_id", Text, primary_key=True)
    intent_id: str = column("intent_id", Text)
    agent: str = column("agent", Text, ForeignKey("agents.name"))
    condition_id: str = column("condition_id", Text, ForeignKey("markets.condition_id"))
    token_id: str = column("token_id", Text)
    outcome: Outcome = column("outcome", Word(Outcome))
    side: Side = column("side", Word(Side))
    price_e4: int = column("price", PriceE4)
    size_e6: int = column("size", SizeE6)
    tif: TimeInForce = column("tif", Word(TimeInForce))
    post_only: bool = column("post_only", Boolean)
    expires_ns: int | None = column("expires_at", TimeNs, nullable=True)
    reason: str = column("reason", Text)
    state: OrderState = column("state", Word(OrderState))
    filled_e6: int = column("filled", SizeE6)
    note: str = column("note", Text)
    payload: dict[str, Any] = column("payload", JSONB)
    """What posts exactly this order again; holds its signature but no credential."""
    lease_token: int = column("lease_token", BigInteger)
    """Of the session that signed it."""
    created_ns: int = column("created_at", TimeNs)
    updated_ns: int = column("updated_at", TimeNs)
    written_token: int = column("written_token", BigInteger, server_default="0")
    written_seq: int = column("written_seq", BigInteger, server_default="0")
    """With `written_token` the version of the last change; an earlier one changes nothing."""


class OrderTransitionRow(Table, table=True):
    """One step of an order's life as a session of its agent wrote it; never changed."""

    __tablename__ = "order_transitions"
    __table_args__ = (
        Index(None, "order_id", "id"),
        one_of("state", OrderState),
        check("filled", "filled >= 0"),
    )

    id: int | None = column("id", BigInteger, Identity(always=True), primary_key=True, default=None)
    order_id: str = column("order_id", Text, ForeignKey("orders.order_id"))
    state: OrderState = column("state", Word(OrderState))
    filled_e6: int = column("filled", SizeE6)
    note: str = column("note", Text)
    lease_token: int = column("lease_token", BigInteger)
    """Of the session that saw the step."""
    at_ns: int = column("at", TimeNs)


class FillRow(Table, table=True):
    """One order's part in one venue trade. It can't disagree with its order about what it is."""

    __tablename__ = "fills"
    __table_args__ = (
        ForeignKeyConstraint(
            _IDENTITY, [f"orders.{name}" for name in _IDENTITY], name="fk_fills_order"
        ),
        Index(None, "order_id"),
        Index(None, "agent", "token_id"),
        Index(None, "agent", "condition_id"),
        Index(None, "matched_at"),
        one_of("role", Role),
        one_of("status", TradeStatus),
        check("size", "size > 0"),
        check("cash", "cash >= 0 AND cash <= size"),
        check("fee", "fee >= 0"),
    )

    trade_id: str = column("trade_id", Text, primary_key=True)
    order_id: str = column("order_id", Text, primary_key=True)
    agent: str = column("agent", Text)
    condition_id: str = column("condition_id", Text)
    token_id: str = column("token_id", Text)
    outcome: Outcome = column("outcome", Word(Outcome))
    side: Side = column("side", Word(Side))
    role: Role = column("role", Word(Role))
    size_e6: int = column("size", SizeE6)
    cash_e6: int = column("cash", CashE6)
    fee_e6: int = column("fee", CashE6)
    status: TradeStatus = column("status", Word(TradeStatus))
    transaction_hash: str = column("transaction_hash", Text)
    matched_ns: int = column("matched_at", TimeNs)
    updated_ns: int = column("updated_at", TimeNs, server_default=text("clock_timestamp()"))
