"""Orders, fills and positions, from the wish to the money."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from models.markets import Outcome, Side


class TimeInForce(StrEnum):
    GTC = "GTC"
    GTD = "GTD"
    FOK = "FOK"
    FAK = "FAK"

    @property
    def immediate(self) -> bool:
        return self in (TimeInForce.FOK, TimeInForce.FAK)


class OrderState(StrEnum):
    """Life of an order. `INTENDED` to `SENT` are ours alone; the rest the venue told us."""

    INTENDED = "intended"
    SIGNED = "signed"
    SENT = "sent"
    LIVE = "live"
    DELAYED = "delayed"
    PARTIAL = "partial"
    UNKNOWN = "unknown"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL

    @property
    def resting(self) -> bool:
        """Whether the order may still trade, as far as we know."""
        return not self.terminal


_TERMINAL = frozenset(
    {OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED}
)


class TradeStatus(StrEnum):
    """The venue's settlement states. Only `FAILED` undoes a fill."""

    MATCHED = "MATCHED"
    MINED = "MINED"
    CONFIRMED = "CONFIRMED"
    RETRYING = "RETRYING"
    FAILED = "FAILED"

    @property
    def rank(self) -> int:
        """Order in which states may follow each other; a late, lower state is ignored."""
        return _RANK[self]


_RANK = {
    TradeStatus.MATCHED: 0,
    TradeStatus.RETRYING: 1,
    TradeStatus.MINED: 2,
    TradeStatus.CONFIRMED: 3,
    TradeStatus.FAILED: 4,
}


class Role(StrEnum):
    MAKER = "MAKER"
    TAKER = "TAKER"


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What the engine wants sent: fully specified, on the grid, not yet signed.

    ``intent_id`` is unique per wish and survives retries. For FOK and FAK BUY orders the venue
    spends up to ``price * size`` pUSD and may return more than ``size_e6`` shares when it fills
    at better prices; for every other order ``size_e6`` is the most that can fill.
    ``expires_s`` is epoch seconds, for GTD only.
    """

    intent_id: str
    agent: str
    condition_id: str
    token_id: str
    outcome: Outcome
    side: Side
    price_e4: int
    size_e6: int
    tif: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    expires_s: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """A signed order whose id (the EIP-712 digest) is known before it is sent.

    ``payload`` is what `Venue.submit` needs to post exactly this order again, JSON-serialisable;
    it holds the signature but no credential.
    """

    order_id: str
    request: OrderRequest
    maker_amount_e6: int
    taker_amount_e6: int
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """An order as our books know it."""

    order_id: str
    request: OrderRequest
    state: OrderState
    filled_e6: int = 0
    created_ns: int = 0
    updated_ns: int = 0
    payload: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def open_e6(self) -> int:
        """Shares that may still fill, in e6; zero for a dead order."""
        if self.state.terminal:
            return 0
        return max(0, self.request.size_e6 - self.filled_e6)

    def to(self, state: OrderState, **changes: Any) -> "Order":
        return replace(self, state=state, **changes)


@dataclass(frozen=True, slots=True)
class Fill:
    """One order's part in one venue trade; ``(trade_id, order_id)`` is unique.

    ``cash_e6`` is the notional paid (BUY) or received (SELL), never negative, without the fee.
    """

    trade_id: str
    order_id: str
    agent: str
    condition_id: str
    token_id: str
    outcome: Outcome
    side: Side
    role: Role
    size_e6: int
    cash_e6: int
    fee_e6: int
    status: TradeStatus
    matched_ns: int
    transaction_hash: str = ""

    @property
    def cash_change_e6(self) -> int:
        """What the fill does to our cash, in e6."""
        if self.status is TradeStatus.FAILED:
            return 0
        sign = -1 if self.side is Side.BUY else 1
        return sign * self.cash_e6 - self.fee_e6

    @property
    def share_change_e6(self) -> int:
        """What the fill does to our holding of the token, in e6."""
        if self.status is TradeStatus.FAILED:
            return 0
        return self.size_e6 if self.side is Side.BUY else -self.size_e6


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue reports it. ``size_matched_e6`` is cumulative."""

    order_id: str
    condition_id: str
    token_id: str
    side: Side
    price_e4: int
    original_size_e6: int
    size_matched_e6: int
    state: OrderState


@dataclass(frozen=True, slots=True)
class VenueLeg:
    """One of our orders inside a venue trade, already in that order's own token and price."""

    order_id: str
    token_id: str
    side: Side
    role: Role
    size_e6: int
    cash_e6: int
    fee_e6: int


@dataclass(frozen=True, slots=True)
class VenueTrade:
    """A venue trade with the legs whose owner is us (usually one)."""

    trade_id: str
    condition_id: str
    status: TradeStatus
    matched_ns: int
    legs: tuple[VenueLeg, ...]
    transaction_hash: str = ""


@dataclass(frozen=True, slots=True)
class SubmitAck:
    """The venue took the order. ``state`` is LIVE, DELAYED, FILLED or UNKNOWN (must be asked)."""

    order_id: str
    state: OrderState
    trade_ids: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class CancelReport:
    """Which orders are gone and which are not, with the venue's reason."""

    cancelled: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
