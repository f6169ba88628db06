"""An agent's session as a process: real adapter, real journal, real manager, and mortal.

`main` runs in the process and does what comes through its pipe; it never returns to the test
what the manager did not say itself.
"""

import asyncio
import logging
import math
import os
import time
import traceback
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import certifi
import structlog

from engine.orders import OrderManager, OrderSettings
from engine.portfolio import Portfolio
from models.agents import AgentSpec, MarketSelector
from models.errors import FloorError
from models.events import Channel, FeedEvent, FeedState, FeedStatus, OrderUpdate, TradeUpdate
from models.markets import Market
from models.orders import Fill, Order, OrderRequest
from models.settings import Settings
from store import agents, leases
from store.database import Database
from store.journal import PostgresJournal
from tasks.drilling.week_awaits import Mortal, Point
from tasks.drilling.week_clock import SharedClock
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.endpoints import Endpoints
from venue.polymarket.limits import Limits
from venue.polymarket.user_channel import UserChannel, UserTiming
from venue.polymarket.ws import LinkTiming

DRAIN_S = 0.5
GRANT_E6 = 1_000_000_000
START_S = 1_900_000_800
SETTINGS = OrderSettings(settle_s=10.0, reconcile_s=20.0, store_retry_s=0.05)
FAST = UserTiming(
    link=LinkTiming(ping_s=0.2, pong_s=5.0, backoff_least_s=0.01, backoff_most_s=0.05),
    check_s=0.2, unheard_s=2.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """What a session is told when it starts; it dies at the `die_at`-th await or at a point."""

    agent: str
    database: str
    home: Path
    clock: Path
    port: int
    diary: Path
    die_at: int = 0
    die_where: frozenset[Point] = frozenset()
    timeout_s: float = 0.5
    patience_s: float = 5.0
    """How long the journal waits for Postgres before it writes to its file."""
    listens: bool = True
    market: Market | None = None
    """Its market, if that is known already."""


# --- what a session can be asked ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    request: OrderRequest


@dataclass(frozen=True, slots=True)
class Replace:
    which: int
    request: OrderRequest


@dataclass(frozen=True, slots=True)
class CancelOne:
    which: int


@dataclass(frozen=True, slots=True)
class CancelAll:
    condition_id: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """Do what `run` does; answers how many things are not decided or not written."""


@dataclass(frozen=True, slots=True)
class Reconcile:
    pass


@dataclass(frozen=True, slots=True)
class TellBooks:
    pass


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Keep a memory, and look at the money, as a trader does now and then."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Send a heartbeat; answers whether the venue took it."""


@dataclass(frozen=True, slots=True)
class Doom:
    """Die at the n-th await from now."""

    awaits: int


Ask = (
    Place
    | Replace
    | CancelOne
    | CancelAll
    | Work
    | Reconcile
    | TellBooks
    | Checkpoint
    | Beat
    | Doom
)


@dataclass(frozen=True, slots=True)
class Books:
    """What the manager says it knows."""

    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    cash_e6: int
    shares_e6: dict[str, int]
    reserved_cash_e6: int
    told_fills: tuple[tuple[str, str], ...]
    told_ends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    market: Market


@dataclass(frozen=True, slots=True)
class Failed:
    """An error of ours that `ask` raised (fine), or a defect (not fine)."""

    kind: str
    text: str
    expected: bool


def main(pipe: Connection, spec: SessionSpec) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    _spare_certificates(spec.home / "certificate.pem")
    mortal = Mortal(spec.die_at, spec.die_where, spec.diary)
    loop = asyncio.new_event_loop()
    loop.set_task_factory(mortal.task)
    try:
        loop.run_until_complete(_SessionProcess(pipe, spec, mortal).live())
    except FloorError as error:
        pipe.send(Failed(type(error).__name__, str(error), True))
    except BaseException:
        pipe.send(Failed("defect", traceback.format_exc(), False))


def _spare_certificates(path: Path) -> None:
    """Let the SDK's eleven HTTP clients read one root certificate each instead of all.

    That takes a third of a second of a session's start, and on loopback nobody shows one.
    """
    if not path.exists():
        end = "-----END CERTIFICATE-----"
        first, _, _ = Path(certifi.where()).read_text().partition(end)
        path.write_text(first + end + "\n")
    os.environ["SSL_CERT_FILE"] = str(path)


@dataclass
class _SessionProcess:
    pipe: Connection
    spec: SessionSpec
    mortal: Mortal
    told_fills: list[tuple[str, str]] = field(default_factory=list)
    told_ends: list[str] = field(default_factory=list)
    reconnected: bool = False

    async def live(self) -> None:
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self.pipe.send(Ready(self.market))
            await self._serve()

    async def _open(self, stack: AsyncExitStack) -> None:
        spec = self.spec
        self.database = await stack.enter_async_context(Database(spec.database, max_size=3))
        lease = await self._lease()
        self.journal = await stack.enter_async_context(
            PostgresJournal(
                self.database,
                spec.agent,
                lease,
                spool_dir=spec.home / "spool",
                patience_s=spec.patience_s,
                may_trade_until=lambda: math.inf,
            )
        )
        settings = Settings(_env_file=None, floor_home=spec.home, sim_port=spec.port)  # type: ignore[call-arg]
        base, ws = f"http://127.0.0.1:{spec.port}", f"ws://127.0.0.1:{spec.port}/ws"
        where = Endpoints(
            f"{base}/clob", f"{base}/clob", f"{base}/gamma", f"{base}/data", f"{base}/relayer",
            f"{ws}/market", f"{ws}/user", f"{ws}/prices", f"{ws}/live",
        )  # fmt: skip
        self.venue = await PolymarketVenue.connect(
            settings, 1, spec.agent, where=where, timeout_s=spec.timeout_s
        )
        stack.push_async_callback(self.venue.close)
        # Our own limits count real seconds, of which a thousand sessions have few.
        limits = Limits(clock=lambda: time.monotonic() * 1_000)
        self.venue._limits = self.venue._session.limits = limits
        self.market = spec.market or await self._find_market(settings, where)
        self.venue.markets.remember(self.market)
        self.portfolio = Portfolio(spec.agent, GRANT_E6)
        self.clock = SharedClock(spec.clock)
        self.orders = OrderManager(
            spec.agent, self.venue, self.journal, self.portfolio, self.clock,
            lambda fill: self.told_fills.append((fill.trade_id, fill.order_id)),
            lambda order: self.told_ends.append(order.order_id), SETTINGS,
        )  # fmt: skip
        self.mortal.doing = "recovering"
        await self.orders.recover(await self.journal.load())
        if spec.listens:
            channel = UserChannel(where.ws_user, self.venue, self._hear, FAST)
            channel.start()
            stack.push_async_callback(channel.close)
        running = asyncio.create_task(self.orders.run(), name="orders")
        stack.callback(running.cancel)

    async def _find_market(self, settings: Settings, where: Endpoints) -> Market:
        async with GammaDiscovery(settings, where) as discovery:
            market = await discovery.market("BTC", "15m", START_S)
        assert market is not None
        return market

    async def _lease(self) -> leases.Lease:
        """Take over from the predecessor, which is dead for certain."""
        spec = self.spec
        before = await leases.holder(self.database, spec.agent)
        if before is None:
            agent = AgentSpec(
                name=spec.agent, strategy="momentum", capital_usd=Decimal(1000),
                markets=(MarketSelector(asset="BTC", timeframe="15m"),),
            )  # fmt: skip
            await agents.sync_agents(self.database, [agent], disable_missing=False)
        elif before.holder:
            await leases.expire(self.database, spec.agent, before.token)
        lease = await leases.acquire(self.database, spec.agent, f"pid-{time.time_ns()}", 600)
        assert lease is not None
        return lease

    def _hear(self, event: FeedEvent) -> None:
        if isinstance(event, OrderUpdate | TradeUpdate):
            self.orders.on_event(event)
        elif isinstance(event, FeedStatus) and event.channel is Channel.USER:
            self.reconnected |= event.state is FeedState.UP

    # --- doing --------------------------------------------------------------------------------

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        asked: asyncio.Queue[Sequence[Ask] | None] = asyncio.Queue()

        def hear() -> None:
            try:
                asked.put_nowait(self.pipe.recv())
            except EOFError:
                asked.put_nowait(None)

        loop.add_reader(self.pipe.fileno(), hear)
        try:
            while (asks := await asked.get()) is not None:
                self.mortal.doing = "+".join(type(ask).__name__ for ask in asks)
                answers = await asyncio.gather(*(self._answer(ask) for ask in asks))
                self.pipe.send(list(answers))
        finally:
            loop.remove_reader(self.pipe.fileno())

    async def _answer(self, ask: Ask) -> Any:
        try:
            return await self._do(ask)
        except FloorError as error:
            return Failed(type(error).__name__, str(error), True)
        except Exception:
            return Failed("defect", traceback.format_exc(), False)

    async def _do(self, ask: Ask) -> Any:
        match ask:
            case Place(request):
                return await self.orders.place(request, self._market_of(request))
            case Replace(which, request):
                old = self._open_order(which)
                if old is None:
                    return None
                wish = replace(
                    request, side=old.request.side, outcome=old.request.outcome,
                    token_id=old.request.token_id,
                )  # fmt: skip
                return await self.orders.replace(old.order_id, wish, self._market_of(wish))
            case CancelOne(which):
                old = self._open_order(which)
                return None if old is None else await self.orders.cancel([old.order_id])
            case CancelAll(condition_id):
                return await self.orders.cancel_all(condition_id)
            case Work():
                return await self._work()
            case Reconcile():
                return await self.orders.reconcile()
            case TellBooks():
                return self._books()
            case Beat():
                return await self.orders._pulse.beat()
            case Doom(awaits):
                return self.mortal.die_in(awaits)
            case Checkpoint():
                await self.journal.checkpoint({"now_ns": self.clock.now_ns()})
                return await self.venue.cash_e6(), await self.venue.shares_e6(self.market.up_token)

    def _market_of(self, request: OrderRequest) -> Market:
        fine = request.price_e4 % self.market.tick_e4 != 0
        return replace(self.market, tick_e4=10) if fine else self.market

    def _open_order(self, which: int) -> Order | None:
        orders = self.orders.open_orders()
        return orders[which % len(orders)] if orders else None

    async def _work(self) -> int:
        if self.reconnected:
            self.reconnected = False
            try:
                await self.orders.reconcile()
            except FloorError:
                self.reconnected = True
        await self.orders.work_off()
        await self.orders.flush()
        await self.journal.drained(DRAIN_S)
        books, doubts = self.orders._books, self.orders._doubts
        waiting = books.unwritten + self.journal.behind
        return waiting + (doubts.next_ns is not None) + self.reconnected

    def _books(self) -> Books:
        lives = self.orders._books._lives
        tokens = (self.market.up_token, self.market.down_token)
        return Books(
            orders=tuple(life.order for life in lives.values()),
            fills=self.portfolio.fills(),
            cash_e6=self.portfolio.cash_e6,
            shares_e6={token: self.portfolio.shares_e6(token) for token in tokens},
            reserved_cash_e6=self.orders.reserved_cash_e6(),
            told_fills=tuple(self.told_fills),
            told_ends=tuple(self.told_ends),
        )
