"""Conditional orders and executions: what the venue does not know and we keep."""

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from models.conditional import ConditionKind, ConditionState
from models.execution import Algo, AtEnd, ExecutionState
from models.markets import Outcome, Side
from models.tables.columns import PriceE4, SizeE6, Table, TimeNs, Word, check, column, one_of


class ConditionalOrderRow(Table, table=True):
    __tablename__ = "conditional_orders"
    __table_args__ = (
        Index(
            "ix_conditional_orders_armed", "agent", "condition_id",
            postgresql_where=text("state IN ('armed', 'triggered')"),
        ),
        Index(None, "group_id"),
        one_of("kind", ConditionKind),
        one_of("state", ConditionState),
        one_of("outcome", Outcome),
        check(
            "trigger_price",
            "(kind IN ('stop_loss', 'take_profit')) = (trigger_price IS NOT NULL) "
            "AND trigger_price > 0 AND trigger_price < 1",
        ),
        check(
            "trail",
            "(kind = 'trailing_stop') = (trail_bps IS NOT NULL) "
            "AND trail_bps > 0 AND trail_bps < 10000",
        ),
        check("due", "(kind = 'time_exit') = (due_at IS NOT NULL)"),
        check("size", "size > 0"),
        check("slippage", "slippage_ticks >= 0"),
        check("triggered", "state <> 'armed' OR triggered_at IS NULL"),
    )  # fmt: skip

    id: str = column("id", Text, primary_key=True)
    group_id: str = column("group_id", Text)
    """Orders of one group cancel one another."""
    agent: str = column("agent", Text, ForeignKey("agents.name"))
    condition_id: str = column("condition_id", Text, ForeignKey("markets.condition_id"))
    token_id: str = column("token_id", Text)
    outcome: Outcome = column("outcome", Word(Outcome))
    kind: ConditionKind = column("kind", Word(ConditionKind))
    trigger_e4: int | None = column("trigger_price", PriceE4, nullable=True)
    trail_bps: int | None = column("trail_bps", Integer, nullable=True)
    high_e4: int | None = column("high_price", PriceE4, nullable=True)
    """Highest bid a trailing stop has seen."""
    due_ns: int | None = column("due_at", TimeNs, nullable=True)
    size_e6: int | None = column("size", SizeE6, nullable=True)
    """Most to sell; NULL sells all that is held."""
    slippage_ticks: int = column("slippage_ticks", Integer)
    intent_id: str = column("intent_id", Text, server_default="")
    """The order whose fills it guards; empty for the whole position."""
    reason: str = column("reason", Text, server_default="")
    state: ConditionState = column("state", Word(ConditionState))
    note: str = column("note", Text, server_default="")
    created_ns: int = column("created_at", TimeNs)
    updated_ns: int = column("updated_at", TimeNs)
    triggered_ns: int | None = column("triggered_at", TimeNs, nullable=True)
    written_token: int = column("written_token", BigInteger, server_default="0")
    written_seq: int = column("written_seq", BigInteger, server_default="0")
    """With `written_token` the version of the last change; an earlier one changes nothing."""


class ExecutionRow(Table, table=True):
    __tablename__ = "executions"
    __table_args__ = (
        Index(
            "ix_executions_working", "agent", "condition_id",
            postgresql_where=text("state = 'working'"),
        ),
        one_of("outcome", Outcome),
        one_of("side", Side),
        one_of("algo", Algo),
        one_of("at_end", AtEnd),
        one_of("state", ExecutionState),
        check("price", "price > 0 AND price < 1"),
        check("size", "size > 0"),
        check("time", "starts_at < ends_at"),
    )  # fmt: skip

    id: str = column("id", Text, primary_key=True)
    agent: str = column("agent", Text, ForeignKey("agents.name"))
    condition_id: str = column("condition_id", Text, ForeignKey("markets.condition_id"))
    token_id: str = column("token_id", Text)
    outcome: Outcome = column("outcome", Word(Outcome))
    side: Side = column("side", Word(Side))
    algo: Algo = column("algo", Word(Algo))
    size_e6: int = column("size", SizeE6)
    start_ns: int = column("starts_at", TimeNs)
    end_ns: int = column("ends_at", TimeNs)
    price_e4: int | None = column("price", PriceE4, nullable=True)
    """Worst price it may trade at."""
    at_end: AtEnd = column("at_end", Word(AtEnd))
    plan: dict[str, Any] = column("plan", JSONB)
    progress: dict[str, Any] = column("progress", JSONB)
    reason: str = column("reason", Text, server_default="")
    state: ExecutionState = column("state", Word(ExecutionState))
    note: str = column("note", Text, server_default="")
    updated_ns: int = column("updated_at", TimeNs)
    written_token: int = column("written_token", BigInteger, server_default="0")
    written_seq: int = column("written_seq", BigInteger, server_default="0")
    """With `written_token` the version of the last change; an earlier one changes nothing."""
