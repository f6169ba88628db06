"""Small tapes written by hand, agents for them, and strategies that do what a test says."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from engine.backtest import BacktestAgent, BacktestConfig, Travel, run
from models.agents import AgentSpec, MarketSelector
from models.events import SpotSource
from models.markets import FeeSchedule, Market, Settlement
from models.results import RunResult
from models.tape import DTYPES, SPOT_SOURCES, Row, Tape
from models.units import SECOND_NS, SHARE, SPOT_USD, USD
from risk.limits import Limits
from strategies.base import Intents, Strategy, View

START_S = 1_800_000_000
START_NS = START_S * SECOND_NS
CASH_E6 = 500 * USD
LIMITS = Limits(CASH_E6, 50 * USD, 200 * USD, 300 * USD, 5)
AT_ONCE = {"feed": Travel(0), "order": Travel(0)}


def make_market(number: int = 0, **changes: Any) -> Market:
    start_s = START_S + 900 * number
    facts: dict[str, Any] = {
        "condition_id": f"0xm{number}",
        "slug": f"btc-updown-15m-{start_s}",
        "question": "Bitcoin up or down?",
        "asset": "BTC",
        "timeframe": "15m",
        "up_token": f"{number}-up",
        "down_token": f"{number}-down",
        "start_ns": start_s * SECOND_NS,
        "end_ns": (start_s + 900) * SECOND_NS,
        "tick_e4": 100,
        "min_size_e6": 5 * SHARE,
        "fee": FeeSchedule(rate_ppm=70_000),
        "settlement": Settlement.BOUNDARY,
    }
    return Market(**{**facts, **changes})


class TapeWriter:
    """Rows by the second since the first window's start; sizes in shares, prices in cents."""

    def __init__(self, *markets: Market, lag_s: float = 0.0, depth: int | None = None) -> None:
        self.markets = markets or (make_market(),)
        self._rows: list[tuple[int, ...]] = []
        self._lag_ns = round(lag_s * SECOND_NS)
        self._depth = depth

    def add(self, at_s: float, kind: Row, side=0, market=0, price=0, size=0) -> "TapeWriter":
        ts = START_NS + round(at_s * SECOND_NS)
        self._rows.append((ts, ts + self._lag_ns, int(kind), side, market, price, size))
        return self

    def book(self, at_s: float, bids: dict, asks: dict, market: int = 0) -> "TapeWriter":
        """Tell a whole book: cents to shares."""
        self.add(at_s, Row.CLEAR, market=market)
        for side, levels in enumerate((bids, asks)):
            for cents, shares in levels.items():
                self.level(at_s, side, cents, shares, market)
        return self

    def level(self, at_s: float, side: int, cents: float, shares: float, market: int = 0):
        return self.add(at_s, Row.LEVEL, side, market, round(cents * 100), round(shares * SHARE))

    def trade(self, at_s: float, buys: bool, cents: float, shares: float, market: int = 0):
        side = 0 if buys else 1
        return self.add(at_s, Row.TRADE, side, market, round(cents * 100), round(shares * SHARE))

    def spot(self, at_s: float, price: float, source: SpotSource = SpotSource.CHAINLINK):
        side = SPOT_SOURCES.index(source)
        return self.add(at_s, Row.SPOT, side, 0, 0, round(price * SPOT_USD))

    def spots(self, first_s: float, last_s: float, price: float = 60_000.0) -> "TapeWriter":
        """Tell the same spot price once a second, the seconds between included."""
        for second in np.arange(first_s, last_s):
            self.spot(float(second), price)
        return self

    def resolve(self, at_s: float, up: bool, market: int = 0) -> "TapeWriter":
        return self.add(at_s, Row.RESOLVED, 0 if up else 1, market)

    def tape(self, assets: tuple[str, ...] = ("BTC",)) -> Tape:
        """Return the rows in order of time; rows of one time as they were added."""
        rows = sorted(self._rows, key=lambda row: row[0])
        columns = list(zip(*rows, strict=True))
        arrays = {
            name: np.array(cells, dtype)
            for (name, dtype), cells in zip(DTYPES.items(), columns, strict=True)
        }
        return Tape(**arrays, markets=self.markets, assets=assets, depth=self._depth)


class Scripted(Strategy):
    """Does what a test says in each hook, and remembers when it was called."""

    name = "scripted"
    cadence_ms = 1000

    def __init__(self, cadence_ms: int = 1000, **hooks: Callable[..., Intents]) -> None:
        super().__init__(self.Params())
        self.cadence_ms = cadence_ms
        self.hooks = hooks
        self.calls: list[tuple[str, int, Any]] = []

    def _do(self, hook: str, view: View, *news: object) -> Intents:
        self.calls.append((hook, view.now_ns, news[0] if news else None))
        action = self.hooks.get(hook)
        return None if action is None else action(view, *news)

    def on_start(self, view):
        return self._do("on_start", view)

    def on_tick(self, view):
        return self._do("on_tick", view)

    def on_trade(self, view, trade):
        return self._do("on_trade", view, trade)

    def on_fill(self, view, fill):
        return self._do("on_fill", view, fill)

    def on_cancel(self, view, order):
        return self._do("on_cancel", view, order)

    def on_timer(self, view):
        return self._do("on_timer", view)

    def on_resolution(self, view, resolved):
        self._do("on_resolution", view, resolved)

    def on_stop(self, view):
        return self._do("on_stop", view)

    def times(self, hook: str) -> list[float]:
        """Seconds since the first window's start at which a hook was called."""
        return [round((at - START_NS) / SECOND_NS, 6) for name, at, _ in self.calls if name == hook]


def once(intent: object, after_s: float = 0.0) -> Callable[..., Intents]:
    """Want something once, at the first call not before a time."""
    left = [intent]

    def act(view: View, *news: object) -> Intents:
        if left and view.now_ns >= START_NS + round(after_s * SECOND_NS):
            return [left.pop()]
        return None

    return act


def agent(
    strategy: Strategy | str,
    name: str = "anna",
    limits: Limits = LIMITS,
    asset: str = "BTC",
    timeframe: str = "15m",
    **parameters: Any,
) -> BacktestAgent:
    """Make an agent; a strategy by name is built anew for every run."""
    kind = strategy if isinstance(strategy, str) else strategy.name
    spec = AgentSpec(
        name=name,
        strategy=kind,
        markets=(MarketSelector(asset=asset, timeframe=timeframe),),
        parameters=parameters,
        capital_usd=Decimal(limits.capital_e6) / USD,
    )
    return BacktestAgent(spec, limits, None if isinstance(strategy, str) else strategy)


def play(tape: Tape, *agents: BacktestAgent, **changes: Any) -> RunResult:
    """Run with no travel times unless a test gives some."""
    return run(tape, BacktestConfig(agents, **{**AT_ONCE, **changes}))


def column(result: RunResult, table: str, name: str) -> list[Any]:
    return result.tables[table][name].tolist()


def final_cash_e6(result: RunResult, number: int = 0) -> int:
    """Cash of an agent at its last sample."""
    table = result.tables["equity"]
    return int(table["cash_e6"][table["agent"] == number][-1])
