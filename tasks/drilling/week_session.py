"""An agent's session in a simulated week: everything real but its clock, and mortal.

`main` runs in a process of its own. It does what it can at the time the shared clock shows, then
answers the `Tick` it was given; see `tasks.drilling.week_clock`.
"""

import asyncio
import inspect
import logging
import math
import os
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import wraps
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import certifi
import structlog

from engine import order_pulse
from engine.trader import Trader
from models.errors import FloorError
from models.markets import Market
from models.settings import Settings
from models.units import SECOND_NS
from store import leases
from store.checkpoints import CheckpointFiles
from store.database import Database
from store.journal import PostgresJournal
from strategies import library
from tasks.api_keys import api_nonce
from tasks.drilling.week_awaits import Mortal
from tasks.drilling.week_clock import SharedClock, SteppedClock, SteppedLoop, live_by
from tasks.drilling.week_exchange import memory
from tasks.drilling.week_words import (
    Done,
    Doom,
    HandOver,
    Reconcile,
    SessionSpec,
    State,
    TakeOver,
    Tick,
    WrongClock,
)
from venue.polymarket.client import PolymarketVenue
from venue.polymarket.discovery import GammaDiscovery
from venue.polymarket.feed import PolymarketFeed
from venue.polymarket.limits import Limits as RateLimits

ANSWER_S = 0.5
"""Real seconds of silence after which an answer of venue or Postgres is not waited for."""
BUSY = (State.PREPARING, State.STARTING, State.ENDING)
LINK_S = 0.05
"""The same for a WebSocket that is being opened."""
LEASE_S = 600.0
LATEST_ENTRY_S = 5
FIND_S = 1.0


def main(pipe: Connection, spec: SessionSpec) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    _spare_certificates(spec.home / "certificate.pem")
    clock = SteppedClock(SharedClock(spec.clock))
    order_pulse.LAPSE_S = spec.silence_s
    live_by(clock, "venue.polymarket.", "store.", "engine.")
    mortal = Mortal(0, frozenset(), spec.diary, notes=False)
    session = _Session(pipe, spec, clock, mortal)
    loop = SteppedLoop(clock, session.patience_s, session.idle)
    loop.set_task_factory(mortal.task)  # type: ignore[arg-type]
    asyncio.set_event_loop(loop)
    loop.run_until_complete(session.live())


def _spare_certificates(path: Path) -> None:
    """Let the SDK's HTTP clients read one root certificate each instead of all.

    That takes a third of a second of a session's start, and on loopback nobody shows one.
    """
    end = "-----END CERTIFICATE-----"
    first, _, _ = Path(certifi.where()).read_text().partition(end)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(first + end + "\n")
    draft.replace(path)
    os.environ["SSL_CERT_FILE"] = str(path)


class _Counted:
    """Passes calls on and counts those that wait for an answer."""

    def __init__(self, target: Any, session: "_Session") -> None:
        self._target = target
        self._session = session

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not inspect.iscoroutinefunction(found):
            return found
        call: Callable[..., Awaitable[Any]] = found

        @wraps(call)
        async def counted(*args: Any, **options: Any) -> Any:
            self._session.asking += 1
            try:
                return await call(*args, **options)
            finally:
                self._session.asking -= 1

        self.__dict__[name] = counted
        return counted


class _Quiet:
    """Notices that nobody reads."""

    def post(self, kind: str, text: str, **fields: Any) -> None:
        return None


@dataclass
class _Session:
    pipe: Connection
    spec: SessionSpec
    clock: SteppedClock
    mortal: Mortal
    state: State = State.PREPARING
    text: str = ""
    asking: int = 0
    traded: int = 0
    taking: asyncio.Event = field(default_factory=asyncio.Event)
    died: bool = False
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    trader: Trader | None = None
    feed: PolymarketFeed | None = None
    journal: PostgresJournal | None = None
    _ticked: bool = False
    _rung: bool = True

    # --- the driver's side ----------------------------------------------------------------------

    def patience_s(self) -> float:
        """How long to listen in silence before that counts as quiet."""
        behind = self.journal is not None and self.journal.behind > 0
        if self.asking or behind or self.state in BUSY:
            return ANSWER_S
        return 0.0 if self._linked() else LINK_S

    def _linked(self) -> bool:
        feed = self.feed
        if feed is None or self.state is not State.TRADING:
            return True
        links = [feed.price_channel.link, feed.user_channel.link]
        if self.traded:
            links.append(feed.market_channel.link)
        return all(link.connected for link in links)

    def idle(self) -> bool:
        """All is quiet: ring the alarms that are due, then answer."""
        if not self._ticked:
            return False
        if not self._rung:
            # After what the venue said meanwhile: news come before the time they came at is over.
            self._rung = True
            self.clock.ring()
            return True
        self._ticked = False
        self.pipe.send(self._done())
        return False

    def _done(self) -> Done:
        trader, behind = self.trader, 0
        cash, shares = 0, dict[str, int]()
        if trader is not None:
            orders = trader.orders
            behind = orders._books.unwritten + (orders._doubts.next_ns is not None)
            behind += self.journal.behind if self.journal is not None else 0
            cash = trader.portfolio.cash_e6
            tokens = {fill.token_id for fill in trader.portfolio.fills()}
            shares = {token: trader.portfolio.shares_e6(token) for token in tokens}
            if trader.fatal is not None and self.state is State.TRADING:
                self.state, self.text = State.FAILED, f"the trader ended: {trader.fatal!r}"
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        count = len(asyncio.all_tasks())
        return Done(
            self.state, self.text, behind, cash, shares, self.traded, memory(), count, files,
            time.process_time(),
        )  # fmt: skip

    def _hear(self) -> None:
        try:
            told = self.pipe.recv()
        except EOFError:
            os._exit(0)
        match told:
            case Tick():
                self._ticked, self._rung = True, False
            case TakeOver(died):
                self.died = died
                self.taking.set()
            case HandOver():
                self.leaving.set()
            case Doom(awaits):
                self.mortal.doing = self.state.value
                self.mortal.die_in(awaits)
            case WrongClock(seconds):
                self.clock.wrong_ns = round(seconds * SECOND_NS)
            case Reconcile() if self.trader is not None:
                self._spawn(self._reconcile(self.trader))

    # --- life -------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Trade until told to hand over; then wait to be ended."""
        asyncio.get_running_loop().add_reader(self.pipe.fileno(), self._hear)
        try:
            async with AsyncExitStack() as stack:
                await self._prepare(stack)
                self.state = State.PREPARED
                await self.taking.wait()
                self.state = State.STARTING
                async with AsyncExitStack() as inner:
                    trader = await self._take_over(inner)
                    self.state = State.TRADING
                    for selector in self.spec.agent.markets:
                        self._spawn(self._follow(trader, selector.asset, selector.timeframe))
                    await self.leaving.wait()
                    self.state = State.ENDING
                    await self._end(trader)
            self.state = State.ENDED
        except FloorError as error:
            self.state, self.text = State.FAILED, f"{type(error).__name__}: {error}"
        except BaseException:
            self.state, self.text = State.DEFECT, traceback.format_exc()
        await asyncio.Event().wait()

    async def _prepare(self, stack: AsyncExitStack) -> None:
        """Everything that needs no lease."""
        spec = self.spec
        self.database = await stack.enter_async_context(Database(spec.database, max_size=3))
        self.settings = Settings(_env_file=None, floor_home=spec.home, sim_port=spec.port)
        name = spec.agent.name
        self.discovery = await stack.enter_async_context(GammaDiscovery(self.settings))
        self.venue = await PolymarketVenue.connect(self.settings, api_nonce(name), name)
        stack.push_async_callback(self.venue.close)
        # Made before the clock was put in: those count real seconds.
        limits = RateLimits(clock=lambda: self.clock.now_ns() / SECOND_NS)
        self.venue._limits = self.venue._session.limits = limits

    async def _take_over(self, stack: AsyncExitStack) -> Trader:
        spec, name = self.spec, self.spec.agent.name
        lease = await self._lease()
        stack.push_async_callback(self._give_back, lease)
        files = CheckpointFiles(spec.home / "checkpoints", name)
        journal = await stack.enter_async_context(
            PostgresJournal(
                self.database,
                name,
                lease,
                spool_dir=spec.home / "spool",
                may_trade_until=lambda: math.inf,
                checkpoints=files,
            )
        )
        self.feed = PolymarketFeed(self.settings, self.venue)
        self.trader = Trader(
            spec=spec.agent,
            strategy=library.create(spec.agent.strategy, spec.agent.parameters),
            venue=_Counted(self.venue, self),
            feed=self.feed,
            discovery=_Counted(self.discovery, self),
            journal=_Counted(journal, self),
            notices=_Quiet(),
            clock=self.clock,
            limits=spec.limits,
        )
        try:
            await self.trader.start(keep_orders=spec.keep_orders and not self.died)
        except BaseException:
            await self.trader.stop("could not start")
            raise
        stack.push_async_callback(self._end_tasks)
        for market in self.trader.unsettled():
            self._spawn(self._settle(self.trader, market))
        self._spawn(self._keep_checkpoints(self.trader, journal, files))
        self.journal = journal
        return self.trader

    async def _lease(self) -> leases.Lease:
        """Take the lease: at once from the dead, else when it is given back."""
        name = self.spec.agent.name
        while True:
            before = await leases.holder(self.database, name)
            if before is not None and before.holder and self.died:
                await leases.expire(self.database, name, before.token)
            lease = await leases.acquire(
                self.database, name, f"session-{self.spec.number}", LEASE_S
            )
            if lease is not None:
                return lease
            await asyncio.sleep(0.2)

    async def _give_back(self, lease: leases.Lease) -> None:
        await leases.release(self.database, lease)

    async def _end(self, trader: Trader) -> None:
        await trader.stop("handed over", keep_orders=self.spec.keep_orders)

    async def _end_tasks(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            trace = "".join(traceback.format_exception(error))
            expected = isinstance(error, FloorError)
            self.state, self.text = (State.FAILED if expected else State.DEFECT), trace

    # --- trading ----------------------------------------------------------------------------------

    async def _follow(self, trader: Trader, asset: str, timeframe: str) -> None:
        """Trade window after window, each settled beside the next."""
        after_ns = 0
        while True:
            now_ns = self.clock.now_ns()
            at_s = max(now_ns // SECOND_NS + LATEST_ENTRY_S, after_ns // SECOND_NS)
            start_s = self.discovery.window_start_s(timeframe, at_s)
            market = None
            if start_s * SECOND_NS <= now_ns:
                market = await self._find(asset, timeframe, start_s)
            if market is None:
                await self.clock.sleep(FIND_S)
                continue
            after_ns = market.end_ns
            self.traded += 1
            await trader.run_window(market)
            self._spawn(self._settle(trader, market))

    async def _find(self, asset: str, timeframe: str, start_s: int) -> Market | None:
        self.asking += 1
        try:
            return await self.discovery.market(asset, timeframe, start_s)
        except FloorError:
            return None
        finally:
            self.asking -= 1

    async def _settle(self, trader: Trader, market: Market) -> None:
        await trader.settle(market)

    async def _reconcile(self, trader: Trader) -> None:
        await trader.orders.reconcile()

    async def _keep_checkpoints(
        self, trader: Trader, journal: PostgresJournal, files: CheckpointFiles
    ) -> None:
        """To a file at every change that matters, to Postgres now and then."""
        kept, last_ns = -1, 0
        while True:
            await asyncio.sleep(1.0)
            if trader.revision == kept:
                continue
            kept = trader.revision
            state = trader.checkpoint()
            files.write(state)
            if self.clock.now_ns() - last_ns >= self.settings.checkpoint_interval * SECOND_NS:
                last_ns = self.clock.now_ns()
                await journal.checkpoint(state)
