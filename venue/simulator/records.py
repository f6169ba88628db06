"""What the venue remembers of clients: their orders and trades."""

from enum import StrEnum

import msgspec

from models.markets import Outcome, Side
from models.orders import TimeInForce, TradeStatus


class Status(StrEnum):
    """Status of an order on the wire."""

    LIVE = "LIVE"
    DELAYED = "DELAYED"
    MATCHED = "MATCHED"
    UNMATCHED = "UNMATCHED"
    CANCELED = "CANCELED"
    CANCELED_RESOLVED = "CANCELED_MARKET_RESOLVED"
    CANCELED_BALANCE = "CANCELED_NOT_ENOUGH_BALANCE"
    CANCELED_EXPIRED = "CANCELED_EXPIRED_ORDER"
    INVALID = "INVALID"


class OrderRecord(msgspec.Struct):
    """A client's order. Amounts in e6, price in e4 of its own token."""

    order_id: str
    seq: int
    key: str
    owner: str
    wallet: str
    condition_id: str
    token_id: str
    outcome: Outcome
    side: Side
    price_e4: int
    maker_amount_e6: int
    taker_amount_e6: int
    size_e6: int
    tif: TimeInForce
    post_only: bool
    expires_s: int
    created_ns: int
    status: Status
    matched_e6: int = 0
    cash_e6: int = 0
    """Cash paid or received by fills so far, fee not included."""
    trades: list[str] = []
    open: bool = True
    updated_ns: int = 0


class Leg(msgspec.Struct, frozen=True):
    """One order's part in a trade, in that order's own token and price."""

    order_id: str
    key: str
    owner: str
    wallet: str
    token_id: str
    outcome: Outcome
    side: Side
    price_e4: int
    size_e6: int
    cash_e6: int
    fee_e6: int


class TradeRecord(msgspec.Struct):
    """A trade with at least one client in it."""

    trade_id: str
    seq: int
    condition_id: str
    taker: Leg
    makers: list[Leg]
    kind: str
    matched_ns: int
    transaction_hash: str
    bucket: int
    status: TradeStatus = TradeStatus.MATCHED
    updated_ns: int = 0
    doomed: bool = False
    """A ghost: it will fail instead of being confirmed."""

    def legs_of(self, owner: str) -> list[Leg]:
        return [leg for leg in (self.taker, *self.makers) if leg.owner == owner]


class WindowRecord(msgspec.Struct, frozen=True):
    """What must be remembered of a window: prices, winner, tick."""

    slug: str
    listed_ns: int
    tick_e4: int
    opening_e8: int | None
    closing_e8: int | None
    winner: Outcome | None
    resolved_ns: int
    volume_e6: int


class Redemption(msgspec.Struct, frozen=True):
    """Winning shares turned into cash (or losing ones into nothing) at resolution."""

    wallet: str
    condition_id: str
    token_id: str
    size_e6: int
    cash_e6: int
    at_ns: int
    transaction_hash: str
