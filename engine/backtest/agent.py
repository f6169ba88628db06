"""One agent of a run: the same parts as a live trader, wired to a played venue."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from engine.asking import StrategyFailed
from engine.backtest.config import BacktestAgent, BacktestConfig
from engine.backtest.recorder import RunJournal, empty_state
from engine.backtest.timing import Clock
from engine.backtest.venue import TapeVenue
from engine.backtest.views import Shelf, TapeData
from engine.backtest.window import TapeWindow
from engine.clearing import LoneFloor
from engine.desk import Desk
from engine.hearing import Hearing
from engine.indicators import Indicators
from engine.markets import MarketState
from engine.orders import OrderManager, OrderSettings
from engine.portfolio import Portfolio
from engine.reports import Reporter, WindowFailure
from engine.settling import Settler
from engine.standing import Standing
from engine.trader import TraderSettings
from models.journal import WindowResult
from models.markets import TIMEFRAMES, Market
from models.orders import Fill, Order, OrderState, TradeStatus
from models.units import SECOND_NS
from risk.limits import open_cost_e6

PATIENT = OrderSettings(reconcile_s=1e9, heartbeat_s=1e9)
"""The played venue never loses an answer: nothing is asked but what settling asks."""


@dataclass(slots=True)
class TapeDiscovery:
    """Implements `engine.ports.Discovery` with what the venue has published so far."""

    published: dict[tuple[str, str, int], Market] = field(default_factory=dict)

    async def market(self, asset: str, timeframe: str, start_s: int) -> Market | None:
        return self.published.get((asset, timeframe, start_s))

    def window_start_s(self, timeframe: str, at_s: int) -> int:
        return at_s // TIMEFRAMES[timeframe] * TIMEFRAMES[timeframe]

    async def resolution(self, market: Market) -> str | None:
        """Nothing: resolutions come as events."""
        return None

    def publish(self, market: Market) -> None:
        key = (market.asset, market.timeframe, market.start_ns // SECOND_NS)
        self.published[key] = market


class Purse:
    """Cash and limits that several agents share."""

    def __init__(self) -> None:
        self.agents: list[Agent] = []

    def free_cash_e6(self) -> int:
        return sum(one.orders.own_cash_e6() for one in self.agents)

    def committed_e6(self, market: Market) -> int:
        return sum(one.committed_e6(market) for one in self.agents)

    def day_pnl_e6(self) -> int:
        return sum(one.standing.own_pnl_e6() for one in self.agents)


class SharedOrders(OrderManager):
    """An order manager whose cash is the purse's."""

    purse: Purse | None = None

    def own_cash_e6(self) -> int:
        """Cash of this agent alone, less what its orders reserve."""
        return super().free_cash_e6()

    def free_cash_e6(self) -> int:
        return self.own_cash_e6() if self.purse is None else self.purse.free_cash_e6()


class SharedStanding(Standing):
    """A standing whose result and markets are those of everybody who shares the purse."""

    purse: Purse | None = None

    def own_pnl_e6(self) -> int:
        return super().day_pnl_e6()

    def day_pnl_e6(self) -> int:
        return self.own_pnl_e6() if self.purse is None else self.purse.day_pnl_e6()

    def busy(self) -> set[str]:
        """Markets this agent has an order or a position in."""
        orders = {order.request.condition_id for order in self._orders.open_orders()}
        return orders | {
            held for held in self._portfolio.markets() if self._holds(self.markets.get(held))
        }

    def _holds(self, market: Market | None) -> bool:
        return market is None or any(
            self._portfolio.shares_e6(token) for token in (market.up_token, market.down_token)
        )

    def other_markets(self, condition_id: str, sending: frozenset[str] = frozenset()) -> int:
        if self.purse is None:
            return super().other_markets(condition_id, sending)
        markets = {cid for one in self.purse.agents for cid in one.standing.busy()} | sending
        return len(markets - {condition_id})


class Agent:
    """An agent's books, desk and windows. Leads nowhere near the tape: see `TapeVenue`.

    Attributes
    ----------
    failure
        Traceback of what its strategy raised; it trades no more then.
    filled, moved
        Fills that were just told, and whether its money moved; for who keeps the records.
    """

    def __init__(
        self,
        number: int,
        asked: BacktestAgent,
        config: BacktestConfig,
        clock: Clock,
        venue: TapeVenue,
        journal: RunJournal,
        shelf: Shelf,
        start: Callable[[Coroutine[Any, Any, Any]], "asyncio.Task[Any]"],
    ) -> None:
        spec = asked.spec
        self.number = number
        self.name = spec.name
        self.spec = spec
        self.venue = venue
        self.journal = journal
        self.strategy = asked.build()
        self.windows: list[TapeWindow] = []
        self.settled: list[TapeWindow] = []
        self.settling: dict[str, asyncio.Task[Any]] = {}
        self.failure: str | None = None
        self.calls = 0
        self.filled: list[Fill] = []
        self.moved = False
        self._clock = clock
        self._start = start
        self._quit_ns = round(config.quit_before_end_s * SECOND_NS)
        self.portfolio = Portfolio(spec.name, spec.capital_e6)
        self.orders = SharedOrders(
            spec.name, venue, journal, self.portfolio, clock, self._filled, self._ended, PATIENT
        )
        self.data = TapeData(
            self.orders,
            self.portfolio,
            config.max_book_age_s,
            config.max_spot_age_s,
            Indicators(self.strategy.indicators()),
            shelf.ladder,
        )
        self.standing = SharedStanding(self.orders, self.portfolio, self.data, clock)
        self.standing.begin(empty_state())
        self._reporter = Reporter(spec.name, journal, journal)
        self.desk = Desk(
            spec.name, self.orders, self.portfolio, journal, asked.limits, clock, self.standing,
            self._reporter.breaker, LoneFloor(asked.limits, config.policies, config.capital_e6),
        )  # fmt: skip
        self.discovery = TapeDiscovery()
        self.hearing = Hearing(
            self.data, self.orders, self.desk, journal, self.discovery, clock, lambda: None
        )
        patience = TraderSettings(resolution_first_s=60.0, resolution_most_s=600.0)
        self._settler = Settler(
            self.data, self.orders, self.portfolio, self.discovery, journal, clock, patience
        )

    def share(self, purse: Purse) -> None:
        """Draw on a purse from now on."""
        purse.agents.append(self)
        self.orders.purse = self.standing.purse = purse
        self.desk.clearing.committed_e6 = purse.committed_e6

    # --- windows --------------------------------------------------------------------------------

    def wants(self, market: Market) -> bool:
        return any(
            (one.asset, one.timeframe) == (market.asset, market.timeframe)
            for one in self.spec.markets
        )

    def open(self, market: Market) -> TapeWindow:
        """Begin to trade a market; its strike is not known yet."""
        state = self.data.state(replace(market, strike_e8=None))
        self.standing.markets[market.condition_id] = market
        self.hearing.observe_strike(state)
        quit_ns = market.end_ns - self._quit_ns
        window = TapeWindow(self.strategy, state, self.desk, self.orders, quit_ns, self._start)
        state.window = window
        self.windows.append(window)
        self._start(self.hearing.find_strike(state))
        return window

    def closed(self, window: TapeWindow) -> None:
        """A window is over; what it brought is settled once the market is resolved."""
        self.windows.remove(window)
        self.calls += window.calls + window.pace.ticks
        window.state.window = None
        market = window.state.market
        self.settling[market.condition_id] = self._start(self._settle(window.state))

    async def _settle(self, state: MarketState) -> WindowResult:
        resolved, result = await self._settler.settle(state)
        market = state.market
        if self.failure is None:
            state.view.now_ns = self._clock.now_ns()
            try:
                self.strategy.on_resolution(state.view, resolved)
            except Exception as error:
                self.fail(StrategyFailed("on_resolution", error), market)
        self.data.states.pop(market.condition_id, None)
        self.standing.markets.pop(market.condition_id, None)
        await self.desk.close(market)
        self.venue.forget(market.condition_id)
        self.moved = True
        return result

    def fail(self, error: StrategyFailed, market: Market) -> None:
        """End the agent: its other windows stop, its positions are settled as usual."""
        if self.failure is None:
            self.failure = error.traceback
        self._reporter.failure(WindowFailure(market.slug, str(error), error.traceback))
        for window in self.windows:
            if window.failed is None:
                window.stop()

    # --- hearing of orders ----------------------------------------------------------------------

    def hear(self) -> bool:
        """Take what the venue answered; False when it answered nothing."""
        inbox = self.venue.inbox
        if not inbox:
            return False
        news = False
        while inbox:
            answer = inbox.popleft()
            if not isinstance(answer, tuple):
                self.orders.on_event(answer)
                news = True
                continue
            if news:
                self._start(self.orders.work_off())
                news = False
            reply, value = answer
            if isinstance(value, Exception):
                reply.set_exception(value)
            else:
                reply.set_result(value)
        if news:
            self._start(self.orders.work_off())
        return True

    def _filled(self, fill: Fill) -> None:
        self.filled.append(fill)
        self.moved = True
        if fill.status is not TradeStatus.FAILED:
            self.hearing.tell(fill.condition_id, "on_fill", fill)

    def _ended(self, order: Order) -> None:
        self.desk.order_ended(order)
        if order.state is not OrderState.FILLED:
            self.hearing.tell(order.request.condition_id, "on_cancel", order)

    # --- standing -------------------------------------------------------------------------------

    def committed_e6(self, market: Market) -> int:
        """What a market's holdings cost and its open orders may still cost."""
        open_orders = self.orders.open_orders(market.condition_id)
        open_e6 = sum(open_cost_e6(order, market) for order in open_orders)
        return self.portfolio.cost_e6(market) + open_e6

    def exposure_e6(self) -> int:
        return sum(self.committed_e6(market) for market in self.standing.markets.values())

    def equity_e6(self) -> int:
        return self.portfolio.equity_e6(self.data.marks_e4())
