"""A view whose every fact a test sets by hand."""

from dataclasses import dataclass, field, replace

from engine.book import Ladder, Mirror
from models.events import BookSnapshot
from models.markets import FeeSchedule, Market, Outcome, Settlement
from models.orders import Order
from models.units import SECOND_NS, SHARE, USD

MARKET = Market(
    condition_id="0xm",
    slug="btc-updown-15m-1800000000",
    question="Bitcoin up or down?",
    asset="BTC",
    timeframe="15m",
    up_token="up",
    down_token="down",
    start_ns=1_800_000_000 * SECOND_NS,
    end_ns=1_800_000_900 * SECOND_NS,
    tick_e4=100,
    min_size_e6=5 * SHARE,
    fee=FeeSchedule(rate_ppm=70_000),
    settlement=Settlement.BOUNDARY,
)


def book(bid: int | None, ask: int | None, size: int = 100) -> Ladder:
    """One level a side, prices in e4."""
    ladder = Ladder()
    bids = () if bid is None else ((bid, size * SHARE),)
    asks = () if ask is None else ((ask, size * SHARE),)
    ladder.apply(BookSnapshot(1, 1, MARKET.condition_id, MARKET.up_token, bids, asks))
    return ladder


@dataclass
class StagedView:
    """Implements `strategies.base.View`."""

    up: Ladder = field(default_factory=lambda: book(4900, 5000))
    elapsed_s: float = 100.0
    spot: float | None = 68_000.0
    strike: float | None = None
    move: float | None = None
    vol: float | None = 1e-4
    average: float | None = None
    fresh: bool = True
    held: dict[Outcome, int] = field(default_factory=dict)
    open_orders: tuple[Order, ...] = ()
    cash_e6: int = 500 * USD
    market: Market = MARKET
    values: dict[str, float | None] = field(default_factory=dict)
    """Indicators by name, or by name and part as ``bands.upper``."""

    @property
    def down(self) -> Mirror:
        return self.up.mirrored

    @property
    def now_ns(self) -> int:
        return self.market.start_ns + round(self.elapsed_s * SECOND_NS)

    @property
    def time_left_s(self) -> float:
        return self.market.window_s - self.elapsed_s

    def spot_return(self, seconds: float) -> float | None:
        return self.move

    def spot_average(self, seconds: float) -> float | None:
        return self.average

    def volatility(self, seconds: float) -> float | None:
        return self.vol

    def indicator(self, name: str, part: str = "value") -> float | None:
        return self.values[name if part == "value" else f"{name}.{part}"]

    def position_e6(self, outcome: Outcome) -> int:
        return self.held.get(outcome, 0) * SHARE

    def but(self, **changes) -> "StagedView":
        return replace(self, **changes)
