"""Mean reversion: buy what the book has just pushed away from its recent mean and its value."""

from collections.abc import Mapping
from math import sqrt
from typing import Any

from pydantic import Field

from models.markets import Outcome
from models.units import PRICE_ONE, SECOND_NS, to_cash_e6
from risk.sizing import whole_e6
from strategies.base import Buy, Intents, Sell, Strategy, StrategyParams, View
from strategies.features import Feature, RealisedVolatility, Source, ZScore
from strategies.valuation import up_value

SPOT_EVERY_S = 5
"""Returns of a second are mostly the feed's rounding; of five they are spot's."""


class MeanReversionParams(StrategyParams):
    window_s: int = Field(60, ge=10, le=900, description="Seconds the micro-price is compared to.")
    entry_z: float = Field(
        2.5, gt=0, le=10, description="Deviations from the mean at which it buys."
    )
    exit_z: float = Field(
        0.5, ge=0, le=10, description="Deviations from the mean at which it sells again."
    )
    min_edge: float = Field(
        0.05, ge=0, lt=1, description="Least model value above the price paid, dollars a share."
    )
    volatility_s: int = Field(300, ge=30, le=3600, description="Seconds of spot the model uses.")
    budget_usd: float = Field(20, ge=1, le=100_000, description="Spent per entry, US dollars.")
    most_held_s: float = Field(
        120, gt=0, le=14_400, description="Sell after so long even if it has not reverted, seconds."
    )
    min_time_left_s: float = Field(
        120, ge=0, le=14_400, description="No entry with less of the window left, seconds."
    )
    max_spread: float = Field(
        0.03, gt=0, lt=1, description="No entry while the spread is wider, dollars."
    )
    entries_per_window: int = Field(3, ge=1, le=100, description="Entries per market window.")


class MeanReversion(Strategy):
    """Buy the side whose micro-price fell `entry_z` deviations below its mean of `window_s`.

    The idea: a large taker pushes a thin book for some seconds further than anybody's opinion
    moved, and makers come back. So it buys only where the digital's model value, of the same
    spot, is still `min_edge` above the price, which tells a push from news, and it sells once the
    price is back within `exit_z` deviations, or after `most_held_s`.

    Its known weakness: it takes both ways, so the price must come back by a spread and two fees
    (together some four and a half cents a share at 0.50) before it earns anything; the model
    value lags when volatility jumps, and then a push that was news looks like an edge. Over the
    recorded windows it lost money with its defaults: it is an example of how indicators are used,
    and a start for a search, not a recommendation.
    """

    name = "mean-reversion"
    cadence_ms = 1000
    Params = MeanReversionParams
    params: MeanReversionParams

    def __init__(self, params: StrategyParams) -> None:
        super().__init__(params)
        self._entries: dict[str, list[int]] = {}
        """Times of entries in ns, by condition id."""

    def indicators(self) -> Mapping[str, Feature]:
        return {
            "pushed": Feature(ZScore(self.params.window_s), Source.MICRO, every_s=1),
            "volatility": Feature(
                RealisedVolatility(self.params.volatility_s // SPOT_EVERY_S),
                Source.SPOT,
                every_s=SPOT_EVERY_S,
            ),
        }

    def on_tick(self, view: View) -> Intents:
        pushed = view.indicator("pushed")
        if pushed is None or not view.fresh:
            return None
        for outcome in (Outcome.UP, Outcome.DOWN):
            if whole_e6(view.position_e6(outcome)):
                return self._leave(view, outcome, pushed)
        return self._enter(view, pushed)

    def _enter(self, view: View, pushed: float) -> Intents:
        params = self.params
        outcome = Outcome.UP if pushed < 0 else Outcome.DOWN
        if abs(pushed) < params.entry_z or not self._may_enter(view):
            return None
        volatility = view.indicator("volatility")
        if volatility is None:
            return None
        up = up_value(view, volatility / sqrt(SPOT_EVERY_S))
        book = view.up if outcome is Outcome.UP else view.down
        bid, ask = book.bid_e4, book.ask_e4
        if up is None or bid is None or ask is None:
            return None
        edge = (up if outcome is Outcome.UP else 1 - up) - ask / PRICE_ONE
        if edge < params.min_edge or ask - bid > params.max_spread * PRICE_ONE:
            return None
        self._entries.setdefault(view.market.condition_id, []).append(view.now_ns)
        return Buy(
            outcome,
            budget_e6=to_cash_e6(round(params.budget_usd, 6)),
            reason=f"micro-price {pushed:+.1f} deviations off, worth {edge:.3f} more",
            probability=up,
        )

    def _leave(self, view: View, outcome: Outcome, pushed: float) -> Intents:
        entries = self._entries.get(view.market.condition_id)
        held_s = (view.now_ns - entries[-1]) / SECOND_NS if entries else self.params.most_held_s
        away = -pushed if outcome is Outcome.UP else pushed
        if away > self.params.exit_z and held_s < self.params.most_held_s:
            return None
        why = "is back" if away <= self.params.exit_z else f"did not come back in {held_s:.0f} s"
        size = whole_e6(view.position_e6(outcome))
        return Sell(outcome, size_e6=size, reason=f"price {why}, {pushed:+.1f} deviations")

    def _may_enter(self, view: View) -> bool:
        entries = self._entries.get(view.market.condition_id, ())
        if len(entries) >= self.params.entries_per_window:
            return False
        return view.time_left_s >= self.params.min_time_left_s and not view.open_orders

    def on_resolution(self, view: View, resolved: object) -> None:
        self._entries.pop(view.market.condition_id, None)

    def snapshot(self) -> dict[str, Any]:
        return {"entries": {market: list(times) for market, times in self._entries.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._entries = {
            str(market): [int(at) for at in times]
            for market, times in state.get("entries", {}).items()
        }
