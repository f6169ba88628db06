"""Momentum: buy the side of a strong spot move."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from models.markets import Outcome, Side
from models.units import PRICE_ONE, to_cash_e6
from strategies.base import Intents, Place, Strategy, StrategyParams, View


class MomentumParams(StrategyParams):
    lookback_s: float = Field(300, ge=5, le=3600, description="Seconds the move is measured over.")
    threshold_pct: float = Field(0.5, gt=0, le=20, description="Move that counts, in percent.")
    budget_usd: float = Field(20, ge=1, le=100_000, description="Spent per entry, US dollars.")
    min_time_left_s: float = Field(
        30, ge=0, le=14_400, description="No entry with less of the window left, seconds."
    )
    max_price: float = Field(
        0.9, gt=0, lt=1, description="Highest price paid for a share, dollars."
    )
    max_spread: float = Field(
        0.05, gt=0, lt=1, description="No entry while the spread is wider, dollars."
    )
    entries_per_window: int = Field(1, ge=1, le=100, description="Entries per market window.")
    cooldown_s: float = Field(
        30, ge=0, le=14_400, description="Seconds between two entries of one window."
    )


class Momentum(Strategy):
    """Buy Up when spot rose by `threshold_pct` within `lookback_s`, Down when it fell so much.

    The idea: a move of half a percent in five minutes is several standard deviations, and the
    book sometimes trails the price feed that settles the market. The edge is being early; where
    the book has already moved, `max_price` keeps us from paying for a certainty that isn't one.
    Its known weakness: it pays spread and taker fee (1.75 cents a share at 0.50), and after a
    spike spot reverts often enough that in calm markets it loses those costs, trade by trade.
    """

    name = "momentum"
    cadence_ms = 1000
    Params = MomentumParams
    params: MomentumParams

    def __init__(self, params: StrategyParams) -> None:
        super().__init__(params)
        self._entries: dict[str, list[int]] = {}
        """Times of entries in ns, by condition id."""

    def on_tick(self, view: View) -> Intents:
        move = view.spot_return(self.params.lookback_s)
        if move is None or abs(move) * 100 < self.params.threshold_pct:
            return None
        outcome = Outcome.UP if move > 0 else Outcome.DOWN
        if not self._may_enter(view, outcome):
            return None
        self._entries.setdefault(view.market.condition_id, []).append(view.now_ns)
        return [
            Place(
                outcome,
                Side.BUY,
                budget_e6=to_cash_e6(round(self.params.budget_usd, 6)),
                reason=f"spot moved {move * 100:+.2f} % in {self.params.lookback_s:g} s",
            )
        ]

    def _may_enter(self, view: View, outcome: Outcome) -> bool:
        if not view.fresh or view.time_left_s < self.params.min_time_left_s:
            return False
        entries = self._entries.get(view.market.condition_id, [])
        if len(entries) >= self.params.entries_per_window:
            return False
        if entries and view.now_ns - entries[-1] < self.params.cooldown_s * 1e9:
            return False
        book = view.up if outcome is Outcome.UP else view.down
        ask, bid = book.ask_e4, book.bid_e4
        if ask is None or ask > self.params.max_price * PRICE_ONE:
            return False
        return bid is not None and ask - bid <= self.params.max_spread * PRICE_ONE

    def on_resolution(self, view: View, resolved: object) -> None:
        self._entries.pop(view.market.condition_id, None)

    def snapshot(self) -> dict[str, Any]:
        return {"entries": {market: list(times) for market, times in self._entries.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._entries = {
            str(market): [int(at) for at in times]
            for market, times in state.get("entries", {}).items()
        }
