"""Market maker: quote both sides around a fair value and earn the spread."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, sqrt
from statistics import NormalDist
from typing import Any

from pydantic import Field

from models.events import MarketResolved
from models.markets import Outcome
from models.units import PRICE_ONE, SHARE
from risk.sizing import whole_e6
from strategies.base import Intents, Quote, Strategy, StrategyParams, View
from strategies.valuation import up_value

_NORMAL = NormalDist()
NO_QUOTE = Quote(None, 0, None, 0)
_SLACK = 0.05
"""A price this close to a tick, in ticks, counts as on it; no model is exact to less."""


class MarketMakerParams(StrategyParams):
    half_spread_ticks: float = Field(
        1, ge=0, le=50, description="Least distance of each side from the fair value, ticks."
    )
    move_weight: float = Field(
        2.0,
        ge=0,
        le=10,
        description="Distance in standard deviations of the fair value over `reaction_s`; the "
        "wider of this and `half_spread_ticks` counts.",
    )
    reaction_s: float = Field(
        1.0, gt=0, le=60, description="Seconds until a quote follows a move of the fair value."
    )
    size_shares: float = Field(20, ge=5, le=100_000, description="Shares per side.")
    max_inventory_shares: float = Field(
        100, ge=5, le=1_000_000, description="Most shares of one outcome beyond the other."
    )
    skew_ticks: float = Field(
        2, ge=0, le=50, description="Shift of both sides against a full inventory, ticks."
    )
    book_weight: float = Field(
        0.8, ge=0, le=1, description="Weight of the book's mid in the fair value; the rest model."
    )
    max_deviation_ticks: float = Field(
        3, ge=0, le=100, description="Most the fair value may differ from the book's mid, ticks."
    )
    join_best: bool = Field(
        False, description="Join the best price where it is still on our side of fair."
    )
    requote_ticks: int = Field(
        1, ge=1, le=20, description="A side moves only when it is off by at least this, ticks."
    )
    min_time_left_s: float = Field(
        20, ge=0, le=14_400, description="Quotes are pulled with less of the window left, seconds."
    )
    max_time_left_s: float = Field(
        14_400, gt=0, le=14_400, description="No quotes with more of the window left, seconds."
    )
    edge_price: float = Field(
        0.05, ge=0, lt=0.5, description="No quotes while the mid is this close to 0 or 1, dollars."
    )
    volatility_lookback_s: float = Field(300, ge=10, le=3600, description="Seconds of spot used.")
    assumed_volatility: float = Field(
        1e-4, gt=0, le=0.01, description="Per root second, while there is too little history."
    )


@dataclass(frozen=True, slots=True)
class _Grid:
    """Prices of one market in ticks."""

    tick_e4: int

    def down(self, price: float) -> int:
        return floor(price * PRICE_ONE / self.tick_e4 + _SLACK) * self.tick_e4

    def up(self, price: float) -> int:
        return ceil(price * PRICE_ONE / self.tick_e4 - _SLACK) * self.tick_e4

    def below(self, price_e4: int) -> int:
        """Highest price on the grid below another."""
        return (price_e4 - 1) // self.tick_e4 * self.tick_e4

    def above(self, price_e4: int) -> int:
        """Lowest price on the grid above another."""
        return (price_e4 // self.tick_e4 + 1) * self.tick_e4

    def ticks(self, count: float) -> float:
        return count * self.tick_e4 / PRICE_ONE


class MarketMaker(Strategy):
    """Quote both sides around the digital's fair value, blended with the book's mid.

    The idea: makers pay no fee, takers pay up to 1.75 cents a share, so whoever rests on both
    sides at fair value earns the spread from those in a hurry. The fair value is the probability
    that spot ends at or above the strike; the book's mid is blended in because the book often
    knows more, and the fair value is never further than `max_deviation_ticks` from it. The
    distance grows with how far the fair value may move before a quote can follow. Quotes lean
    against the inventory and stop at its limit.

    Its known weakness is adverse selection: the fills come when spot has just moved and the
    quote is late, most of all near the strike in the last minutes, where a share's value moves
    by cents per dollar of spot. Quotes that join every best price fill most and lose most:
    over the recorded windows the spread earned did not pay for it. What is held when the window
    ends is settled at 0 or 1.
    """

    name = "market-maker"
    cadence_ms = 1000
    Params = MarketMakerParams
    params: MarketMakerParams

    def __init__(self, params: StrategyParams) -> None:
        super().__init__(params)
        self._quoted: dict[str, tuple[int, int]] = {}
        """Last bid and ask by condition id, for `requote_ticks`."""

    def on_tick(self, view: View) -> Intents:
        fair = self.fair_value(view)
        if fair is None:
            self._quoted.pop(view.market.condition_id, None)
            return [NO_QUOTE]
        return [self._quote(view, fair)]

    def fair_value(self, view: View) -> float | None:
        """Value of a share of Up in dollars, None while the market must not be quoted."""
        params = self.params
        mid = view.up.mid
        if mid is None or not view.fresh:
            return None
        if not params.min_time_left_s < view.time_left_s <= params.max_time_left_s:
            return None
        if not params.edge_price <= mid <= 1 - params.edge_price:
            return None
        model = self._model_value(view)
        if model is None:
            return mid
        blend = params.book_weight * mid + (1 - params.book_weight) * model
        most = _Grid(view.market.tick_e4).ticks(params.max_deviation_ticks)
        return min(max(blend, mid - most), mid + most)

    def _model_value(self, view: View) -> float | None:
        volatility = view.volatility(self.params.volatility_lookback_s)
        return up_value(view, volatility or self.params.assumed_volatility)

    def _quote(self, view: View, fair: float) -> Quote:
        params, market = self.params, view.market
        grid = _Grid(market.tick_e4)
        held = view.position_e6(Outcome.UP) - view.position_e6(Outcome.DOWN)
        most = round(params.max_inventory_shares * SHARE)
        lean = grid.ticks(params.skew_ticks) * max(-1.0, min(1.0, held / most))
        old_bid, old_ask = self._quoted.get(market.condition_id, (None, None))
        half = max(grid.ticks(params.half_spread_ticks), self._move(view, fair))
        bid = self._bid(view, fair - lean, half, grid, old_bid)
        ask = self._ask(view, fair - lean, half, grid, old_ask)
        if bid >= ask:
            bid = ask - grid.tick_e4
        size = round(params.size_shares * SHARE)
        bid_size = whole_e6(min(size, most - held))
        ask_size = whole_e6(min(size, most + held))
        bids = bid >= grid.tick_e4 and bid_size >= market.min_size_e6
        asks = ask <= PRICE_ONE - grid.tick_e4 and ask_size >= market.min_size_e6
        self._quoted[market.condition_id] = (bid, ask)
        return Quote(
            bid if bids else None,
            bid_size if bids else 0,
            ask if asks else None,
            ask_size if asks else 0,
            reason=f"fair {fair:.4f}",
            probability=fair,
        )

    def _move(self, view: View, fair: float) -> float:
        """How far the fair value may move before a quote can follow, in dollars.

        A digital's value moves by ``pdf(d2) / sqrt(time left)`` per square root of a second,
        whatever the volatility: a tick or two in mid-window, many ticks near the strike and end.
        """
        at = min(max(fair, 0.001), 0.999)
        speed = _NORMAL.pdf(_NORMAL.inv_cdf(at)) / sqrt(max(view.time_left_s, 1.0))
        return self.params.move_weight * speed * sqrt(self.params.reaction_s)

    def _bid(self, view: View, fair: float, half: float, grid: _Grid, old: int | None) -> int:
        """Price of the bid, below the best ask; at zero or below there is none."""
        price = grid.down(fair - half)
        best, opposite = view.up.bid_e4, view.up.ask_e4
        if self.params.join_best and best is not None and best <= grid.down(fair):
            price = max(price, best // grid.tick_e4 * grid.tick_e4)
        price = self._steady(price, old, grid)
        return price if opposite is None else min(price, grid.below(opposite))

    def _ask(self, view: View, fair: float, half: float, grid: _Grid, old: int | None) -> int:
        """Price of the ask, above the best bid; at one or above there is none."""
        price = grid.up(fair + half)
        best, opposite = view.up.ask_e4, view.up.bid_e4
        if self.params.join_best and best is not None and best >= grid.up(fair):
            price = min(price, -(-best // grid.tick_e4) * grid.tick_e4)
        price = self._steady(price, old, grid)
        return price if opposite is None else max(price, grid.above(opposite))

    def _steady(self, price: int, old: int | None, grid: _Grid) -> int:
        """Stay at the old price while it is off by less than `requote_ticks`."""
        if old is None or old % grid.tick_e4:
            return price
        return old if abs(price - old) < self.params.requote_ticks * grid.tick_e4 else price

    def on_resolution(self, view: View, resolved: MarketResolved) -> None:
        self._quoted.pop(view.market.condition_id, None)

    def snapshot(self) -> dict[str, Any]:
        return {"quoted": {market: list(quote) for market, quote in self._quoted.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._quoted = {
            str(market): (bid, ask) for market, (bid, ask) in state.get("quoted", {}).items()
        }
