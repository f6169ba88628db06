"""What a session reads from its durable book, and what it writes when a window ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.conditional import Condition
from models.execution import Execution
from models.markets import Market
from models.orders import Fill, Order


@dataclass(frozen=True, slots=True)
class JournalState:
    """What the journal knows of an agent when a session starts."""

    orders: tuple[Order, ...]
    """Orders that are not terminal, oldest first."""
    fills: tuple[Fill, ...]
    """Every fill in markets that are not settled, oldest first."""
    markets: tuple[Market, ...]
    """Markets of these orders and fills, conditions and executions."""
    settled_cash_e6: int
    """Net cash result of every settled market since the agent's birth."""
    day_start_cash_e6: int
    """The same at the start of this UTC day."""
    checkpoint: Mapping[str, Any] | None
    ended: tuple[Order, ...] = ()
    """Terminal orders in markets that are not settled: their late fills still count."""
    conditions: tuple[Condition, ...] = ()
    """Conditional orders that are armed or at work, oldest first."""
    executions: tuple[Execution, ...] = ()
    """Executions that are at work, oldest first."""
    spot: tuple[tuple[str, str, int, int], ...] = ()
    """Spot prices that were seen lately, by whomever: asset, source, time in ns, price in e8.
    In order of their times; they fill the gap since the checkpoint."""


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What one market window brought an agent; all in e6 of cash, exact."""

    agent: str
    condition_id: str
    slug: str
    winner: str
    """``Up``, ``Down`` or empty while unresolved."""
    bought_e6: int
    sold_e6: int
    fees_e6: int
    payout_e6: int
    fills: int
    opened_ns: int
    closed_ns: int

    @property
    def pnl_e6(self) -> int:
        return self.sold_e6 + self.payout_e6 - self.bought_e6 - self.fees_e6
