"""Conditional orders: kept by us, because the venue knows none."""

from enum import StrEnum

from sqlalchemy import ForeignKey, Index, Text, text

from models.markets import Outcome, Side
from models.tables.columns import PriceE4, SizeE6, Table, TimeNs, Word, check, column, one_of


class ConditionKind(StrEnum):
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"


class ConditionState(StrEnum):
    ARMED = "armed"
    TRIGGERED = "triggered"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class ConditionalOrderRow(Table, table=True):
    __tablename__ = "conditional_orders"
    __table_args__ = (
        Index(
            "ix_conditional_orders_armed", "agent", "condition_id",
            postgresql_where=text("state = 'armed'"),
        ),
        Index(None, "group_id"),
        one_of("kind", ConditionKind),
        one_of("state", ConditionState),
        one_of("outcome", Outcome),
        one_of("side", Side),
        check("trigger_price", "trigger_price > 0 AND trigger_price < 1"),
        check("limit_price", "limit_price > 0 AND limit_price < 1"),
        check("trail", "(kind = 'trailing_stop') = (trail IS NOT NULL) AND trail > 0"),
        check("size", "size > 0"),
        check("triggered", "state <> 'armed' OR triggered_at IS NULL"),
    )  # fmt: skip

    id: str = column("id", Text, primary_key=True)
    group_id: str | None = column("group_id", Text, nullable=True)
    """Orders of one group cancel one another."""
    agent: str = column("agent", Text, ForeignKey("agents.name"))
    condition_id: str = column("condition_id", Text, ForeignKey("markets.condition_id"))
    token_id: str = column("token_id", Text)
    outcome: Outcome = column("outcome", Word(Outcome))
    side: Side = column("side", Word(Side))
    kind: ConditionKind = column("kind", Word(ConditionKind))
    trigger_e4: int = column("trigger_price", PriceE4)
    limit_e4: int | None = column("limit_price", PriceE4, nullable=True)
    """NULL sends a marketable order."""
    trail_e4: int | None = column("trail", PriceE4, nullable=True)
    size_e6: int = column("size", SizeE6)
    state: ConditionState = column("state", Word(ConditionState))
    order_id: str | None = column("order_id", Text, ForeignKey("orders.order_id"), nullable=True)
    note: str = column("note", Text, server_default="")
    created_ns: int = column("created_at", TimeNs)
    updated_ns: int = column("updated_at", TimeNs)
    triggered_ns: int | None = column("triggered_at", TimeNs, nullable=True)
