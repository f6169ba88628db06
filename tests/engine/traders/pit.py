"""A desk over the real matching core whose process can be killed wherever it waits.

No loop of its own: a test says what the desk does and how far it gets.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fakes.journal import FakeJournal, FakeStore
from fakes.wire import Wire, crash_at
from traders.exchange_venue import ExchangeVenue
from traders.world import CASH_E6, START_S, make_market

from engine.clock import ManualClock
from engine.desk import Desk
from engine.markets import MarketData
from engine.order_index import parent_of
from engine.orders import OrderManager, OrderSettings
from engine.portfolio import Portfolio
from engine.ports import Floor
from engine.standing import Standing
from models.events import BookChange, BookSnapshot, OrderUpdate, SpotTick, TradePrint, TradeUpdate
from models.execution import ExecutionState
from models.markets import Outcome, Side
from models.units import SECOND_NS, USD
from risk.limits import Limits
from strategies.base import Intent

AGENT = "anna"


def _now(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the exchange waits for nothing")


class WiredVenue(ExchangeVenue):
    """The exchange at the other end of a wire on which requests and replies get lost."""

    def __init__(self, clock: ManualClock, wire: Wire, pit: "Pit") -> None:
        super().__init__(clock, CASH_E6)
        self._wire = wire
        self._pit = pit

    async def submit(self, order):
        def arrive():
            self._pit.check_submission(order.request)
            return _now(super(WiredVenue, self).submit(order))

        return await self._wire.carry("submit", arrive)

    async def cancel(self, order_ids):
        return await self._wire.carry(
            "cancel", lambda: _now(super(WiredVenue, self).cancel(order_ids))
        )

    async def cancel_all(self):
        return await self._wire.carry(
            "cancel_all", lambda: _now(super(WiredVenue, self).cancel_all())
        )

    async def order(self, order_id):
        return await self._wire.carry(
            "order", lambda: _now(super(WiredVenue, self).order(order_id))
        )

    async def open_orders(self, condition_id=None):
        return await self._wire.carry(
            "open_orders", lambda: _now(super(WiredVenue, self).open_orders(condition_id))
        )

    async def trades(self, **which):
        return await self._wire.carry(
            "trades", lambda: _now(super(WiredVenue, self).trades(**which))
        )


class Pit:
    """One agent's desk, session after session.

    Parameters
    ----------
    floor_of
        Gives a session's line to the floor, by its lease's token.
    """

    def __init__(
        self, agent: str = AGENT, floor_of: Callable[[int], Floor | None] = lambda token: None
    ) -> None:
        self.agent = agent
        self._floor_of = floor_of
        self.clock = ManualClock(START_S * SECOND_NS, drain_turns=2)
        self.wire = Wire()
        self.store = FakeStore()
        self.venue = WiredVenue(self.clock, self.wire, self)
        self.market = self.venue.list_market(make_market())
        self.venue.watched.add(self.market.condition_id)
        self.limits = Limits(
            capital_e6=CASH_E6,
            risk_per_trade_e6=100 * USD,
            max_position_e6=400 * USD,
            max_daily_loss_e6=400 * USD,
            max_concurrent_trades=3,
        )
        self.sent: dict[str, int] = {}
        """How often an order of each intent reached the venue."""
        self.boot()

    def boot(self) -> None:
        """Begin a session: a new process that knows nothing yet."""
        self.journal = FakeJournal(self.store, self.wire)
        self.portfolio = Portfolio(self.agent, CASH_E6)
        self.floor = self._floor_of(self.journal.token)
        self.orders = OrderManager(
            self.agent, self.venue, self.journal, self.portfolio, self.clock, lambda fill: None,
            lambda order: self.desk.order_ended(order),
            OrderSettings(reconcile_s=5, settle_s=10, gone_s=1),
        )  # fmt: skip
        self.data = MarketData(self.orders, self.portfolio, 30.0, 6.0)
        self.view = self.data.state(self.market).view
        self.desk = Desk(
            self.agent, self.orders, self.portfolio, self.journal, self.limits, self.clock,
            Standing(self.orders, self.portfolio, self.data, self.clock), lambda text: None,
            self.floor,
        )  # fmt: skip
        self.venue._sink = self._hear
        self.venue.snapshot(self.market)
        self.venue.spot(68_000.0)

    def _hear(self, event: Any) -> None:
        if isinstance(event, BookSnapshot | BookChange):
            self.data.book(event)
        elif isinstance(event, SpotTick):
            self.data.spot(event)
        elif isinstance(event, OrderUpdate | TradeUpdate):
            self.orders.on_event(event)
        elif isinstance(event, TradePrint):
            self.desk.heard(event)

    # --- what the process does --------------------------------------------------------------------

    async def recover(self) -> None:
        state = await self.journal.load()
        await self.orders.recover(state)
        self.desk.load(state)

    async def wish(self, *intents: Intent) -> None:
        self.view.now_ns = self.clock.now_ns()
        await self.desk.carry_out(intents, self.view, closing=False)
        await self.orders.work_off()

    async def turn(self) -> None:
        """One turn of a window's loop."""
        await self.orders.work_off()
        self.view.now_ns = self.clock.now_ns()
        await self.desk.tend(self.view)
        await self.orders.work_off()

    async def dies(self, work: Coroutine[Any, Any, Any], at: int) -> bool:
        """Let the process do something and kill it at its n-th wait, never with 0."""
        if not at:
            await work
            return False
        return await crash_at(work, self.wire, at)

    async def restart(self, arrives: bool) -> None:
        """Start the next session; what was travelling arrives first, or never."""
        if arrives:
            # What a dead session was writing is fenced off or committed, its orders arrive.
            self.wire.deliver_late()
        else:
            self.wire.lose_in_flight()
        await self.clock.advance(0.001)
        self.boot()
        await self.recover()

    # --- what the world does ----------------------------------------------------------------------

    def quote(self, bid: int, ask: int, size_e6: int = 200_000_000) -> None:
        self.venue.impose(self.market, ((bid, size_e6),), ((ask, size_e6),))

    async def pass_time(self, seconds: float, fresh: bool = True) -> None:
        await self.clock.advance(seconds)
        if fresh:
            self.venue.spot(68_000.0)

    async def settle(self, seconds: int = 40) -> None:
        """Let time pass until everything under way has come to its end."""
        for _ in range(seconds):
            await self.pass_time(1)
            await self.turn()

    # --- facts ------------------------------------------------------------------------------------

    def check_submission(self, request: Any) -> None:
        """Called for every order as it arrives at the venue."""
        self.sent[request.intent_id] = self.sent.get(request.intent_id, 0) + 1
        parent = parent_of(request.intent_id)
        if not parent:
            return
        if parent in self.store.executions:
            return
        condition = self.store.conditions[parent]
        assert condition.state.value != "armed", "what fired is committed before it sends"
        assert request.side is Side.SELL
        group = [c for c in self.store.conditions.values() if c.group_id == condition.group_id]
        armed = [c.id for c in group if c.state.value == "armed"]
        assert not armed, f"{armed} are off together with {parent}"

    def held(self, outcome: Outcome = Outcome.UP) -> int:
        """What the exchange says we hold."""
        return self.venue.exchange.shares("ours", self.market.token(outcome))[0]

    def traded(self, parent: str, side: Side) -> int:
        """Shares the venue filled for a parent's orders, or for an intent of its own."""
        ids = {
            order.order_id
            for order in self.store.orders.values()
            if parent in (parent_of(order.request.intent_id), order.request.intent_id)
        }
        return sum(
            leg.size_e6
            for trade in self.venue.venue_trades.values()
            for leg in trade.legs
            if leg.order_id in ids and leg.side is side
        )

    def assert_agreed(self) -> None:
        """Books, journal and exchange say the same."""
        assert self.portfolio.cash_e6 == self.venue.exchange.balance("ours").cash_e6
        for outcome in Outcome:
            assert self.portfolio.shares_e6(self.market.token(outcome)) == self.held(outcome)
        assert all(count == 1 for count in self.sent.values()), self.sent
        working = [
            one.id for one in self.store.executions.values()
            if one.state is ExecutionState.WORKING
        ]  # fmt: skip
        live = {one.id for one in self.desk.executions.working(self.market.condition_id)}
        assert set(working) == live
