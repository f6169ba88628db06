"""What the venue remembers of clients: their orders and trades."""

import msgspec

from models.markets import Market, Outcome, Side
from models.orders import TimeInForce, TradeStatus

LIVE, DELAYED, MATCHED, CANCELED = "LIVE", "DELAYED", "MATCHED", "CANCELED"
"""Statuses of orders on the wire; cancellations may carry the venue's reason instead."""


class OrderRecord(msgspec.Struct):
    """A client's order. Amounts in e6, price in e4 of its own token.

    ``cash_e6`` is what fills paid or brought so far, fee not included.
    """

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
    status: str
    matched_e6: int = 0
    cash_e6: int = 0
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
    earned_e6: int = 0
    """Of a maker: the fee that its fill made the taker pay, by which it shares in rebates."""


class TradeRecord(msgspec.Struct):
    """A trade with at least one client in it; a doomed one fails instead of being confirmed."""

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
    rebate_ppm: int = 0
    """The makers' share of the taker's fee, in millionths."""
    rebated: bool = False
    """Whether the makers were paid it."""

    def legs_of(self, owner: str) -> list[Leg]:
        return [leg for leg in (self.taker, *self.makers) if leg.owner == owner]


class WindowRecord(msgspec.Struct, frozen=True):
    """What must be remembered of a window: its market as it is now, prices, winner."""

    market: Market
    number: str
    question_id: str
    listed_ns: int
    opening_e8: int | None
    closing_e8: int | None
    winner: Outcome | None
    resolved_ns: int
    volume_e6: int


class Rebate(msgspec.Struct, frozen=True):
    """A wallet's share of the taker fees of one market and one UTC day, ``YYYY-MM-DD``."""

    wallet: str
    condition_id: str
    day: str
    cash_e6: int
    at_ns: int
    transaction_hash: str


class Redemption(msgspec.Struct, frozen=True):
    """Winning shares turned into cash (or losing ones into nothing) at resolution."""

    wallet: str
    condition_id: str
    token_id: str
    size_e6: int
    cash_e6: int
    at_ns: int
    transaction_hash: str
