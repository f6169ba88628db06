"""What goes into the exchange core and what comes out: orders, trades, events, refusals.

Everything is in integer base units (`models.units`). Prices of orders and legs are in the
order's own token; `LevelChanged` and `Exchange.impose` speak Up's prices.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

import msgspec

from models.errors import VenueError, VenueRejected
from models.markets import Outcome, Side
from models.orders import OrderState, Role, TimeInForce

NO_MATCH_FAK = (
    "no orders found to match with FAK order. "
    "FAK orders are partially filled or killed if no match is found."
)
NOT_FILLED_FOK = "order couldn't be fully filled. FOK orders are fully filled or killed."


class FeeRounding(IntEnum):
    """How a taker fee is rounded to 5 decimals. The venue does not say; half up is our reading."""

    HALF_UP = 0
    HALF_EVEN = 1
    UP = 2
    DOWN = 3


class SelfTrade(IntEnum):
    """What happens when an account's order meets its own. The venue's rule is not documented."""

    ALLOW = 0
    CANCEL_RESTING = 1
    """The resting order is cancelled, the taking one goes on."""
    CANCEL_TAKING = 2
    """What is left of the taking order is cancelled."""


class MatchKind(StrEnum):
    """How a trade settles: shares change hands, or a pair of them is made or unmade."""

    DIRECT = "direct"
    MINT = "mint"
    """BUY meets BUY of the other token; both payments become a pair of shares."""
    MERGE = "merge"
    """SELL meets SELL of the other token; a pair of shares becomes cash."""
    MIXED = "mixed"
    """A trade whose makers settle in different ways; each leg says its own."""


class CancelReason(StrEnum):
    """Why an order ended; the values are the venue's order statuses where it has one."""

    USER = "CANCELED"
    RESOLVED = "CANCELED_MARKET_RESOLVED"
    EXPIRED = "CANCELED_EXPIRED_ORDER"
    BALANCE = "CANCELED_NOT_ENOUGH_BALANCE"
    FOK_KILLED = "CANCELED_" + NOT_FILLED_FOK
    FAK_KILLED = "CANCELED_" + NO_MATCH_FAK
    FAK_REST = "CANCELED_FAK_REMAINDER"
    """A FAK order filled in part; the rest is dropped. Our name, the venue tells nothing."""
    SELF_TRADE = "CANCELED_SELF_TRADE"
    """`SelfTrade` other than ALLOW. Our name."""


@dataclass(frozen=True, slots=True)
class ExchangeConfig:
    """How the exchange behaves where the venue leaves it open or changes it over time.

    Parameters
    ----------
    fee_rounding
        Mode of the fee's rounding to 5 decimals.
    self_trade
        What happens when an account meets itself.
    check_amounts
        Refuse amounts with more decimals than the tick allows, as the venue does.
    min_market_buy_e6
        Least cash of a marketable BUY, in e6.
    min_gtd_s
        A GTD order must expire at least this many seconds from now.
    gtd_early_s
        A GTD order dies this many seconds before its stated expiry.
    tighten
        Whether a market with `tighten_from_e4` ticks goes to `tighten_to_e4` once its mid price
        is beyond 0.04 or 0.96.
    """

    fee_rounding: FeeRounding = FeeRounding.HALF_UP
    self_trade: SelfTrade = SelfTrade.ALLOW
    check_amounts: bool = True
    min_market_buy_e6: int = 1_000_000
    min_gtd_s: int = 180
    gtd_early_s: int = 60
    tighten: bool = True
    tighten_from_e4: int = 100
    tighten_to_e4: int = 10


class CoreOrder(msgspec.Struct, frozen=True, gc=False):
    """An order as it arrives at the exchange, already authenticated.

    Parameters
    ----------
    maker_amount_e6, taker_amount_e6
        Signed amounts: what the order gives at most and what it wants for it. BUY gives cash,
        SELL gives shares.
    price_e4
        Limit price in the order's own token.
    size_e6
        Shares: the taker amount of a BUY, the maker amount of a SELL. FAK and FOK BUY orders are
        limited by the maker amount of cash instead and may receive more shares than this.
    expires_s
        Stated expiry of a GTD order in epoch seconds, 0 for every other.
    """

    order_id: str
    account: str
    condition_id: str
    token_id: str
    side: Side
    price_e4: int
    maker_amount_e6: int
    taker_amount_e6: int
    size_e6: int
    tif: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    expires_s: int = 0
    created_ns: int = 0


class Leg(msgspec.Struct, frozen=True, gc=False):
    """One order's part in a trade, in that order's own token and price.

    ``cash_e6`` is what a BUY paid or a SELL received before the fee. ``open_e6`` is what of the
    order could still fill afterwards, ``filled_e6`` what has filled in all, both in shares.
    """

    order_id: str
    account: str
    token_id: str
    outcome: Outcome
    side: Side
    role: Role
    kind: MatchKind
    price_e4: int
    size_e6: int
    cash_e6: int
    fee_e6: int
    filled_e6: int
    open_e6: int


class CoreTrade(msgspec.Struct, frozen=True, gc=False):
    """One taker order against one or more maker orders at one price.

    ``number`` is unique in the exchange. Price, size and fee are the taker's.
    """

    number: int
    condition_id: str
    kind: MatchKind
    taker: Leg
    makers: tuple[Leg, ...]
    price_e4: int
    size_e6: int
    fee_e6: int
    matched_ns: int


class CoreEvent(msgspec.Struct, frozen=True, gc=False):
    """Root of what the exchange tells."""

    condition_id: str


class Placed(CoreEvent, frozen=True, gc=False):
    """An order was accepted; first event of every order that was not refused.

    ``status`` is LIVE (it rests, perhaps after filling in part), FILLED (nothing is left),
    DELAYED (taker delay; it cannot be cancelled until `Released`) or CANCELLED (it filled in part
    and a `Cancelled` follows). The trades follow as `Matched`.
    """

    order: CoreOrder
    status: OrderState


class Released(CoreEvent, frozen=True, gc=False):
    """A delayed order met the book; ``status`` as in `Placed`."""

    order: CoreOrder
    status: OrderState


class Matched(CoreEvent, frozen=True, gc=False):
    trade: CoreTrade


class Cancelled(CoreEvent, frozen=True, gc=False):
    """An order ended without filling whole; ``remaining_e6`` shares of it will never trade."""

    order_id: str
    account: str
    reason: CancelReason
    remaining_e6: int


class LevelChanged(CoreEvent, frozen=True, gc=False):
    """New absolute size of a level in Up's prices (BUY is a bid); zero: the level is gone."""

    side: Side
    price_e4: int
    size_e6: int


class TickChanged(CoreEvent, frozen=True, gc=False):
    """The market's tick tightened; resting orders stay, new ones need the new grid."""

    old_tick_e4: int
    new_tick_e4: int


class Resolved(CoreEvent, frozen=True, gc=False):
    winner: Outcome


class Redeemed(CoreEvent, frozen=True, gc=False):
    """An account's shares of one token became cash: 1 pUSD a winning share, nothing else."""

    account: str
    token_id: str
    size_e6: int
    cash_e6: int


class RebatePaid(CoreEvent, frozen=True, gc=False):
    """An account's part of a market's maker rebate pool."""

    account: str
    cash_e6: int


@dataclass(frozen=True, slots=True)
class Balance:
    """Cash of an account; ``reserved_e6`` of it is locked by open orders."""

    cash_e6: int
    reserved_e6: int

    @property
    def free_e6(self) -> int:
        return self.cash_e6 - self.reserved_e6


@dataclass(frozen=True, slots=True)
class Pools:
    """What a market holds for others, in e6.

    Parameters
    ----------
    collateral_e6
        Backing of the outstanding pairs of shares.
    fees_e6
        Taker fees collected and not yet paid out as rebates.
    rebate_e6
        The makers' part of every fee collected.
    rounding_e6
        What rounding every leg to the base unit left over (it may be negative).
    """

    collateral_e6: int
    fees_e6: int
    rebate_e6: int
    rounding_e6: int


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """An order and how far it has come. ``cash_e6`` is the sum of its legs, fee not included."""

    order: CoreOrder
    state: OrderState
    filled_e6: int
    cash_e6: int
    fee_e6: int
    reason: str = ""

    @property
    def open_e6(self) -> int:
        """Shares that may still fill."""
        if self.state.terminal:
            return 0
        return max(0, self.order.size_e6 - self.filled_e6)


class OrderRefused(VenueRejected):
    """The exchange refused an order and nothing changed. The caller tells its owner.

    ``code`` is one of `VenueRejected`'s, ``text`` the venue's own words.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text, code)
        self.text = text


class CancelRefused(VenueError):
    """The order could not be cancelled; ``text`` is the venue's reason. Nothing changed."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
