"""What an agent owns, in exact integers, derived from its fills and nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from models.journal import WindowResult
from models.markets import Market, Outcome
from models.orders import Fill


class FillChange(StrEnum):
    """What a fill that was reported did to the books."""

    NEW = "new"
    """First time seen: it counts from now on."""
    ADVANCED = "advanced"
    """Known; its settlement came further."""
    REVERSED = "reversed"
    """Known; its trade failed, so it no longer counts."""
    NONE = "none"
    """Known already, or first seen as failed: nothing changes for the money."""


@dataclass(frozen=True, slots=True)
class Position:
    """One token's holding; sizes in e6 shares, cash in e6 pUSD.

    ``confirmed_e6 + pending_e6`` is the holding. ``cost_e6`` is what the shares still held were
    bought for (average cost, without fees); ``realised_e6`` is what selling brought beyond cost,
    less every fee paid so far.
    """

    token_id: str
    confirmed_e6: int = 0
    pending_e6: int = 0
    cost_e6: int = 0
    realised_e6: int = 0
    fees_e6: int = 0

    @property
    def shares_e6(self) -> int:
        return self.confirmed_e6 + self.pending_e6

    def unrealised_e6(self, mark_e4: int) -> int:
        """Value at a mark less cost, in e6."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class MarketFlows:
    """Cash that moved in one market, all in e6 and never negative."""

    bought_e6: int = 0
    sold_e6: int = 0
    fees_e6: int = 0
    fills: int = 0
    first_ns: int = 0

    @property
    def net_e6(self) -> int:
        return self.sold_e6 - self.bought_e6 - self.fees_e6


class Portfolio:
    """Money and shares of one agent.

    Parameters
    ----------
    agent
        Its name.
    capital_e6
        What it was given, in e6 of cash.
    settled_e6
        Net result of every market settled before, in e6.
    """

    def __init__(self, agent: str, capital_e6: int, settled_e6: int = 0) -> None:
        raise NotImplementedError

    def apply(self, fill: Fill) -> FillChange:
        """Upsert a fill by (trade_id, order_id). A lower-ranked status is ignored."""
        raise NotImplementedError

    def fills(self, condition_id: str | None = None) -> tuple[Fill, ...]:
        """Fills of unsettled markets, oldest first (failed ones included)."""
        raise NotImplementedError

    def position(self, token_id: str) -> Position:
        raise NotImplementedError

    def shares_e6(self, token_id: str) -> int:
        """Shares held, confirmed and pending."""
        raise NotImplementedError

    def sellable_e6(self, token_id: str, reserved_e6: int = 0) -> int:
        """Shares free to sell: mined or confirmed, less every sale and what orders reserve."""
        raise NotImplementedError

    def flows(self, condition_id: str) -> MarketFlows:
        raise NotImplementedError

    @property
    def cash_e6(self) -> int:
        """Capital, settled results and the flows of open markets; nothing reserved."""
        raise NotImplementedError

    def cost_e6(self, market: Market) -> int:
        """What the shares held in a market cost, in e6."""
        raise NotImplementedError

    def equity_e6(self, marks_e4: Mapping[str, int]) -> int:
        """Cash plus holdings at the marks given (by token), in e6; unmarked ones at cost."""
        raise NotImplementedError

    def markets(self) -> tuple[str, ...]:
        """Condition ids with fills that are not settled."""
        raise NotImplementedError

    def window_result(self, market: Market, winner: Outcome | None, closed_ns: int) -> WindowResult:
        """Result of a market given its winner: payout is 1 pUSD per winning share."""
        raise NotImplementedError

    def settle(self, result: WindowResult) -> None:
        """Turn a market's flows and payout into settled cash, once; its fills are dropped."""
        raise NotImplementedError

    def load(self, fills: Iterable[Fill], settled_e6: int) -> None:
        """Start from the journal's fills and settled cash."""
        raise NotImplementedError
