"""One trader with a whole venue around it, on a clock that a test moves."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fakes.journal import FakeJournal, FakeStore
from fakes.wire import Wire
from traders.exchange_venue import ExchangeVenue

from engine.clock import ManualClock
from engine.trader import Trader, TraderSettings
from models.agents import AgentSpec, MarketSelector
from models.markets import FeeSchedule, Market, Settlement
from models.units import SECOND_NS, SHARE, USD
from risk.limits import Limits
from strategies.base import Intents, Strategy, View

START_S = 1_800_000_000
CASH_E6 = 500 * USD
LEVEL = 100 * SHARE


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


class Scripted(Strategy):
    """Does what a test says in each hook, and remembers every call."""

    name = "scripted"
    cadence_ms = 1000

    def __init__(self, **hooks: Callable[..., Intents]) -> None:
        super().__init__(self.Params())
        self.hooks = hooks
        self.calls: list[tuple[str, int, Any]] = []
        self.memory: dict[str, Any] = {}

    def _do(self, hook: str, view: View, news: object = None) -> Intents:
        self.calls.append((hook, view.now_ns, news))
        action = self.hooks.get(hook)
        if action is None:
            return None
        return action(view) if news is None else action(view, news)

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

    def snapshot(self):
        return dict(self.memory)

    def restore(self, state):
        self.memory = dict(state)

    def times(self, hook: str) -> list[float]:
        """Seconds since the first window's start at which a hook was called."""
        start = START_S * SECOND_NS
        return [round((at - start) / SECOND_NS, 3) for name, at, _ in self.calls if name == hook]


class Posts:
    """Implements Notices."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, str, dict[str, Any]]] = []

    def post(self, kind: str, text: str, **fields: Any) -> None:
        self.posts.append((kind, text, fields))

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.posts]


class World:
    """A venue, a journal's store and one trader; `boot` starts the next session."""

    def __init__(
        self,
        strategy: Strategy,
        *markets: Market,
        at_s: float = 0.0,
        latency_ms: int = 0,
        taker_delay_ms: int = 0,
        settings: TraderSettings | None = None,
        drain_turns: int = 60,
        **limits: int,
    ) -> None:
        self.clock = ManualClock(START_S * SECOND_NS + round(at_s * SECOND_NS), drain_turns)
        self.venue = ExchangeVenue(self.clock, CASH_E6, latency_ms)
        self.markets = markets or (make_market(),)
        for market in self.markets:
            self.venue.list_market(market, taker_delay_ms)
        self.wire = Wire()
        self.store = FakeStore()
        self.posts = Posts()
        self.settings = settings or TraderSettings()
        self.limits = Limits(
            **{
                "capital_e6": CASH_E6,
                "risk_per_trade_e6": 20 * USD,
                "max_position_e6": 100 * USD,
                "max_daily_loss_e6": 200 * USD,
                "max_concurrent_trades": 3,
                **limits,
            }
        )
        self.tasks: list[asyncio.Task[Any]] = []
        self.boot(strategy)

    @property
    def market(self) -> Market:
        return self.markets[0]

    def boot(self, strategy: Strategy) -> Trader:
        """Make the trader of the next session."""
        self.journal = FakeJournal(self.store, self.wire)
        self.trader = Trader(
            spec=self.spec(strategy),
            strategy=strategy,
            venue=self.venue,
            feed=_FeedOf(self.venue),
            discovery=self.venue,
            journal=self.journal,
            notices=self.posts,
            clock=self.clock,
            limits=self.limits,
            settings=self.settings,
        )
        return self.trader

    def spec(self, strategy: Strategy) -> AgentSpec:
        return AgentSpec(
            name="anna",
            strategy=strategy.name,
            markets=(MarketSelector(asset="BTC", timeframe="15m"),),
            capital_usd=Decimal(CASH_E6) / USD,
        )

    async def start(self) -> None:
        await self.trader.start()

    def spawn(self, work: Any) -> "asyncio.Task[Any]":
        task = asyncio.create_task(work)
        self.tasks.append(task)
        return task

    async def open(self, bid: int = 4900, ask: int = 5000, spot: float = 68_000.0) -> None:
        """Start the trader and the first window on a plain, fresh market."""
        await self.start()
        self.quote(bid, ask)
        self.venue.spot(spot)
        self.window = self.spawn(self.trader.run_window(self.market))
        await self.clock.drain()

    def quote(self, bid: int | None, ask: int | None, market: Market | None = None) -> None:
        """Let the street quote one level a side."""
        bids = () if bid is None else ((bid, LEVEL),)
        asks = () if ask is None else ((ask, LEVEL),)
        self.venue.impose(market or self.market, bids, asks)

    async def run(self, seconds: float, spot: float | None = 68_000.0, step: float = 1.0) -> None:
        """Let time pass, spot ticking once a second, unless it is None."""
        left = seconds
        while left > 0:
            await self.clock.advance(min(step, left))
            left -= step
            if spot is not None:
                self.venue.spot(spot)
            await self.clock.drain()

    async def close(self) -> None:
        stopping = self.spawn(self.trader.stop("test over"))
        for _ in range(20):
            await self.clock.advance(0.5)
            if stopping.done():
                break
        await stopping
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    # --- facts --------------------------------------------------------------------------------

    def signals(self, kind: str) -> list[dict[str, Any]]:
        return [dict(detail) for _, name, detail in self.store.signals if name == kind]

    def refusals(self) -> list[str]:
        return [detail["policy"] for detail in self.signals("refused")]

    def resting(self) -> list[tuple[str, str, int, int]]:
        """Our open orders at the venue: outcome, side, price, open shares."""
        return sorted(
            (
                self.venue._by_token[s.order.token_id].outcome(s.order.token_id).value,
                s.order.side.value,
                s.order.price_e4,
                s.open_e6 // SHARE,
            )
            for s in self.venue.exchange.open_orders("ours")
        )

    def assert_books_agree(self) -> None:
        """Our books and the exchange say the same, to the base unit."""
        trader, exchange = self.trader, self.venue.exchange
        assert trader.portfolio.cash_e6 == exchange.balance("ours").cash_e6
        for market in self.markets:
            if exchange.winner(market.condition_id) is not None:
                continue
            for token in (market.up_token, market.down_token):
                assert trader.portfolio.shares_e6(token) == exchange.shares("ours", token)[0]
        ours = {order.order_id for order in trader.orders.open_orders()}
        assert ours == {s.order.order_id for s in exchange.open_orders("ours")}


class _FeedOf:
    """The venue's feed half; closing it leaves the venue itself up."""

    def __init__(self, venue: ExchangeVenue) -> None:
        self._venue = venue
        self.start = venue.start
        self.watch = venue.watch
        self.unwatch = venue.unwatch

    async def close(self) -> None:
        await self._venue.close()
