"""An agent's order manager on the real adapter, with the simulator's ledger to compare with.

The clock is the simulator's and stands still between `advance`s; sockets and HTTP are real.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from engine.orders import OrderManager, OrderSettings
from engine.portfolio import Portfolio
from models.errors import VenueError, VenueUnavailable
from models.events import Channel, FeedEvent, FeedState, FeedStatus, OrderUpdate, TradeUpdate
from models.markets import Market, Outcome, Side
from models.orders import Fill, Order, OrderRequest, OrderState, TimeInForce
from tests.venue.polymarket.conftest import Stage, simulator
from venue.polymarket.client import PolymarketVenue

_FAKES = str(Path(__file__).parents[2] / "engine")
if _FAKES not in sys.path:
    sys.path.insert(0, _FAKES)

from fakes.journal import FakeJournal, FakeStore  # noqa: E402
from fakes.wire import Wire  # noqa: E402

AGENT = "anna"
GRANT_E6 = 1_000_000_000
SETTINGS = OrderSettings(settle_s=10.0, reconcile_s=20.0)


@dataclass
class Desk:
    """One agent: its manager, its journal in memory, its feed; the wallet is its own."""

    stage: Stage
    venue: PolymarketVenue
    market: Market
    store: FakeStore = field(default_factory=FakeStore)
    told: list[Fill] = field(default_factory=list)
    events: list[FeedEvent] = field(default_factory=list)
    wishes: int = 0
    feed: Any = None
    reconnected: bool = False
    withheld: list[OrderUpdate | TradeUpdate] | None = None
    """News not passed on yet, while a test wants to choose their order."""

    def __post_init__(self) -> None:
        self.boot()

    def boot(self) -> None:
        """Begin a session: a new process that knows nothing yet."""
        self.portfolio = Portfolio(AGENT, GRANT_E6)
        self.journal = FakeJournal(self.store, Wire())
        self.orders = OrderManager(
            AGENT, self.venue, self.journal, self.portfolio, self.stage.clock,
            self.told.append, lambda order: None, SETTINGS,
        )  # fmt: skip

    async def restart(self) -> None:
        self.boot()
        await self.orders.recover(await self.journal.load())

    # --- hearing ------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Connect the market, user and price channels, and wait until ours is up."""
        self.feed = self.stage.feed(self.venue)
        await self.feed.start(self._hear)
        await self.feed.watch(self.market)
        await self.until(lambda: self.feed.user_channel.outlet.state is FeedState.UP)

    def _hear(self, event: FeedEvent) -> None:
        self.events.append(event)
        if isinstance(event, OrderUpdate | TradeUpdate):
            if self.withheld is None:
                self.orders.on_event(event)
            else:
                self.withheld.append(event)
        elif isinstance(event, FeedStatus) and event.channel is Channel.USER:
            self.reconnected |= event.state is FeedState.UP

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, ready: Callable[[], object], seconds: float = 10.0) -> None:
        """Wait in real time, the simulator's clock standing still."""
        async with asyncio.timeout(seconds):
            while not ready():
                await asyncio.sleep(0.01)

    # --- trading ------------------------------------------------------------------------------

    def wish(self, **changes: Any) -> OrderRequest:
        """By default 10 Up at 0.02, which rests far from the market."""
        self.wishes += 1
        fields = {"agent": AGENT, "intent_id": f"i{self.wishes}"} | changes
        return self.stage.order(self.market, **fields)

    def taking(self, **changes: Any) -> OrderRequest:
        """By default spends up to 4.95 on Up at whatever price, at once."""
        price = 9900 if changes.get("side", Side.BUY) is Side.BUY else 100
        fields = {"price_e4": price, "size_e6": 5_000_000, "tif": TimeInForce.FAK}
        return self.wish(**(fields | changes))

    async def place(self, request: OrderRequest | None = None) -> Order:
        return await self.orders.place(request or self.wish(), self.market)

    async def take(self, **changes: Any) -> Order:
        return await self.place(self.taking(**changes))

    async def insist(self, request: OrderRequest, seconds: float = 300.0) -> Order:
        """Do as a trader does: the same intent again and again until the venue takes it."""
        waited = 0.0
        while True:
            try:
                return await self.orders.place(request, self.market)
            except VenueUnavailable as away:
                assert waited < seconds, f"still {away.mode} after {waited} s"
                # Our own rate limiter waits in real time, the venue's clock only when told.
                self.venue._session.limits.orders.block(0)
                step = max(1.0, away.retry_after_s)
                await self.pass_time(step, step)
                waited += step

    async def pass_time(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass; the manager does what its loops do."""
        left = seconds
        while left > 0:
            await self.stage.advance(min(step, left))
            left -= step
            await asyncio.sleep(0.005)
            await self.work()

    async def work(self) -> None:
        if self.reconnected:
            self.reconnected = False
            try:
                await self.orders.reconcile()
            except VenueError:
                self.reconnected = True
        await self.orders.work_off()

    def held(self, outcome: Outcome = Outcome.UP) -> int:
        """Shares that can be sold, in whole hundredths."""
        return self.orders.free_shares_e6(self.market.token(outcome)) // 10_000 * 10_000

    def now(self, order: Order) -> Order:
        """The order as the books know it now."""
        known = self.orders.order(order.order_id)
        assert known is not None
        return known

    # --- the truth ----------------------------------------------------------------------------

    async def truth(self) -> dict[str, Any]:
        return await self.stage.ledger(self.venue)

    async def agree(self, seconds: float = 90.0) -> None:
        """Let doubts be over, then compare orders, fills, positions and cash with the ledger."""
        waited = 0.0
        while self._in_doubt():
            assert waited < seconds, f"still in doubt after {waited} s: {self._in_doubt()}"
            await self.pass_time(2.0, 2.0)
            waited += 2.0
        await self.orders.reconcile()
        truth = await self.truth()
        self.orders_agree(truth)
        assert self.portfolio.cash_e6 == truth["cash_e6"]
        for token in (self.market.up_token, self.market.down_token):
            assert self.portfolio.shares_e6(token) == truth["shares_e6"].get(token, 0)
        assert self.orders.reserved_cash_e6() >= truth["reserved_e6"] - 10
        assert await self.venue.cash_e6() == truth["cash_e6"]

    def _in_doubt(self) -> list[Order]:
        doubtful = (OrderState.UNKNOWN, OrderState.SENT, OrderState.SIGNED, OrderState.PARTIAL)
        return [order for order in self.orders.open_orders() if order.state in doubtful]

    def orders_agree(self, truth: dict[str, Any]) -> None:
        """Orders, their fills and the journal's rows; of markets that are not settled here yet."""
        venues = {row["order_id"]: row for row in truth["orders"]}
        matched: dict[str, int] = {}
        for trade in truth["trades"]:
            for leg in (trade["taker"], *trade["makers"]):
                if trade["status"] != "FAILED":
                    matched[leg["order_id"]] = matched.get(leg["order_id"], 0) + leg["size_e6"]
        for order_id, row in venues.items():
            order = self.orders.order(order_id)
            assert order is not None, f"{order_id} is at the venue and not in the books"
            assert order.filled_e6 == matched.get(order_id, 0), (order, row)
            assert order.state.terminal is not row["open"], (order, row)
        intents: dict[str, int] = {}
        for order_id, kept in self.store.orders.items():
            order = self.orders.order(order_id)
            assert order is not None
            assert (order.state, order.filled_e6) == (kept.state, kept.filled_e6)
            if order_id in venues:
                intents[kept.request.intent_id] = intents.get(kept.request.intent_id, 0) + 1
            else:
                assert order.state is OrderState.REJECTED, order
        assert all(count == 1 for count in intents.values()), f"sent twice: {intents}"
        assert {(f.trade_id, f.order_id) for f in self.portfolio.fills()} == set(self.store.fills)


@pytest.fixture(scope="session", autouse=True)
def no_authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Spare every client on loopback the 20 ms of reading certificate authorities."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("authorities")))
        yield


Open = Callable[..., Awaitable[Desk]]


@pytest_asyncio.fixture
async def open_desk(tmp_path: Path) -> AsyncIterator[Open]:
    """Open a desk on a simulator of its own, two minutes into a modelled window."""
    stages = []

    async def make(*, listen: bool = True, timeout_s: float = 5.0, **changes: Any) -> Desk:
        running = simulator(tmp_path, **changes)
        stage = await running.__aenter__()
        stages.append(running)
        desk = Desk(stage, await stage.venue(timeout_s=timeout_s), await stage.market())
        if listen:
            await desk.listen()
        return desk

    yield make
    for running in stages:
        await running.__aexit__(None, None, None)


@pytest_asyncio.fixture
async def desk(open_desk: Open) -> Desk:
    """A desk that hears its own orders and trades."""
    return await open_desk()
