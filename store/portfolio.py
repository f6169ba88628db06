"""P&L reports and snapshots, per agent and for the floor; cash in e6."""

from dataclasses import dataclass

from models.journal import WindowResult
from models.markets import Outcome
from store.database import Database


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


@dataclass(frozen=True, slots=True)
class PnlReport:
    """Result of an agent (or the floor, when `agent` is None) over settled windows."""

    agent: str | None
    windows: int
    wins: int
    fills: int
    bought_e6: int
    sold_e6: int
    fees_e6: int
    payout_e6: int
    pnl_e6: int
    pnl_today_e6: int


async def pnl_reports(db: Database) -> list[PnlReport]:
    """Report the floor first, then every agent by name."""
    raise NotImplementedError


async def positions(
    db: Database, agent: str | None = None, open_only: bool = True
) -> list[Position]:
    raise NotImplementedError


async def window_results(
    db: Database, agent: str | None = None, limit: int = 100
) -> list[WindowResult]:
    """Return settled windows, newest first."""
    raise NotImplementedError


async def save_snapshot(db: Database, snapshot: Snapshot) -> None: ...


async def snapshots(db: Database, agent: str | None, limit: int = 100) -> list[Snapshot]:
    """Return snapshots of an agent (the floor for None), newest first."""
    raise NotImplementedError
