"""What a strategy sees of one market: live books, spot, its own position, the window's clock."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from engine.book import Ladder, Mirror
from engine.indicators import Indicators, MarketIndicators
from engine.orders import OrderManager
from engine.portfolio import Portfolio
from engine.spot import SpotHistory
from models.markets import Market, Outcome
from models.orders import Order
from models.units import SECOND_NS, SPOT_USD
from strategies.features.ring import Times


class MarketView:
    """Implements `strategies.base.View` over live objects; nothing is copied per tick.

    The trader moves `now_ns` before every call of the strategy; all that the view holds was
    received before that moment, so a strategy cannot look ahead.
    """

    __slots__ = (
        "_fresh_until",
        "_is_fresh",
        "_orders",
        "_portfolio",
        "_spot",
        "down",
        "features",
        "ladder",
        "market",
        "now_ns",
    )

    def __init__(
        self,
        market: Market,
        ladder: Ladder,
        spot: SpotHistory,
        orders: OrderManager,
        portfolio: Portfolio,
        is_fresh: Callable[[int], bool],
        features: MarketIndicators | None = None,
        fresh_until: Callable[[], int] = int,
    ) -> None:
        self.market = market
        self.ladder = ladder
        self.down: Mirror = ladder.mirrored
        self.now_ns = 0
        self.features = features or Indicators().market(market.condition_id, market.asset)
        self._spot = spot
        self._orders = orders
        self._portfolio = portfolio
        self._is_fresh = is_fresh
        self._fresh_until = fresh_until

    @property
    def up(self) -> Ladder:
        return self.ladder

    @property
    def time_left_s(self) -> float:
        return (self.market.end_ns - self.now_ns) / SECOND_NS

    @property
    def elapsed_s(self) -> float:
        return (self.now_ns - self.market.start_ns) / SECOND_NS

    @property
    def spot(self) -> float | None:
        price = self._spot.last_e8
        return None if price is None else price / SPOT_USD

    @property
    def strike(self) -> float | None:
        strike = self.market.strike_e8
        return None if strike is None else strike / SPOT_USD

    def spot_return(self, seconds: float) -> float | None:
        return self._spot.change(self.now_ns, seconds)

    def spot_average(self, seconds: float) -> float | None:
        return self._spot.average(self.now_ns, seconds)

    def volatility(self, seconds: float) -> float | None:
        return self._spot.volatility(self.now_ns, seconds)

    def spot_window(self, seconds: float) -> tuple[Times, npt.NDArray[np.int64]]:
        return self._spot.between(self.now_ns - round(seconds * SECOND_NS), self.now_ns)

    def indicator(self, name: str, part: str = "value") -> float | None:
        return self.features.value(name, part)

    def window(self, name: str, seconds: float) -> tuple[Times, npt.NDArray[np.float64]]:
        start_ns = self.now_ns - round(seconds * SECOND_NS)
        return self.features.window(name, start_ns, self.now_ns)

    def position_e6(self, outcome: Outcome) -> int:
        return self._portfolio.shares_e6(self.market.token(outcome))

    @property
    def open_orders(self) -> Sequence[Order]:
        return self._orders.open_orders(self.market.condition_id)

    @property
    def cash_e6(self) -> int:
        return self._orders.free_cash_e6()

    @property
    def fresh(self) -> bool:
        return self._is_fresh(self.now_ns)

    @property
    def stale_ns(self) -> int:
        """The moment from which `fresh` is false if nothing more comes; 0 where it is already."""
        until = self._fresh_until()
        return until + 1 if until else 0
