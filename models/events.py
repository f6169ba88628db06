"""What a feed tells: small immutable messages, made millions of times a day.

``ts_ns`` is the venue's clock, ``recv_ns`` ours at receipt.
"""

from enum import StrEnum

import msgspec

from models.markets import Outcome, Side
from models.orders import OrderState, VenueTrade


class Event(msgspec.Struct, frozen=True, gc=False, tag=True):
    ts_ns: int
    recv_ns: int


class BookSnapshot(Event, frozen=True, gc=False, tag=True):
    """A whole book of one token. Levels are (price_e4, size_e6), best first."""

    condition_id: str
    token_id: str
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class BookChange(Event, frozen=True, gc=False, tag=True):
    """New absolute size of levels of one token; zero removes. (side BUY is a bid)."""

    condition_id: str
    token_id: str
    changes: tuple[tuple[Side, int, int], ...]


class TradePrint(Event, frozen=True, gc=False, tag=True):
    """A public trade on the tape; `side` is the taker's, as the venue reports it."""

    condition_id: str
    token_id: str
    side: Side
    price_e4: int
    size_e6: int


class TickSizeChange(Event, frozen=True, gc=False, tag=True):
    condition_id: str
    token_id: str
    tick_e4: int


class SpotSource(StrEnum):
    CHAINLINK = "chainlink"
    BINANCE = "binance"
    TWAP_60 = "twap60"


class SpotTick(Event, frozen=True, gc=False, tag=True):
    """A spot price; `asset` is the upper-case base, ``BTC``."""

    asset: str
    source: SpotSource
    price_e8: int


class MarketResolved(Event, frozen=True, gc=False, tag=True):
    condition_id: str
    winner: Outcome


class OrderUpdate(Event, frozen=True, tag=True):
    """The user channel about one of our orders."""

    order_id: str
    condition_id: str
    state: OrderState
    size_matched_e6: int
    note: str = ""


class TradeUpdate(Event, frozen=True, tag=True):
    """The user channel about one of our trades; the same id comes several times."""

    trade: VenueTrade


class Channel(StrEnum):
    MARKET = "market"
    USER = "user"
    SPOT = "spot"


class FeedState(StrEnum):
    UP = "up"
    """Connected and, for the market channel, in step again after a snapshot."""
    STALE = "stale"
    """Connected, but no data for longer than the watchdog allows."""
    DOWN = "down"


class FeedStatus(Event, frozen=True, gc=False, tag=True):
    """A channel changed state. After every UP the consumer must reconcile by REST."""

    channel: Channel
    state: FeedState
    detail: str = ""


FeedEvent = (
    BookSnapshot
    | BookChange
    | TradePrint
    | TickSizeChange
    | SpotTick
    | MarketResolved
    | OrderUpdate
    | TradeUpdate
    | FeedStatus
)
