"""What fills add up to: positions per token, trades per market window, snapshots over time."""

from sqlalchemy import BigInteger, Boolean, ForeignKey, Identity, Index, Integer, Text, text

from models.markets import Outcome
from models.tables.columns import CashE6, SizeE6, Table, TimeNs, Word, check, column, one_of


class PositionRow(Table, table=True):
    """An agent's one position in a token, always the sum of its fills that did not fail.

    The size may be below zero for a moment, while a sale is known before its purchase.
    """

    __tablename__ = "positions"
    __table_args__ = (
        Index(None, "condition_id"),
        one_of("outcome", Outcome),
        check("size", "size = bought - sold"),
        check("sums", "least(bought, sold, bought_cash, sold_cash, fees) >= 0"),
    )

    agent: str = column("agent", Text, ForeignKey("agents.name"), primary_key=True)
    token_id: str = column("token_id", Text, primary_key=True)
    condition_id: str = column("condition_id", Text, ForeignKey("markets.condition_id"))
    outcome: Outcome = column("outcome", Word(Outcome))
    size_e6: int = column("size", SizeE6)
    bought_e6: int = column("bought", SizeE6)
    sold_e6: int = column("sold", SizeE6)
    bought_cash_e6: int = column("bought_cash", CashE6)
    sold_cash_e6: int = column("sold_cash", CashE6)
    fees_e6: int = column("fees", CashE6)
    settled: bool = column("settled", Boolean, server_default=text("false"))
    """The market's result is booked in trades; the shares are redeemed or worthless."""
    opened_ns: int = column("opened_at", TimeNs)
    updated_ns: int = column("updated_at", TimeNs)


class TradeRow(Table, table=True):
    """An agent's business in one market window, from its first fill to the settlement."""

    __tablename__ = "trades"
    __table_args__ = (
        Index(None, "agent", "closed_at"),
        one_of("winner", Outcome),
        check("sums", "least(bought, sold, fees, fills) >= 0"),
        check("pnl", "pnl = sold + payout - bought - fees"),
    )

    agent: str = column("agent", Text, ForeignKey("agents.name"), primary_key=True)
    condition_id: str = column(
        "condition_id", Text, ForeignKey("markets.condition_id"), primary_key=True
    )
    slug: str = column("slug", Text)
    winner: Outcome = column("winner", Word(Outcome))
    bought_e6: int = column("bought", CashE6)
    sold_e6: int = column("sold", CashE6)
    fees_e6: int = column("fees", CashE6)
    payout_e6: int = column("payout", CashE6)
    pnl_e6: int = column("pnl", CashE6)
    fills: int = column("fills", Integer)
    opened_ns: int = column("opened_at", TimeNs)
    closed_ns: int = column("closed_at", TimeNs)


class PortfolioSnapshotRow(Table, table=True):
    __tablename__ = "portfolio_snapshots"
    __table_args__ = (
        Index(
            "uq_portfolio_snapshots_agent_taken_at", "agent", "taken_at",
            unique=True, postgresql_nulls_not_distinct=True,
        ),
        check("position_cost", "position_cost >= 0"),
        check("position_value", "position_value >= 0"),
        check("equity", "equity = cash + position_value"),
    )  # fmt: skip

    id: int | None = column("id", BigInteger, Identity(always=True), primary_key=True, default=None)
    agent: str | None = column("agent", Text, ForeignKey("agents.name"), nullable=True)
    """NULL for the whole floor."""
    taken_ns: int = column("taken_at", TimeNs)
    cash_e6: int = column("cash", CashE6)
    position_cost_e6: int = column("position_cost", CashE6)
    position_value_e6: int = column("position_value", CashE6)
    equity_e6: int = column("equity", CashE6)
    realised_e6: int = column("realised", CashE6)
    unrealised_e6: int = column("unrealised", CashE6)
