"""P&L reports and snapshots, per agent and for the floor; cash in e6."""

from dataclasses import dataclass
from typing import Any

from psycopg.rows import DictRow

from models.journal import WindowResult
from models.markets import Outcome
from models.tables.columns import from_ns, to_ns
from models.units import cash_decimal
from store.database import Database
from store.rows import e6


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Worth of an agent (or the floor, when `agent` is None) at one time."""

    agent: str | None
    ts_ns: int
    cash_e6: int
    """Capital plus every cash flow so far."""
    position_cost_e6: int
    position_value_e6: int
    realised_e6: int
    unrealised_e6: int

    @property
    def equity_e6(self) -> int:
        return self.cash_e6 + self.position_value_e6


@dataclass(frozen=True, slots=True)
class Position:
    """What an agent's fills in one token add up to."""

    agent: str
    condition_id: str
    token_id: str
    outcome: Outcome
    size_e6: int
    bought_e6: int
    bought_cash_e6: int
    sold_e6: int
    sold_cash_e6: int
    fees_e6: int
    open: bool
    """Shares are held and the market's result is not booked yet."""


@dataclass(frozen=True, slots=True)
class PnlReport:
    """Result of an agent (or the floor, when `agent` is None) over settled windows."""

    agent: str | None
    windows: int
    """Windows with at least one fill."""
    wins: int
    fills: int
    bought_e6: int
    sold_e6: int
    fees_e6: int
    payout_e6: int
    pnl_e6: int
    pnl_today_e6: int
    """Of windows closed this UTC day."""


_PNL = """
    SELECT agent, count(*) FILTER (WHERE fills > 0) AS windows,
        count(*) FILTER (WHERE pnl > 0) AS wins, coalesce(sum(fills), 0) AS fills,
        sum(bought) AS bought, sum(sold) AS sold, sum(fees) AS fees, sum(payout) AS payout,
        sum(pnl) AS pnl,
        sum(pnl) FILTER (WHERE closed_at >= date_trunc('day', now(), 'UTC')) AS today
    FROM trades GROUP BY GROUPING SETS ((), (agent))
    ORDER BY agent NULLS FIRST
"""


async def pnl_reports(db: Database) -> list[PnlReport]:
    """Report the floor first, then every agent that settled a window, by name."""
    return [
        PnlReport(
            agent=row["agent"],
            windows=row["windows"],
            wins=row["wins"],
            fills=row["fills"],
            bought_e6=e6(row["bought"]),
            sold_e6=e6(row["sold"]),
            fees_e6=e6(row["fees"]),
            payout_e6=e6(row["payout"]),
            pnl_e6=e6(row["pnl"]),
            pnl_today_e6=e6(row["today"]),
        )
        for row in await db.fetch(_PNL)
    ]


async def positions(
    db: Database, agent: str | None = None, open_only: bool = True
) -> list[Position]:
    """Return positions, the latest first."""
    rows = await db.fetch(
        """
        SELECT *, (size <> 0 AND NOT settled) AS open FROM positions
        WHERE (%(agent)s::text IS NULL OR agent = %(agent)s)
          AND (NOT %(open_only)s OR (size <> 0 AND NOT settled))
        ORDER BY opened_at DESC, agent, outcome
        """,
        {"agent": agent, "open_only": open_only},
    )
    return [_position(row) for row in rows]


async def window_results(
    db: Database, agent: str | None = None, limit: int = 100
) -> list[WindowResult]:
    """Return settled windows, newest first."""
    rows = await db.fetch(
        """
        SELECT * FROM trades WHERE (%(agent)s::text IS NULL OR agent = %(agent)s)
        ORDER BY closed_at DESC, agent LIMIT %(limit)s
        """,
        {"agent": agent, "limit": limit},
    )
    return [_result(row) for row in rows]


async def save_snapshot(db: Database, snapshot: Snapshot) -> None:
    """Keep a snapshot; a second one of the same time replaces the first."""
    params: dict[str, Any] = {
        "agent": snapshot.agent,
        "taken_at": from_ns(snapshot.ts_ns),
        "cash": cash_decimal(snapshot.cash_e6),
        "position_cost": cash_decimal(snapshot.position_cost_e6),
        "position_value": cash_decimal(snapshot.position_value_e6),
        "equity": cash_decimal(snapshot.equity_e6),
        "realised": cash_decimal(snapshot.realised_e6),
        "unrealised": cash_decimal(snapshot.unrealised_e6),
    }
    await db.execute(
        """
        INSERT INTO portfolio_snapshots (
            agent, taken_at, cash, position_cost, position_value, equity, realised, unrealised
        ) VALUES (
            %(agent)s, %(taken_at)s, %(cash)s, %(position_cost)s, %(position_value)s, %(equity)s,
            %(realised)s, %(unrealised)s
        ) ON CONFLICT (agent, taken_at) DO UPDATE SET
            cash = excluded.cash, position_cost = excluded.position_cost,
            position_value = excluded.position_value, equity = excluded.equity,
            realised = excluded.realised, unrealised = excluded.unrealised
        """,
        params,
    )


async def snapshots(db: Database, agent: str | None, limit: int = 100) -> list[Snapshot]:
    """Return snapshots of an agent (the floor for None), newest first."""
    rows = await db.fetch(
        "SELECT * FROM portfolio_snapshots WHERE agent IS NOT DISTINCT FROM %s"
        " ORDER BY taken_at DESC LIMIT %s",
        (agent, limit),
    )
    return [
        Snapshot(
            agent=row["agent"],
            ts_ns=to_ns(row["taken_at"]),
            cash_e6=e6(row["cash"]),
            position_cost_e6=e6(row["position_cost"]),
            position_value_e6=e6(row["position_value"]),
            realised_e6=e6(row["realised"]),
            unrealised_e6=e6(row["unrealised"]),
        )
        for row in rows
    ]


def _position(row: DictRow) -> Position:
    return Position(
        agent=row["agent"],
        condition_id=row["condition_id"],
        token_id=row["token_id"],
        outcome=Outcome(row["outcome"]),
        size_e6=e6(row["size"]),
        bought_e6=e6(row["bought"]),
        bought_cash_e6=e6(row["bought_cash"]),
        sold_e6=e6(row["sold"]),
        sold_cash_e6=e6(row["sold_cash"]),
        fees_e6=e6(row["fees"]),
        open=row["open"],
    )


def _result(row: DictRow) -> WindowResult:
    return WindowResult(
        agent=row["agent"],
        condition_id=row["condition_id"],
        slug=row["slug"],
        winner=row["winner"],
        bought_e6=e6(row["bought"]),
        sold_e6=e6(row["sold"]),
        fees_e6=e6(row["fees"]),
        payout_e6=e6(row["payout"]),
        fills=row["fills"],
        opened_ns=to_ns(row["opened_at"]),
        closed_ns=to_ns(row["closed_at"]),
    )
