"""One agent's order manager with its world around it, which can crash and start again."""

import random
from typing import Any

from fakes.journal import FakeJournal, FakeStore
from fakes.venue import FakeVenue, make_market
from fakes.wire import FakeClock, Wire

from engine.orders import OrderManager, OrderSettings
from engine.portfolio import Portfolio
from engine.ports import Clock
from models.markets import Market
from models.orders import Fill, Order, OrderState, TradeStatus

AGENT = "anna"
CAPITAL_E6 = 1_000_000_000


class Floor:
    """Holds the venue, the store and the current session's manager."""

    def __init__(
        self,
        *markets: Market,
        settings: OrderSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock: Any = clock or FakeClock()
        self.wire = Wire()
        self.markets = markets or (make_market(),)
        self.venue = FakeVenue(self.clock, self.wire, *self.markets)
        self.store = FakeStore()
        self.settings = settings or OrderSettings()
        self.filled: list[Fill] = []
        self.done: list[Order] = []
        self.told: list[str] = []
        self.boot()

    @property
    def market(self) -> Market:
        return self.markets[0]

    def boot(self) -> OrderManager:
        """Begin a session: a new process that knows nothing yet."""
        self.portfolio = Portfolio(AGENT, CAPITAL_E6)
        self.journal = FakeJournal(self.store, self.wire)
        self.filled.clear()
        self.done.clear()
        self.told.clear()
        self.orders = OrderManager(
            AGENT,
            self.venue,
            self.journal,
            self.portfolio,
            self.clock,
            self._on_fill,
            self._on_done,
            self.settings,
        )
        return self.orders

    def _on_fill(self, fill: Fill) -> None:
        order = self.orders.order(fill.order_id)
        assert order is not None
        self.filled.append(fill)
        self.told.append(f"fill, {order.filled_e6 // 1_000_000} so far")

    def _on_done(self, order: Order) -> None:
        self.done.append(order)
        self.told.append(order.state.value)

    async def recover(self) -> None:
        await self.orders.recover(await self.journal.load())

    async def restart(self) -> None:
        self.boot()
        await self.recover()

    def deliver(self, rng: random.Random | None = None, lose: float = 0.0) -> None:
        """Pass the user channel's news on; with a random source, shuffled, doubled and lossy."""
        news = list(self.venue.news)
        self.venue.news.clear()
        if rng is not None:
            news = [event for event in news if rng.random() >= lose]
            news += [event for event in news if rng.random() < 0.3]
            rng.shuffle(news)
        for event in news:
            self.orders.on_event(event)

    async def settle(self, seconds: float = 100.0, step: float = 2.0) -> None:
        """Let time pass until every doubt must be over, without any further news."""
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            await self.orders.work_off()

    def assert_agreed(self) -> None:
        """Venue, books and journal say the same; nothing doubled, nothing lost."""
        venue, orders = self.venue, self.orders
        by_intent: dict[str, list[str]] = {}
        for order_id, resident in venue.orders.items():
            order = orders.order(order_id)
            assert order is not None, f"{order_id} is at the venue and not in the books"
            legs = venue.legs(order_id)
            assert order.filled_e6 == sum(leg.size_e6 for leg in legs), order
            assert order.state.terminal is not resident.open, (order, resident)
            by_intent.setdefault(order.request.intent_id, []).append(order_id)
        assert all(len(ids) == 1 for ids in by_intent.values()), f"doubled: {by_intent}"
        for order in self.store.orders.values():
            known = orders.order(order.order_id)
            assert known is not None
            assert (known.state, known.filled_e6) == (order.state, order.filled_e6)
            assert known.state is not OrderState.UNKNOWN
            if order.order_id not in venue.orders:
                assert order.state is OrderState.REJECTED, order
        assert {(f.trade_id, f.order_id): f for f in self.portfolio.fills()} == self.store.fills
        assert self.portfolio.cash_e6 - CAPITAL_E6 == venue.ledger_cash_e6()
        for market in self.markets:
            for token in (market.up_token, market.down_token):
                assert self.portfolio.shares_e6(token) == venue.ledger_shares_e6(token)
        for fill in self.store.fills.values():
            assert fill.status is venue.venue_trades[fill.trade_id].status
        self.assert_told()

    def assert_told(self) -> None:
        """Listeners heard of every end once, and of no fill twice."""
        ended = [order.order_id for order in self.done]
        assert len(ended) == len(set(ended))
        counted = [(f.trade_id, f.order_id) for f in self.filled if f.status is not _FAILED]
        assert len(counted) == len(set(counted))


_FAILED = TradeStatus.FAILED
